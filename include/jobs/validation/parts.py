"""A table that is checked in parts, each small enough for memory, and judged as a whole.

What expectations say of rows adds up over parts, and so do means, extremes, row counts and distinct values. What does
not (medians, other quantiles, deviations, the share of unique values) is checked for each part, and the worst part
counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import polars as pl

from include.jobs.validation.cleaning import Tally, findings_of
from include.jobs.validation.findings import SEVERITIES, Finding, no_rows_left
from include.jobs.validation.report import TableReport
from include.jobs.validation.suites import NO_ROWS, Expected, Kwargs, Outcome, Result, run_suite
from include.jobs.validation.wording import columns_of, finding_of, positions_of
from include.models.config import LINE, Table

SHOWN_ROWS = 20  # the number of failing rows that GX names
DISTINCT = "expect_column_distinct_values_"
EXTREMES = ("expect_column_max_to_be_between", "expect_column_min_to_be_between")
MEAN = "expect_column_mean_to_be_between"
ROW_COUNT = "expect_table_row_count_to_be_between"


@dataclass(frozen=True)
class Check:
    """An outcome, and what is needed of the part's rows to judge the whole: ``shown`` are the failing rows that it
    names, LINE or their first column first, with key and values; ``values`` are those of its column that decide,
    ``weight`` how many it has."""

    outcome: Outcome
    shown: pl.DataFrame
    values: pl.DataFrame
    weight: int


@dataclass(frozen=True)
class Part:
    """A part of a table, counted but not yet judged. ``left`` rows came through cleaning, ``rejected`` were set aside
    by cleaning or by expectations. Where ``is_whole``, other parts of the table are the same rows."""

    name: str
    file: str
    rows: int = 0
    left: int = 0
    rejected: int = 0
    bytes: int | None = None
    sha256: str | None = None
    is_whole: bool = True
    tally: Tally = field(default_factory=Tally)
    checks: list[Check] = field(default_factory=list)
    of_series: list[Check] = field(default_factory=list)
    unusable: list[Finding] = field(default_factory=list)


def check_of(outcome: Outcome, frame: pl.DataFrame, key: Sequence[str] = ()) -> Check:
    """The outcome of an expectation on this frame, without what needs only this frame's rows."""
    named = frame.columns[0] if LINE not in frame.columns else LINE
    places = positions_of(outcome)
    wanted = dict.fromkeys([named, *key, *columns_of(outcome.kwargs)])
    shown = frame.select([name for name in wanted if name in frame.columns])[places]
    column = outcome.kwargs.get("column")
    values = frame.select(column) if column in frame.columns else pl.DataFrame()
    weight = frame.height - (values.to_series().null_count() if values.width else 0)
    if outcome.expected.type.startswith(DISTINCT):
        values = values.unique()
    elif outcome.expected.type in EXTREMES:
        values = pl.concat([values.min(), values.max()]) if values.width else values
    else:
        values = values.clear()
    result: Result = {**outcome.result}
    if places:
        result["partial_unexpected_index_list"] = list(range(len(places)))
    return Check(replace(outcome, rejected=NO_ROWS, result=result), shown, values, weight)


def report_of(parts: Sequence[Part], table: Table) -> TableReport:
    """The report of a table, all of whose parts are given."""
    first = parts[0]
    parts = [first] if first.is_whole else parts
    if first.unusable:
        return TableReport(first.name, first.file, findings=first.unusable)
    tally = parts[0].tally
    for part in parts[1:]:
        tally = tally.plus(part.tally)
    rows = sum(part.rows for part in parts)
    checks = combine_suites([part.checks for part in parts]) + combine_suites([part.of_series for part in parts])
    findings = findings_of(tally, first.name, first.file, table)
    if rows and not sum(part.left for part in parts):
        findings.append(no_rows_left(first.name, first.file, rows, tally.outside_window))
    found = (finding_of(check.outcome, first.name, first.file, check.shown, table.key) for check in checks)
    return TableReport(
        first.name,
        first.file,
        rows,
        sum(part.rejected for part in parts),
        tally.outside_window,
        first.bytes,
        first.sha256,
        findings + [finding for finding in found if finding],
        [check.outcome for check in checks],
    )


def combine_suites(suites: Sequence[list[Check]]) -> list[Check]:
    """The checks of a suite over all parts; a part without rows has none."""
    of_parts = zip_longest(*(suite for suite in suites if suite))
    return [_combine([check for check in checks if check]) for checks in of_parts]


def _combine(checks: list[Check]) -> Check:
    """One expectation's outcome over all parts."""
    if failed := [check for check in checks if check.outcome.error]:
        return failed[0]
    checked = [check for check in checks if not check.outcome.skipped]
    if len(checked) < 2:
        return (checked or checks)[0]
    first, kind = checked[0].outcome, checked[0].outcome.expected.type
    outcomes = [check.outcome for check in checked]
    kwargs = _kwargs(outcomes)
    if first.is_about_rows:
        return _of_rows(checked, kwargs)
    if kind.startswith(DISTINCT) or kind in EXTREMES:
        values = pl.concat([check.values for check in checked]).unique()
        expected = Expected.model_construct(**{**dict(first.expected), "kwargs": kwargs})
        return replace(checked[0], outcome=replace(run_suite([expected], values, {})[0], expected=first.expected))
    if kind in (MEAN, ROW_COUNT):
        seen = [
            (float(str(one.result["observed_value"])), check.weight)
            for one, check in zip(outcomes, checked, strict=True)
            if one.result.get("observed_value") is not None
        ]
        total: float | None = sum(value * (weight if kind == MEAN else 1) for value, weight in seen)
        if kind == MEAN:
            weights = sum(weight for _, weight in seen)
            total = total / weights if weights and total is not None else None
        result: Result = {"observed_value": total if kind == MEAN or total is None else int(total)}
        return replace(checked[0], outcome=replace(first, kwargs=kwargs, success=_within(total, kwargs), result=result))
    return min(checked, key=lambda check: _badness(check.outcome))


def _of_rows(checks: list[Check], kwargs: Kwargs) -> Check:
    results = [check.outcome.result for check in checks]
    elements = sum(result["element_count"] for result in results)
    missing = sum(result.get("missing_count") or 0 for result in results)
    unexpected = sum(check.outcome.unexpected for check in checks)
    considered = elements - missing
    success = not considered or (considered - unexpected) / considered >= kwargs.get("mostly", 1)
    shown = pl.concat([check.shown for check in checks])
    order = shown.select(pl.arg_sort_by(shown.columns)).to_series().head(SHOWN_ROWS).to_list()
    examples = [value for result in results for value in result.get("partial_unexpected_list", [])]
    if len(examples) == shown.height:
        examples = [examples[place] for place in order]
    result: Result = {
        "element_count": elements,
        "missing_count": missing,
        "unexpected_count": unexpected,
        "partial_unexpected_list": examples[:SHOWN_ROWS],
        "partial_unexpected_index_list": list(range(len(order))),
    }
    outcome = replace(checks[0].outcome, kwargs=kwargs, success=success, result=result)
    return Check(outcome, shown[order], checks[0].values, sum(check.weight for check in checks))


def _kwargs(outcomes: Sequence[Outcome]) -> Kwargs:
    """If parts took values from other tables' parts, the values of all parts."""
    kwargs = dict(outcomes[0].kwargs)
    for name in outcomes[0].expected.parameters:
        given = [outcome.kwargs[name] for outcome in outcomes]
        if isinstance(given[0], list):
            kwargs[name] = sorted({value for values in given for value in values})
        elif name.startswith("min"):
            kwargs[name] = min(given)
        else:
            kwargs[name] = max(given)
    return kwargs


def _within(value: float | None, kwargs: Kwargs) -> bool:
    if value is None:
        return False
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    above = low is None or (value > low if kwargs.get("strict_min") else value >= low)
    return above and (high is None or (value < high if kwargs.get("strict_max") else value <= high))


def _badness(outcome: Outcome) -> int:
    return len(SEVERITIES) if outcome.severity is None else SEVERITIES.index(outcome.severity)
