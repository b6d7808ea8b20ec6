"""Decides the state of a CloudWatch alarm from its datapoints: pure functions that follow CloudWatch's documented
rules.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

Series = Mapping[int, float]  # start of period (epoch seconds) -> value
Comparison = Callable[[float, float], bool]

COMPARISONS: dict[str, tuple[Comparison, str]] = {
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}


@dataclass(frozen=True)
class Datum:
    """What one stored metric datum adds to a period: its distinct values with their counts, and its aggregates."""

    count: float
    total: float
    minimum: float
    maximum: float
    values: Mapping[float, float]


@dataclass(frozen=True)
class Verdict:
    """An alarm's state and the reason. State is None when TreatMissingData=ignore says to keep the current one."""

    state: str | None
    reason: str


def statistic_of(statistic: str, data: Sequence[Datum]) -> float:
    """The statistic (Sum, Average, Minimum, Maximum, SampleCount, p<percent>) of a non-empty period.

    Raises:
        ValueError: the statistic is unknown, or a percentile is requested of data stored only as aggregates.
    """
    count = sum(d.count for d in data)
    if statistic == "Sum":
        return sum(d.total for d in data)
    if statistic == "SampleCount":
        return count
    if statistic == "Average":
        return sum(d.total for d in data) / count
    if statistic == "Minimum":
        return min(d.minimum for d in data)
    if statistic == "Maximum":
        return max(d.maximum for d in data)
    match = re.fullmatch(r"p(\d{1,2}(\.\d+)?|100)", statistic)
    if not match:
        raise ValueError(f"statistic {statistic!r} is none of Sum, Average, Minimum, Maximum, SampleCount, p0-p100")
    return _percentile(float(match[1]) / 100, data)


def _percentile(fraction: float, data: Sequence[Datum]) -> float:
    pairs = sorted((value, count) for d in data for value, count in d.values.items())
    if not pairs:
        raise ValueError("the metric was put as StatisticValues, which carry no percentiles")
    rank = fraction * sum(count for _, count in pairs)
    seen = 0.0
    for value, count in pairs:
        seen += count
        if seen >= rank:
            return value
    return pairs[-1][0]


def judge(
    datapoints: Sequence[float | None],
    *,
    evaluation_periods: int,
    datapoints_to_alarm: int,
    comparison: str,
    threshold: float,
    missing: str,
) -> Verdict:
    """The state that follows from the latest datapoints (newest last; None for a period without one).

    ``datapoints`` may reach further back than ``evaluation_periods``: as CloudWatch does, older real points stand
    in for missing ones.
    """
    compare, words = COMPARISONS[comparison]
    real = [value for value in datapoints if value is not None][-evaluation_periods:]
    breaching = sum(compare(value, threshold) for value in real)
    unknown = evaluation_periods - len(real)
    shown = f"{len(real)} datapoint{'s' if len(real) != 1 else ''} [{', '.join(f'{v:g}' for v in reversed(real))}]"
    if not real and missing in ("missing", "ignore"):
        reason = f"Insufficient Data: {unknown} datapoint{'s were' if unknown != 1 else ' was'} unknown."
        return Verdict(None if missing == "ignore" else "INSUFFICIENT_DATA", reason)
    bad = breaching + (unknown if missing == "breaching" else 0)
    filled = f" and {unknown} missing datapoints were treated as [{missing}]" if unknown else ""
    alarm = bad >= datapoints_to_alarm or (missing == "missing" and breaching == len(real))
    if alarm:
        reason = f"Threshold Crossed: {bad} of the last {evaluation_periods} datapoints, {shown},"
        return Verdict("ALARM", f"{reason} were {words} the threshold ({threshold:g}){filled}.")
    if missing == "ignore" and breaching == len(real):
        return Verdict(None, f"Unchanged: too few of the last {evaluation_periods} datapoints are known.")
    return Verdict("OK", f"Threshold Crossed: {shown} were not {words} the threshold ({threshold:g}){filled}.")


def period_start(when: datetime, period: int) -> int:
    """The start (epoch seconds) of the period that ``when`` falls in; a time without zone is UTC."""
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return int(aware.timestamp()) // period * period


_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.cmpop], Comparison] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def metric_math(expression: str, series: Mapping[str, Series]) -> dict[int, float]:
    """Evaluate a metric math expression: + - * / ^, comparisons, IF, FILL, MIN, MAX, SUM, AVG, over named series.

    A period appears in the result if every series that the expression needs has a value there (FILL supplies one); a
    division by zero gives no datapoint.

    Raises:
        ValueError: the expression uses something else, or a name that is not in ``series``.
    """
    tree = ast.parse(expression.replace("^", "**"), mode="eval").body
    result = {}
    for start in sorted({start for one in series.values() for start in one}):
        try:
            value = _at(tree, series, start)
        except ZeroDivisionError:
            continue
        if value is not None:
            result[start] = value
    return result


def _at(node: ast.expr, series: Mapping[str, Series], start: int) -> float | None:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            if name not in series:
                raise ValueError(f"metric math: {name!r} is not a metric of this alarm; there are {sorted(series)}")
            return series[name].get(start)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _at(operand, series, start)
            return None if value is None else -value
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            a, b = _at(left, series, start), _at(right, series, start)
            return None if a is None or b is None else _BINARY[type(op)](a, b)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARE:
            a, b = _at(left, series, start), _at(right, series, start)
            return None if a is None or b is None else float(_COMPARE[type(op)](a, b))
        case ast.Call(func=ast.Name(id=function), args=args):
            return _call(function, args, series, start)
    raise ValueError(f"metric math: {ast.unparse(node)!r} is not supported by the local CloudWatch")


def _call(function: str, args: Sequence[ast.expr], series: Mapping[str, Series], start: int) -> float | None:
    if function == "IF" and len(args) in (2, 3):
        condition = _at(args[0], series, start)
        if condition is None:
            return None
        chosen = args[1] if condition else (args[2] if len(args) == 3 else None)
        return None if chosen is None else _at(chosen, series, start)
    values = [_at(arg, series, start) for arg in args]
    if function == "FILL" and len(values) == 2:
        return values[1] if values[0] is None else values[0]
    known = [value for value in values if value is not None]
    if function in ("MIN", "MAX", "SUM", "AVG") and known:
        return {"MIN": min(known), "MAX": max(known), "SUM": sum(known), "AVG": sum(known) / len(known)}[function]
    if function in ("MIN", "MAX", "SUM", "AVG"):
        return None
    raise ValueError(f"metric math: function {function} is not supported by the local CloudWatch")
