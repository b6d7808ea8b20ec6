"""Great Expectations suites from a model's folder, run on a frame.

A suite is ``models/<model>/expectations/<dataset>.json``: GX's own form (``type``, ``kwargs``, ``severity``, ``meta``),
where ``severity`` and ``meta.action`` (what to do, for the person on call) must be given. Beyond GX:

- ``meta.reject_rows``: rows that fail are set aside.
- ``{"$PARAMETER": "<dataset>__<column>"}`` in kwargs stands for the distinct values of another dataset's column,
  ``...__min`` and ``...__max`` for its extremes, ``now`` for the current time in UTC.
- ``mostly`` is a cap: fewer failing rows are a warning, more are what ``severity`` says. With ``meta.tolerated`` fewer
are not even a warning: they are normal for the data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeGuard, cast

import great_expectations as gx
import numpy as np
import pandas as pd
import polars as pl
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.exceptions.exceptions import GreatExpectationsError
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metadata_types import FailureSeverity
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.v1 import ValidationError as GxValidationError

from include.jobs.validation.findings import Severity
from include.models.errors import JobError

MAX_REJECTED_ROWS = 200_000  # above this, the rows themselves are not fetched: their number is enough
PARAMETER = "$PARAMETER"
NOW = "now"
Format = Literal["SUMMARY", "COMPLETE"]  # how much GX reports
Kwargs = dict[str, Any]  # of an expectation; they depend on the type
Positions = np.ndarray[tuple[int], np.dtype[np.int64]]


class SuiteError(JobError):
    """A suite that cannot be used: which file and entry, what was found, what is allowed."""


class Meta(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    action: str = Field(min_length=1, max_length=300)
    reject_rows: bool = False
    tolerated: bool = False
    only: list[str] = []  # names of the splits (train, validation, test) that it applies to; all if empty


class Expected(BaseModel):
    """One entry of a suite, as in its file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type: str
    kwargs: Kwargs = {}
    severity: Severity
    meta: Meta

    def at_most(self, share: float) -> Expected:
        """The same, with its cap (if any) raised to at least this share of rows that may fail."""
        if "mostly" not in self.kwargs:
            return self
        return self.model_copy(update={"kwargs": self.kwargs | {"mostly": min(self.kwargs["mostly"], 1 - share)}})

    @property
    def parameters(self) -> dict[str, str]:
        """Which kwarg takes which parameter."""
        given = {name: value[PARAMETER] for name, value in self.kwargs.items() if _is_parameter(value)}
        return {name: str(parameter) for name, parameter in given.items()}


class Result(TypedDict, total=False):
    """What GX reports of a check at SUMMARY, as far as it is used. ``element_count`` is present if it is about rows."""

    element_count: int
    missing_count: int
    unexpected_count: int
    observed_value: object
    partial_unexpected_list: list[object]
    partial_unexpected_index_list: list[int]
    partial_missing_list: list[object]
    unexpected_index_list: list[int]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one expectation.

    ``kwargs`` have parameters resolved. ``result`` is GX's, at SUMMARY; ``rejected`` are positions of rows to set
    aside. ``error`` says why it could not be checked, ``skipped`` why it was not. ``rows_are`` names what
    a row stands for.
    """

    expected: Expected
    kwargs: Kwargs
    success: bool
    result: Result
    rejected: Positions
    error: str | None = None
    skipped: str | None = None
    rows_are: str = "rows"

    @property
    def is_about_rows(self) -> bool:
        """Whether it decides row by row."""
        return "element_count" in self.result

    @property
    def unexpected(self) -> int:
        """Rows that fail; 0 for expectations that are not about rows."""
        return int(self.result.get("unexpected_count") or 0) if self.is_about_rows else 0

    @property
    def severity(self) -> Severity | None:
        """The severity; None if nothing is wrong."""
        if self.skipped:
            return None
        if self.error:
            return "critical"
        if not self.success:
            return self.expected.severity
        if self.unexpected and not self.expected.meta.tolerated:
            return "info" if self.expected.severity == "info" else "warning"
        return None


NO_ROWS = np.empty(0, dtype=np.int64)


def load_suite(folder: Path, dataset: str) -> list[Expected]:
    """The entries of ``<dataset>.json``, each checked to be an expectation that GX knows, with kwargs that it takes.

    Raises:
        SuiteError: no file, invalid JSON, an empty suite, an unknown type, a wrong kwarg, no severity or no action.
    """
    path = folder / f"{dataset}.json"
    shown = "/".join(path.parts[-4:])
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SuiteError(f"{shown} does not exist. Every table and 'features' needs a suite of expectations.") from None
    except json.JSONDecodeError as error:
        raise SuiteError(f"{shown} is not valid JSON: {error}.") from error
    entries = content.get("expectations") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise SuiteError(f"{shown}: 'expectations' must be a list of at least one; an empty suite checks nothing.")
    suite = []
    for number, entry in enumerate(entries):
        where = f"{shown}: expectations[{number}]"
        try:
            expected = Expected.model_validate(entry)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise SuiteError(f"{where} cannot be used: {problems}.") from None
        if not expected.parameters:
            _configure(expected, expected.kwargs, number, where)
        suite.append(expected)
    return suite


def references(suite: list[Expected]) -> set[str]:
    """The datasets that a suite's parameters are taken from."""
    named = {parameter for expected in suite for parameter in expected.parameters.values()}
    return {parameter.split("__")[0] for parameter in named if parameter != NOW}


def run_suite(
    suite: list[Expected], frame: pl.DataFrame, datasets: Mapping[str, pl.DataFrame], rows_are: str = "rows"
) -> list[Outcome]:
    """Check a frame; one outcome per expectation, in the suite's order.

    Args:
        datasets: where parameters come from. An expectation whose dataset is missing or empty is skipped.

    Raises:
        SuiteError: a parameter that names no column of its dataset, or a kwarg of a wrong type once it is resolved.
    """
    resolved, skipped = _resolve(suite, datasets)
    validate = _validator(frame.to_pandas())
    results = validate(
        {number: _configure(suite[number], kwargs, number) for number, kwargs in resolved.items()}, "SUMMARY"
    )
    outcomes = []
    for number, expected in enumerate(suite):
        if number in skipped:
            outcomes.append(Outcome(expected, expected.kwargs, True, {}, NO_ROWS, skipped=skipped[number]))
            continue
        success, result, error = results[number]
        outcome = Outcome(expected, resolved[number], success, result, NO_ROWS, error, rows_are=rows_are)
        if expected.meta.reject_rows and 0 < outcome.unexpected <= MAX_REJECTED_ROWS:
            _, complete, _ = validate({number: _configure(expected, resolved[number], number)}, "COMPLETE")[number]
            outcome = replace(outcome, rejected=np.array(complete["unexpected_index_list"], dtype=np.int64))
        outcomes.append(outcome)
    return outcomes


Checks = dict[int, tuple[bool, Result, str | None]]


def _validator(frame: pd.DataFrame) -> Callable[[dict[int, ExpectationConfiguration], Format], Checks]:
    """A function that runs numbered expectations on the frame."""
    batch = _whole_frames().get_batch({"dataframe": frame})

    def validate(configurations: dict[int, ExpectationConfiguration], result_format: Format) -> Checks:
        expectations = [configuration.to_domain_obj() for configuration in configurations.values()]
        if not expectations:
            return {}
        checked = batch.validate(gx.ExpectationSuite("suite", expectations=expectations), result_format=result_format)
        results: Checks = {
            one.expectation_config.meta["number"]: (
                bool(one.success),
                cast(Result, one.result),
                _error(one.exception_info),
            )
            for one in checked.results
            if one.expectation_config
        }
        # GX drops what it cannot use and reports it only in its log
        if missing := configurations.keys() - results.keys():
            raise SuiteError(f"Great Expectations gave no result for {[configurations[n].type for n in missing]}.")
        return results

    return validate


@cache
def _whole_frames() -> BatchDefinition[None]:
    """GX's data source for a frame in memory; one per process, because each context leaves a temporary folder."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("tables").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("whole")


def _configure(
    expected: Expected, kwargs: Kwargs, number: int, where: str = "an expectation"
) -> ExpectationConfiguration:
    """GX's form of the expectation, built here to check it, because a suite silently drops what it cannot build."""
    try:
        configuration = ExpectationConfiguration(
            type=expected.type,
            kwargs=dict(kwargs),
            severity=FailureSeverity(expected.severity),
            meta={"number": number},
        )
        configuration.to_domain_obj()
    except GxValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise SuiteError(f"{where}: {expected.type} does not take {kwargs}: {problems}.") from None
    except GreatExpectationsError as error:
        raise SuiteError(f"{where}: {error}. See greatexpectations.io for the types.") from None
    return configuration


def _resolve(suite: list[Expected], datasets: Mapping[str, pl.DataFrame]) -> tuple[dict[int, Kwargs], dict[int, str]]:
    """The kwargs of each expectation with parameters filled in; for the others, why they are skipped."""
    resolved: dict[int, Kwargs] = {}
    skipped: dict[int, str] = {}
    for number, expected in enumerate(suite):
        absent = [name for name in sorted(references([expected])) if name not in datasets or datasets[name].is_empty()]
        if absent:
            skipped[number] = f"not checked: {', '.join(absent)} cannot be used"
            continue
        values = {name: _parameter(parameter, datasets) for name, parameter in expected.parameters.items()}
        resolved[number] = {**expected.kwargs, **values}
    return resolved, skipped


def _parameter(parameter: str, datasets: Mapping[str, pl.DataFrame]) -> object:
    if parameter == NOW:
        return datetime.now(UTC).replace(tzinfo=None)
    dataset, _, rest = parameter.partition("__")
    column, _, extreme = rest.partition("__")
    if column not in datasets[dataset].columns or extreme not in ("", "min", "max"):
        raise SuiteError(
            f"The parameter '{parameter}' names nothing: allowed are <dataset>__<column>, with __min or __max, and "
            f"'{NOW}'; {dataset} has the columns {', '.join(datasets[dataset].columns)}."
        )
    values = datasets[dataset][column].drop_nulls()
    if extreme:
        return values.min() if extreme == "min" else values.max()
    return values.unique().sort().to_list()


def _is_parameter(value: object) -> TypeGuard[dict[str, str]]:
    return isinstance(value, dict) and set(value) == {PARAMETER}


def _error(exception_info: Any) -> str | None:
    """GX reports a check that failed to run as an exception of the check, or of each metric in it."""
    if not exception_info:
        return None
    nested = [exception_info] if "raised_exception" in exception_info else list(exception_info.values())
    messages = [str(one["exception_message"]).strip() for one in nested if one.get("raised_exception")]
    return messages[0][:300] if messages else None
