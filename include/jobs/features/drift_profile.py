"""The distribution of features: of a version's training split, and of rows scored since, in the same bins.

A profile has, per feature, the share of rows without a value (``missing``) and the distribution of the rest: for a
number, the minimum and maximum (``min``, ``max``) and the inner ``edges`` of its quantile bins; for a text, its most
frequent ``values``. ``shares`` are those of each bin or value among the rows with a value.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from include.models.config import DriftProfile, FeatureProfile
from include.models.interface import Array

BINS = 10
MOST_VALUES = 50

Counts = dict[str, list[int]]


def drift_profile(features: pl.DataFrame) -> dict[str, FeatureProfile]:
    """The profile of a feature table."""
    return {
        series.name: (_values_of if series.dtype == pl.String else _bins_of)(
            series.drop_nulls(), series.null_count() / len(series)
        )
        for series in features
    }


def count_rows(features: pl.DataFrame, profile: DriftProfile) -> Counts:
    """Row counts per feature of the profile. For a number: below training's minimum, in each bin, above the maximum,
    and missing; for a text: at each value, at any other, and missing."""
    return {
        name: (_rows_at_values if "values" in known else _rows_in_bins)(features[name], known)
        for name, known in profile.items()
    }


def add_counts(total: Counts, more: Counts) -> Counts:
    """The rows of both."""
    return {
        name: [a + b for a, b in zip(total.get(name, [0] * len(rows)), rows, strict=True)]
        for name, rows in more.items()
    }


def _bins_of(known: pl.Series, missing: float) -> FeatureProfile:
    values = known.cast(pl.Float64).to_numpy()
    edges = _edges_of(values)
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    low, high = (float(values.min()), float(values.max())) if len(values) else (None, None)
    shares = (counts / max(len(values), 1)).tolist()
    return {"edges": edges, "shares": shares, "min": low, "max": high, "missing": missing}


def _edges_of(values: Array) -> list[float]:
    """Inner edges of equally filled bins. If values repeat, there are fewer bins, and a value that would fill a bin
    alone gets its own: otherwise more zeros, for example, would go unnoticed."""
    if not len(values):
        return []
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    if len(edges) < BINS - 1:
        distinct, counts = np.unique(values, return_counts=True)
        after = np.flatnonzero(counts >= len(values) / BINS) + 1
        edges = np.union1d(edges, distinct[after[after < len(distinct)]])
    return [float(edge) for edge in edges]


def _values_of(known: pl.Series, missing: float) -> FeatureProfile:
    counts = known.value_counts().sort(["count", known.name], descending=[True, False]).head(MOST_VALUES)
    shares = (counts["count"] / max(len(known), 1)).to_list()
    return {"values": counts[known.name].to_list(), "shares": shares, "missing": missing}


def _rows_in_bins(series: pl.Series, known: FeatureProfile) -> list[int]:
    values = series.cast(pl.Float64).fill_nan(None).drop_nulls().to_numpy()
    # older versions have no minimum and maximum: then the outer bins are open
    low, high = known.get("min"), known.get("max")
    below = 0 if low is None else int((values < low).sum())
    above = 0 if high is None else int((values > high).sum())
    edges = known["edges"]
    inside = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1).tolist()
    inside[0] -= below
    inside[-1] -= above
    return [below, *inside, above, len(series) - len(values)]


def _rows_at_values(series: pl.Series, known: FeatureProfile) -> list[int]:
    present = series.cast(pl.String).drop_nulls()
    counts = dict(present.value_counts().iter_rows())
    at = [int(counts.get(value, 0)) for value in known["values"]]
    return [*at, len(present) - sum(at), len(series) - len(present)]
