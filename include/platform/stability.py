"""How far rows have moved from those that a version was trained on: one measure for scored days and for the training
data of the next version. Pure.

The measure is the population stability index of a feature's bins, the sum of ``(found - expected) * ln(found /
expected)`` over the shares of rows. By chance alone it averages (bins - 1) / rows (Yurdakul and Naranjo, Statistical
properties of the population stability index, Journal of Risk Model Validation 14, 2020). That much is subtracted, so
that a day of few rows does not look like drift.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from include.models.config import DriftProfile, FeatureProfile, ModelConfig
from include.models.config.monitoring import GREAT

RAREST = 1e-4  # the least expected share of a bin: values never seen in training may occur now and then


@dataclass(frozen=True)
class Bin:
    """A range or category of a feature, with its share of rows before and now."""

    name: str
    expected: float
    found: float


def allowed_index(model: ModelConfig) -> float:
    """The threshold: a feature drifts above it."""
    return (model.monitoring.max_psi if model.monitoring else None) or GREAT


def stability_index(bins: Sequence[Bin], rows: int | None = None, design: float = 1.0) -> float:
    """The population stability index minus its expected value by chance, at least 0.

    Empty bins count as half a row, or half of the rows that come together, and bins that were empty in training as
    ``RAREST``.

    Args:
        rows: the number of current rows; None if there are so many that chance is negligible.
        design: how many times as far rows scatter as independent ones.
    """
    total, possible = 0.0, 0
    for one in bins:
        expected = max(one.expected, RAREST)
        found = max(one.found, min(0.5 * design / rows if rows else RAREST, expected))
        total += (found - expected) * log(found / expected)
        possible += one.expected > 0
    return max(0.0, total - (possible - 1) / rows) if rows else total


def bins_of_counts(known: FeatureProfile, counts: Sequence[int]) -> list[Bin]:
    """A feature's bins, with current rows counted in the bins of training (for a number, including those outside)."""
    there = 1 - known["missing"]
    shares = [share * there for share in known["shares"]]
    if "values" in known:
        expected = [*shares, max(0.0, there - sum(shares)), known["missing"]]
        names = [*known["values"], "any other", "no value"]
    else:
        expected = [0.0, *shares, 0.0, known["missing"]]
        names = ["below", *_ranges(known["edges"]), "above", "no value"]
    rows = sum(counts)
    return [Bin(name, share, count / rows) for name, share, count in zip(names, expected, counts, strict=True)]


def index_between(before: DriftProfile, after: DriftProfile) -> dict[str, float]:
    """The index of a version's training data against the previous version's, by feature that both have."""
    return {name: stability_index(_bins_between(before[name], after[name])) for name in before if name in after}


def _bins_between(before: FeatureProfile, after: FeatureProfile) -> list[Bin]:
    """The bins of ``before``, with open ends, as the other profile cannot tell how few rows lie beyond them. If a
    number became a text, no row lies in any of them."""
    there, still = 1 - before["missing"], 1 - after["missing"]
    expected = [share * there for share in before["shares"]]
    if ("values" in before) != ("values" in after):
        names, found = [""] * len(expected), [0.0] * len(expected)
        names, expected, found = [*names, "of another kind"], [*expected, 0.0], [*found, still]
    elif "values" in before:
        known = dict(zip(after["values"], after["shares"], strict=True))
        found = [known.get(value, 0.0) * still for value in before["values"]]
        names = [*before["values"], "any other"]
        expected, found = [*expected, max(0.0, there - sum(expected))], [*found, max(0.0, still - sum(found))]
    else:
        names = _ranges(before["edges"])
        below = [0.0, *(_share_below(after, edge) for edge in before["edges"]), 1.0]
        found = [(upper - lower) * still for lower, upper in itertools.pairwise(below)]
    bins = [Bin(name, share, now) for name, share, now in zip(names, expected, found, strict=True)]
    return [*bins, Bin("no value", before["missing"], after["missing"])]


def _share_below(profile: FeatureProfile, value: float) -> float:
    """The share of smaller values, assuming that they are spread evenly within a bin."""
    edges, shares = profile["edges"], profile["shares"]
    low, high = profile.get("min"), profile.get("max")
    ends = [low if low is not None else -float("inf"), *edges, high if high is not None else float("inf")]
    at = bisect_left(edges, value)
    start, end = ends[at], ends[at + 1]
    if value <= start:
        return sum(shares[:at])
    if value >= end:
        return sum(shares[: at + 1])
    width = end - start
    part = (value - start) / width if width < float("inf") else 0.5  # an open bin: no better estimate
    return sum(shares[:at]) + part * shares[at]


def _ranges(edges: Sequence[float]) -> list[str]:
    if not edges:
        return ["any"]
    inner = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
    return [f"< {edges[0]:.4g}", *inner, f"≥ {edges[-1]:.4g}"]
