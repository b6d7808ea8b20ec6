"""The first expectations of a new model: the data stays as ``make new-model`` saw it."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from include.models.config import Json
from include.models.tabular.column_profile import Profile

MOST_LISTED = 50  # categories that an expectation names


def raw_suite(found: Profile, frame: pl.DataFrame) -> list[dict[str, Json]]:
    """The file's content as expectations. Labels may be missing: rows to score have none yet."""
    target = frame[found.target]
    suite = []
    if found.classes:
        values = target.unique().sort().to_list()
        suite.append(
            _in_set(found.target, values, "critical", 1.0, "Correct the label, or add the class to model.yaml.")
        )
    else:
        suite.append(_between(found.target, target, "warning", "Check whether the target still means the same."))
    for name in found.features:
        suite += _usual(found, frame[name], "raw data")
    return suite


def feature_suite(found: Profile, frame: pl.DataFrame) -> list[dict[str, Json]]:
    """Suspected leaks have none, so that they can be excluded in model.yaml alone; the raw table's suite has them."""
    rows: dict[str, Json] = {
        "type": "expect_table_row_count_to_be_between",
        "kwargs": {"min_value": 5},
        "severity": "critical",
        "meta": {"action": "Provide more data, or larger shares in model.yaml's split."},
    }
    label = _not_null(found.target, "critical", None, "Look at build_features: it drops rows without a label.")
    kept = [name for name in found.features if name not in found.suspects]
    return [rows, label, *(one for name in kept for one in _usual(found, frame[name], "features"))]


def _usual(found: Profile, series: pl.Series, where: str) -> list[dict[str, Json]]:
    missing = found.columns[series.name]["missing"]
    mostly = round(max(0.0, 1 - 1.5 * missing - 0.05), 3)
    suite = []
    if mostly > 0:
        action = (
            f"Find out where the values got lost: {missing:.1%} were missing in the data that this suite was made from."
        )
        suite.append(_not_null(series.name, "warning", mostly, action))
    known = series.drop_nulls()
    if series.dtype == pl.String:
        if known.n_unique() <= MOST_LISTED:
            action = f"New values in the {where} count as 'other' until the model is trained again."
            suite.append(_in_set(series.name, known.unique().sort().to_list(), "warning", 0.95, action))
        return suite
    return [*suite, _between(series.name, known, "warning", "Look at the source: values far from earlier ones.")]


def _between(name: str, known: pl.Series, severity: str, action: str) -> dict[str, Json]:
    """Within the observed range, extended by its width on each side."""
    low, high = float(known.min()), float(known.max())  # type: ignore[arg-type] # numbers
    span = (high - low) or max(abs(high), 1.0)
    kwargs: dict[str, Json] = {"column": name, "min_value": low - span, "max_value": high + span, "mostly": 0.99}
    return _expectation("expect_column_values_to_be_between", kwargs, severity, action)


def _not_null(name: str, severity: str, mostly: float | None, action: str) -> dict[str, Json]:
    kwargs: dict[str, Json] = {"column": name, **({"mostly": mostly} if mostly is not None else {})}
    return _expectation("expect_column_values_to_not_be_null", kwargs, severity, action)


def _in_set(name: str, values: list[Json], severity: str, mostly: float, action: str) -> dict[str, Json]:
    kwargs: dict[str, Json] = {"column": name, "value_set": values, "mostly": mostly}
    return _expectation("expect_column_values_to_be_in_set", kwargs, severity, action)


def _expectation(kind: str, kwargs: Mapping[str, Json], severity: str, action: str) -> dict[str, Json]:
    meta: dict[str, Json] = {"action": action}
    mostly = kwargs.get("mostly")
    if isinstance(mostly, float) and mostly < 1.0:
        meta["tolerated"] = True
    return {"type": kind, "kwargs": dict(kwargs), "severity": severity, "meta": meta}
