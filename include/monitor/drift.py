"""Whether the features that a version scores are still those that it was trained on, by the measure of
``include.platform.stability``. Pure; gathered by ``tasks.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

from include.models.config import DayProfile, DriftProfile, ModelConfig, Monitoring
from include.platform.errors import PermanentError
from include.platform.pages import render
from include.platform.stability import Bin, bins_of_counts, stability_index

DRIFT_NAMESPACE = "ModelMonitoring"  # of CloudWatch's metrics; include/ops/infra names it too

Verdict = Literal["drifted", "stable", "too few rows"]


class DriftError(PermanentError):
    """Drift cannot be measured; the message says why and what to do."""


class Measured(TypedDict):
    """``drift.json``: the verdict, and the index of each feature, the most drifted first."""

    model: str
    date: str
    model_version: int
    verdict: Verdict
    summary: str
    rows: int
    days: list[str]
    psi: dict[str, float]
    drifted: list[str]


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

    def as_json(self) -> Measured:
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


def measure(model: ModelConfig, version: int, profile: DriftProfile, day: str, days: Mapping[str, DayProfile]) -> Drift:
    """The drift of a window's features, the most drifted first, the ignored last.

    Args:
        profile: of the version's training split.
        days: the window's days by date, all scored by the version.

    Raises:
        DriftError: model.yaml ignores a feature that does not exist.
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
        bins = bins_of_counts(known, counts)
        psi = stability_index(bins, sum(counts))
        state: Literal["drifted", "stable", "ignored"] = "drifted" if psi > settings.max_psi else "stable"
        features.append(Feature(name, psi, "ignored" if name in settings.ignored else state, bins))
    return Drift(model, version, day, days, sorted(features, key=lambda one: (one.state == "ignored", -one.psi)))


def _predicted(profile: DayProfile) -> dict[str, float]:
    rows, predictions = profile["rows"], profile["predictions"]
    if not rows:
        return {}
    if "sum" in predictions:
        return {"mean": predictions["sum"] / rows}
    return {name: count / rows for name, count in sorted(predictions.items())}


def page(drift: Drift) -> str:
    return render("drift.html.jinja", drift=drift)
