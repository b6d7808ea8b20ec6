"""The verdict of a day, which says which it is: the data, the world, or the model. Pure; gathered by ``tasks.py``.

Data faults come first: what a model makes of broken data says nothing about the model. A loss of performance that
labels show comes before what is estimated; an estimate counts only where it has been right on the test split's windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, TypedDict

from include.models.config import DayProfile, ModelConfig, Monitoring
from include.models.config.estimating import estimated
from include.models.config.watching import ClassAnswers, Reference, ValueAnswers
from include.monitor.drift import Drift
from include.monitor.faults import Fault, FaultJson
from include.platform.pages import render

Verdict = Literal["fine", "data fault", "drift without harm", "performance loss", "too little to say"]
BAD: tuple[Verdict, ...] = ("data fault", "drift without harm", "performance loss")
REMIND_AFTER = 7  # days


class PerformanceJson(TypedDict):
    """In one metric, what evaluation measured, what can be expected of the window's answers, how far such estimates
    were off on the test split's windows (mean), and what labels show with its 95 % interval; None what is not known."""

    metric: str
    evaluated: float | None
    estimated: float | None
    error: float | None
    realised: float | None
    interval: tuple[float, float] | None
    labelled: int
    loss: Literal["realised", "estimated"] | None


class VerdictJson(TypedDict):
    """``drift.json``: the day's verdict and what it rests on."""

    model: str
    date: str
    model_version: int
    verdict: Verdict
    summary: str
    advice: str
    since: str
    rows: int
    days: list[str]
    faults: list[FaultJson]
    psi: dict[str, float]
    allowed: dict[str, float]
    drifted: list[str]
    moved: list[str]
    performance: PerformanceJson | None


@dataclass(frozen=True)
class Realised:
    """What labels show of the window: rows that have one, the metric, its interval."""

    labelled: int
    value: float | None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Judged:
    """A day, judged. ``since``: the first day of those that have the verdict without a break."""

    drift: Drift
    faults: Sequence[Fault] = ()
    performance: PerformanceJson | None = None
    since: str = ""
    trend: Sequence[VerdictJson] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        loss = self.performance["loss"] if self.performance else None
        if self.faults:
            return "data fault"
        if loss == "realised":
            return "performance loss"
        if self.drift.rows < self.drift.settings.min_rows:
            return "too little to say"
        if loss:
            return "performance loss"
        return "drift without harm" if self.drift.has_drifted else "fine"

    @property
    def rests_on(self) -> str:
        """What the verdict rests on, in words."""
        match self.verdict:
            case "data fault":
                more = f"; and {len(self.faults) - 3} more" if len(self.faults) > 3 else ""
                return "; ".join(map(str, self.faults[:3])) + more
            case "performance loss":
                return f"{_in_words(self.performance)}" + (f"; drifted: {self.drift.told}" if self.drift.told else "")
            case "too little to say":
                return f"{self.drift.window}, and {self.drift.settings.min_rows:,} are needed"
            case "drift without harm":
                return f"{self.drift.told}; {_in_words(self.performance)}"
            case _:
                return f"no feature has drifted in {self.drift.window}; {_in_words(self.performance)}"

    @property
    def summary(self) -> str:
        """One sentence for a person."""
        lasting = f", since {self.since}" if self.since and self.since != self.drift.day else ""
        return f"{self.drift.model.name}: {self.verdict} on {self.drift.day}{lasting}: {self.rests_on}"

    @property
    def advice(self) -> str:
        """What to do."""
        match self.verdict:
            case "data fault":
                return (
                    "Repair the feed and deliver the days again; monitor_ has them scored then. Do not retrain on it."
                )
            case "performance loss":
                return "Look at the features and segments of the report; train again if the world has changed."
            case "drift without harm":
                return "Nothing has to be done while performance holds. Look at the features that moved."
            case "too little to say":
                return "Wait for more rows, or lower monitoring.min_rows or raise monitoring.window_days."
            case _:
                return "Nothing has to be done."

    def as_json(self) -> VerdictJson:
        return {
            "model": self.drift.model.name,
            "date": self.drift.day,
            "model_version": self.drift.version,
            "verdict": self.verdict,
            "summary": self.summary,
            "advice": self.advice,
            "since": self.since or self.drift.day,
            "rows": self.drift.rows,
            "days": list(self.drift.days),
            "faults": [fault.as_json() for fault in self.faults],
            "psi": {feature.name: round(feature.psi, 4) for feature in self.drift.features},
            "allowed": {feature.name: round(feature.allowed, 4) for feature in self.drift.features},
            "drifted": [feature.name for feature in self.drift.drifted],
            "moved": list(self.drift.moved),
            "performance": self.performance,
        }


def performance_of(
    model: ModelConfig, reference: Reference | None, days: Mapping[str, DayProfile], realised: Realised | None
) -> PerformanceJson | None:
    """What the window's answers are worth; None where nothing is known of that."""
    calibration = reference["calibration"] if reference else None
    if calibration is None or model.monitoring is None:
        return None
    metric, answers = calibration["metric"], _together([one.get("answers") or [] for one in days.values()])
    value, evaluated = estimated(calibration, answers).get(metric), calibration["metrics"].get(metric)
    errors = [abs(expected - measured) for expected, measured in calibration["windows"]]
    found: PerformanceJson = {
        "metric": metric,
        "evaluated": evaluated,
        "estimated": value,
        "error": sum(errors) / len(errors) if errors else None,
        "realised": realised.value if realised else None,
        "interval": realised.interval if realised else None,
        "labelled": realised.labelled if realised else 0,
        "loss": None,
    }
    allowed, better = model.monitoring.max_loss, model.evaluation_metrics[metric].better
    # of an error its share, as it has a unit
    scale = evaluated if model.problem == "regression" and evaluated else 1.0
    worse = [_lost(better, evaluated, measured) / scale for _, measured in calibration["windows"]]
    least = max([allowed, *(worse if model.problem == "regression" else [])])  # a week's error varies by itself
    if found["realised"] is not None and found["labelled"] >= model.monitoring.min_rows:
        if _lost(better, evaluated, found["realised"]) / scale > least:
            found["loss"] = "realised"
        return found  # labels decide
    if value is not None and found["error"] is not None and found["error"] / scale <= allowed / 2:
        lowest = max((_lost(better, evaluated, expected) for expected, _ in calibration["windows"]), default=0.0)
        if _lost(better, evaluated, value) / scale > max(allowed, lowest / scale):
            found["loss"] = "estimated"
    return found


def _lost(better: str | None, evaluated: float | None, value: float) -> float:
    """By how much a value is worse; below 0 where it is better."""
    if evaluated is None:
        return 0.0
    return value - evaluated if better == "minimize" else evaluated - value


def _in_words(found: PerformanceJson | None) -> str:
    if found is None or (found["realised"] is None and found["estimated"] is None):
        return "nothing says what the predictions are worth: no labels, and the version has no calibration"
    evaluated = f", evaluated {found['evaluated']:.3f}" if found["evaluated"] is not None else ""
    if found["realised"] is not None:
        ends = f", 95 % {found['interval'][0]:.3f} to {found['interval'][1]:.3f}" if found["interval"] else ""
        return f"{found['metric']} is {found['realised']:.3f} on {found['labelled']:,} labelled rows{ends}{evaluated}"
    off = f" (such estimates were {found['error']:.3f} off)" if found["error"] is not None else ""
    return f"{found['metric']} is estimated at {found['estimated']:.3f}{off}{evaluated}"


def _together(every: list[ClassAnswers | ValueAnswers]) -> ClassAnswers | ValueAnswers:
    """Counts of the same shape, added up."""
    given = [one for one in every if one]
    added: ClassAnswers | ValueAnswers = _add(given) if given else []
    return added


def _add(counts: list[Any]) -> Any:
    return [_add(list(some)) for some in zip(*counts, strict=True)] if isinstance(counts[0], list) else sum(counts)


def since_of(verdict: Verdict, day: str, version: int, before: VerdictJson | None) -> str:
    """Since when the verdict holds.

    Args:
        before: the day before, as it was judged.
    """
    same = before is not None and (before["verdict"], before["model_version"]) == (verdict, version)
    return before.get("since", before["date"]) if same and before else day


class Told(TypedDict):
    """``told.json``: what people know. ``what``: the faults or features that they were told of; ``on``: on which day;
    ``trained``: the day whose verdict started the last training, ``trained_by`` the run that did."""

    verdict: Verdict
    since: str
    on: str
    what: list[str]
    version: int
    trained: str | None
    trained_by: str | None


Telling = Literal["begins", "changes", "reminder", "is over"]


def to_tell(told: Told | None, found: VerdictJson) -> Telling | None:
    """Whether people are to be told of a day's verdict, by what they know; None if they need not be."""
    bad, known = found["verdict"] in BAD, told is not None and told["verdict"] in BAD
    if told is not None and found["date"] < told["on"]:
        return None  # a day gone by, scored only now
    if not known or told is None:
        return "begins" if bad else None
    if found["verdict"] == "fine":
        return "is over"
    if not bad:
        return None  # too little to say: neither over nor changed
    if found["verdict"] != told["verdict"] or set(what_of(found)) - set(told["what"]):
        return "changes"
    passed = date.fromisoformat(found["date"]) - date.fromisoformat(told["on"])
    return "reminder" if passed.days >= REMIND_AFTER else None


def what_of(found: VerdictJson) -> list[str]:
    """What a verdict is about, by names that do not change from day to day."""
    match found["verdict"]:
        case "data fault":
            return sorted({f"{one['table']}.{one['column'] or ''} {one['kind']}" for one in found["faults"]})
        case "performance loss":
            return [str((found["performance"] or {"loss": None})["loss"])]
        case _:
            return []


def may_train(settings: Monitoring, told: Told | None, found: VerdictJson, run_id: str) -> str | None:
    """Why a run starts no training because of a verdict; None if it does, or did before it was cleared."""
    if found["verdict"] == "data fault":
        return "the data is at fault, and would be learned"
    starts = {
        "on_performance": ("performance loss",),
        "on_drift": ("performance loss", "drift without harm"),
    }.get(settings.retrain, ())
    if found["verdict"] not in starts:
        return f"monitoring.retrain is {settings.retrain}, and the verdict {found['verdict']}"
    if told and told["trained"] and told["trained_by"] != run_id:
        passed = (date.fromisoformat(found["date"]) - date.fromisoformat(told["trained"])).days
        if passed < settings.cool_down_days:
            return f"the last was on {told['trained']}; monitoring.cool_down_days is {settings.cool_down_days}"
    return None


def page(judged: Judged) -> str:
    return render("drift.html.jinja", judged=judged, drift=judged.drift)
