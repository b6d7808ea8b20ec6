"""Whether the features that a version scores are still those that it was trained on. Pure; gathered by
``tasks.py``.

The measure is the population stability index of a feature's bins, the sum of ``(found - expected) * ln(found /
expected)`` over the shares of rows. By chance alone it is (bins - 1) / rows on average (Yurdakul and Naranjo,
Statistical properties of the population stability index, Journal of Risk Model Validation 14, 2020): that much is taken
off, so that a day of few rows is not taken for a drift.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Literal

from include.models.config import ModelConfig, Monitoring
from include.platform.pages import render

DRIFT_NAMESPACE = "ModelMonitoring"  # of CloudWatch's metrics; include/ops/infra names it too
RAREST = 1e-4  # the least share that is expected of a bin: what was never seen in training may be seen now and then

Profile = Mapping[str, Mapping[str, Any]]  # drift_profile.json, see include/jobs/features/drift_profile.py
DayProfile = Mapping[str, Any]  # _profile-<sha>.json: rows, features (rows by bin), predictions (rows by class, or sum)
Verdict = Literal["drifted", "stable", "too few rows"]


class DriftError(RuntimeError):
    """Drift cannot be measured; the message says why and what to do."""


@dataclass(frozen=True)
class Bin:
    """Where rows lie, and which share of them in training and in the window."""

    name: str
    expected: float
    found: float


@dataclass(frozen=True)
class Feature:
    """One feature's drift."""

    name: str
    psi: float
    state: Literal["drifted", "stable", "ignored"]
    bins: Sequence[Bin]

    @property
    def most_moved(self) -> Bin:
        return max(self.bins, key=lambda one: abs(one.found - one.expected))


@dataclass(frozen=True)
class Drift:
    """What a window of scored days looks like to the version that scored them.

    ``days``: the window's profiles by day, in order.
    """

    model: ModelConfig
    version: int
    day: str
    days: Mapping[str, DayProfile]
    features: Sequence[Feature]

    @property
    def settings(self) -> Monitoring:
        return monitoring_of(self.model)

    @property
    def rows(self) -> int:
        return sum(profile["rows"] for profile in self.days.values())

    @property
    def drifted(self) -> list[Feature]:
        return [feature for feature in self.features if feature.state == "drifted"]

    @property
    def verdict(self) -> Verdict:
        if self.rows < self.settings.min_rows:
            return "too few rows"
        return "drifted" if len(self.drifted) >= self.settings.drifted_features else "stable"

    @property
    def summary(self) -> str:
        """One sentence for a person."""
        days = f"{len(self.days)} days up to {self.day}" if len(self.days) > 1 else self.day
        window = f"{self.rows:,} rows of {days}, scored by version {self.version}"
        if self.verdict == "too few rows":
            return f"{self.model.name}: {window}, are too few to judge ({self.settings.min_rows:,} are needed)"
        if not self.drifted:
            return f"{self.model.name}: no feature has drifted in {window}"
        named = ", ".join(f"{one.name} ({one.psi:.2f})" for one in self.drifted[:5])
        more = f" and {len(self.drifted) - 5} more" if len(self.drifted) > 5 else ""
        return f"{self.model.name}: drifted in {window}: {named}{more}; {self.settings.max_psi:g} is allowed"

    def predictions(self) -> list[tuple[str, int, dict[str, float]]]:
        """Per day the rows and the share of each class, or the mean."""
        return [(day, profile["rows"], _predicted(profile)) for day, profile in self.days.items()]

    @property
    def predicted_names(self) -> list[str]:
        return sorted({name for _, _, shares in self.predictions() for name in shares})

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model.name,
            "date": self.day,
            "model_version": self.version,
            "verdict": self.verdict,
            "summary": self.summary,
            "rows": self.rows,
            "days": list(self.days),
            "psi": {feature.name: round(feature.psi, 4) for feature in self.features},
            "drifted": [feature.name for feature in self.drifted],
        }


def monitoring_of(model: ModelConfig) -> Monitoring:
    """Raises DriftError for a model that is not watched."""
    if model.monitoring is None:
        raise DriftError(f"models/{model.name}/model.yaml has no section 'monitoring': this model is not watched.")
    return model.monitoring


def measure(model: ModelConfig, version: int, profile: Profile, day: str, days: Mapping[str, DayProfile]) -> Drift:
    """The drift of a window's features, the most drifted first, the ignored last.

    Args:
        profile: of the version's training split.
        days: the window's days by date, all scored by the version.

    Raises:
        DriftError: model.yaml ignores a feature that there is not.
    """
    settings = monitoring_of(model)
    if unknown := sorted(set(settings.ignored) - profile.keys()):
        raise DriftError(
            f"models/{model.name}/model.yaml: monitoring.ignored names {', '.join(unknown)}; the features of version "
            f"{version} are {', '.join(profile)}."
        )
    scored = [one["features"] for one in days.values() if one["rows"]]
    features = []
    for name, known in profile.items() if scored else ():
        counts = [sum(rows) for rows in zip(*(one[name] for one in scored), strict=True)]
        bins = _bins(known, counts)
        psi = stability_index(bins, sum(counts))
        state: Literal["drifted", "stable", "ignored"] = "drifted" if psi > settings.max_psi else "stable"
        features.append(Feature(name, psi, "ignored" if name in settings.ignored else state, bins))
    return Drift(model, version, day, days, sorted(features, key=lambda one: (one.state == "ignored", -one.psi)))


def stability_index(bins: Sequence[Bin], rows: int) -> float:
    """The population stability index less what chance gives, at least 0.

    Empty bins count as half a row, and those that training has not filled as ``RAREST``.
    """
    total, possible = 0.0, 0
    for one in bins:
        expected = max(one.expected, RAREST)
        found = max(one.found, min(0.5 / rows, expected))
        total += (found - expected) * log(found / expected)
        possible += one.expected > 0
    return max(0.0, total - (possible - 1) / rows)


def _bins(known: Mapping[str, Any], counts: Sequence[int]) -> list[Bin]:
    there = 1 - float(known["missing"])
    shares = [float(share) * there for share in known["shares"]]
    if "values" in known:
        expected = [*shares, max(0.0, there - sum(shares)), float(known["missing"])]
        names = [*known["values"], "any other", "no value"]
    else:
        expected = [0.0, *shares, 0.0, float(known["missing"])]
        names = ["below", *_ranges(known["edges"]), "above", "no value"]
    rows = sum(counts)
    return [Bin(name, share, count / rows) for name, share, count in zip(names, expected, counts, strict=True)]


def _ranges(edges: Sequence[float]) -> list[str]:
    if not edges:
        return ["any"]
    inner = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
    return [f"< {edges[0]:.4g}", *inner, f"≥ {edges[-1]:.4g}"]


def _predicted(profile: DayProfile) -> dict[str, float]:
    rows, predictions = profile["rows"], profile["predictions"]
    if not rows:
        return {}
    if "sum" in predictions:
        return {"mean": predictions["sum"] / rows}
    return {name: count / rows for name, count in sorted(predictions.items())}


def page(drift: Drift) -> str:
    return render("drift.html.jinja", drift=drift)
