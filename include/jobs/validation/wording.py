"""Findings of expectations in words: what was found and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import polars as pl

from include.jobs.validation.findings import Example, Finding
from include.jobs.validation.suites import Kwargs, Outcome
from include.models.config import LINE
from include.models.quoting import quoted, quotes_values

SHOWN = 5
OF_CELLS = re.compile("column_(min|max|median|quantile|distinct|most_common)")  # their observed value is cells


def finding_of(outcome: Outcome, table: str, file: str, rows: pl.DataFrame, key: Sequence[str] = ()) -> Finding | None:
    """The finding of an outcome, None if nothing is wrong.

    Args:
        rows: the frame that was checked; rows are identified by its LINE if it has one, otherwise by its first column.
        key: columns that identify its rows.
    """
    severity = outcome.severity
    if severity is None:
        return None
    action = outcome.expected.meta.action
    found = observed(outcome) + _where(outcome, rows)
    if outcome.error:
        found = f"that this could not be checked: {outcome.error}"
        action = "Compare the table with its suite; the log of this job has the details."
    return Finding(
        severity=severity,
        table=table,
        file=file,
        column=column_of(outcome.kwargs),
        expectation=outcome.expected.type,
        found=found,
        allowed=allowed(outcome),
        rows=outcome.unexpected or None,
        action=action,
        examples=_examples(outcome, rows, key),
    )


def columns_of(kwargs: Kwargs) -> list[str]:
    """Each of the columns that an expectation is about."""
    named = [kwargs.get("column"), kwargs.get("column_A"), kwargs.get("column_B"), *(kwargs.get("column_list") or [])]
    return [str(column) for column in named if column]


def column_of(kwargs: Kwargs) -> str | None:
    """The column or columns that an expectation is about."""
    if "column" in kwargs:
        return str(kwargs["column"])
    several = kwargs.get("column_list") or kwargs.get("column_set") or [kwargs.get("column_A"), kwargs.get("column_B")]
    return ", ".join(str(column) for column in several if column) or None


def allowed(outcome: Outcome) -> str:
    """What the expectation allows, with the share of rows that may differ."""
    kwargs, kind = outcome.kwargs, outcome.expected.type
    if kind == "expect_column_values_to_not_be_null":
        words = "a value" if "mostly" in kwargs else "a value in every row"
    elif kind.endswith("_to_be_between"):
        words = f"{_subject(kind)}{_bounds(kwargs)}"
    elif "value_set" in kwargs:
        words = f"{'' if kind.endswith('_in_set') else _subject(kind)}{_set(outcome)}"
    elif kind.endswith(("_to_be_unique", "_unique_within_record")):
        words = "no repetitions"
    elif kind == "expect_column_pair_values_a_to_be_greater_than_b":
        words = f"{kwargs['column_A']} {'not below' if kwargs.get('or_equal') else 'above'} {kwargs['column_B']}"
    else:
        rest = {name: value for name, value in kwargs.items() if name not in ("column", "mostly", "column_list")}
        words = (
            f"{kind.removeprefix('expect_').replace('_', ' ')} {_brief(list(rest.values())) if rest else ''}".strip()
        )
    mostly = kwargs.get("mostly", 1)
    return words if mostly == 1 else f"{words} in at least {100 * mostly:.6g} % of the rows"


def observed(outcome: Outcome) -> str:
    """What was observed, in a few words."""
    result = outcome.result
    if outcome.skipped or outcome.error:
        return outcome.skipped or "could not be checked"
    if "element_count" in result:
        number, total = outcome.unexpected, int(result["element_count"])
        if not number:
            return f"all of {total:,} {outcome.rows_are}"
        share = f"{number:,} of {total:,} {outcome.rows_are} ({_percent(number / total)})"
        examples = [value for value in result.get("partial_unexpected_list", []) if not _is_nothing(value)]
        if outcome.expected.type == "expect_column_values_to_not_be_null":
            return f"no value in {share}"
        return f"{quoted(_brief(list(dict.fromkeys(map(_text, examples)))))} in {share}"
    parts = []
    if result.get("observed_value") is not None:
        value = _text(result["observed_value"])
        parts.append(quoted(value) if OF_CELLS.search(outcome.expected.type) else value)
    if result.get("partial_unexpected_list"):
        parts.append(f"not allowed: {quoted(_brief(result['partial_unexpected_list']))}")
    if result.get("partial_missing_list"):
        parts.append(f"missing: {quoted(_brief(result['partial_missing_list']))}")
    return "; ".join(parts) or ("as expected" if outcome.success else "otherwise")


def positions_of(outcome: Outcome) -> list[int]:
    """The positions of the first failing rows in the checked frame."""
    return [int(position) for position in outcome.result.get("partial_unexpected_index_list") or []]


def _examples(outcome: Outcome, rows: pl.DataFrame, key: Sequence[str]) -> tuple[Example, ...]:
    """The first rows that fail."""
    if not quotes_values():
        return ()
    keys, values = ([name for name in names if name in rows.columns] for names in (key, columns_of(outcome.kwargs)))
    found = rows[positions_of(outcome)[:SHOWN]]
    return tuple(
        Example(
            line=row.get(LINE),
            key=", ".join(f"{name} {_text(row[name])}" for name in keys),
            value=", ".join(_text(row[name])[:80] if row[name] is not None else "no value" for name in values),
        )
        for row in found.iter_rows(named=True)
    )


def _where(outcome: Outcome, rows: pl.DataFrame) -> str:
    """The first failing rows: their lines in the file, or what they concern."""
    positions = positions_of(outcome)
    if not positions:
        return ""
    if LINE in rows.columns:
        lines = [f"{rows[LINE][position]}" for position in positions]
        return f" (line {lines[0]})" if len(positions) == 1 else f" (lines {_brief(lines)})"
    column = rows.columns[0]
    if not quotes_values():
        return ""
    return f" ({column} {_brief([rows[column][position] for position in positions])})"


def _subject(kind: str) -> str:
    """``mean `` of expect_column_mean_to_be_between; empty if it is about values."""
    subject = kind.removeprefix("expect_").removeprefix("column_").split("_to_")[0]
    return "" if subject == "values" else f"{subject.removeprefix('table_').replace('_', ' ')} "


def _bounds(kwargs: Kwargs) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is not None and low == high:
        return _text(low)
    if low is not None and high is not None:
        return f"{_text(low)} to {_text(high)}"
    return f"at least {_text(low)}" if low is not None else f"at most {_text(high)}"


def _set(outcome: Outcome) -> str:
    values = outcome.kwargs["value_set"]
    if parameter := outcome.expected.parameters.get("value_set"):
        dataset, _, column = parameter.partition("__")
        return f"the {len(values):,} values of {column} in {dataset}" if isinstance(values, list) else parameter
    return ", ".join(map(_text, values))


def _brief(values: Sequence[object]) -> str:
    shown = ", ".join(_text(value)[:40] for value in values[:SHOWN])
    return f"{shown}, ..." if len(values) > SHOWN else shown


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):  # of a pair of columns
        return " and ".join(map(_text, value))
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    return str(value)


def _percent(share: float) -> str:
    return f"{share:.2%}".replace("%", " %") if share >= 0.0001 else "below 0.01 %"


def _is_nothing(value: object) -> bool:
    return value is None or value != value  # NaN and NaT are not themselves
