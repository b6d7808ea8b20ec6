"""The verdict of a day: is it the data, the world, or the model? Pure; ``tasks.py`` gathers the data.

Data faults come first: what a model makes of broken data says nothing about the model. A realised loss of performance
precedes an estimated one; an estimate counts only where it was right on the test split's windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from statistics import fmean
from typing import Literal, NotRequired, TypedDict

from include.models.config import ClusterSplit, DayProfile, ModelConfig, Monitoring, TimeSplit
from include.models.config.drift_profile import TrafficDay
from include.models.config.fault import Fault, FaultJson
from include.models.config.performance import Performance
from include.models.config.watching import CapturedDay, Reference, ServedDay
from include.models.config.wording import counted
from include.monitor.drift import Drift, monitoring_of
from include.monitor.labels import after
from include.monitor.performance import PerformanceJson, in_words, may_decide, worst_first
from include.monitor.trend import Trend
from include.platform.pages import render

Verdict = Literal["fine", "data fault", "drift without harm", "performance loss", "too little to say"]
BAD: tuple[Verdict, ...] = ("data fault", "drift without harm", "performance loss")
REMIND_AFTER = 7  # days


class VerdictJson(TypedDict):
    """``drift.json``: the day's verdict and its evidence. ``left_out``: the window's days with a data fault."""

    model: str
    date: str
    model_version: int
    verdict: Verdict
    summary: str
    advice: str
    since: str
    rows: int
    days: list[str]
    left_out: NotRequired[list[str]]
    faults: list[FaultJson]
    psi: dict[str, float]
    allowed: dict[str, float]
    drifted: list[str]
    moved: list[str]
    performance: PerformanceJson | None
    traffic: TrafficJson | None


class TrafficJson(TypedDict):
    """What an endpoint was asked on the day, without the profile of it."""

    captured: CapturedDay
    served: ServedDay


@dataclass(frozen=True)
class Volume:
    """The rows of a raw table, by day; ``usual``: the mean of training's days, and the fewest and the most."""

    table: str
    usual: float
    span: tuple[int, int]
    rows: Mapping[str, int]


def volumes_of(reference: Reference | None, days: Mapping[str, DayProfile]) -> list[Volume]:
    """Of each table that training counts by day too; none if its rows have no time."""
    if reference is None or not reference["timed"]:
        return []
    counted = {day: one["tables"] for day, one in days.items() if one.get("tables")}
    found = []
    for name in dict.fromkeys(table for tables in counted.values() for table in tables):
        if usual := [tables[name]["rows"] for tables in reference["days"].values() if name in tables]:
            rows = {day: tables[name]["rows"] for day, tables in counted.items() if name in tables}
            found.append(Volume(name, fmean(usual), (min(usual), max(usual)), rows))
    return found


@dataclass(frozen=True)
class Judged:
    """A judged day. ``since``: the first of the consecutive days with this verdict. ``late``: labels are late, which
    says less than a loss that the predictions show. ``traffic``: of an endpoint's day. ``volumes``: of raw tables.
    ``left_out``: the window's days with a data fault, which say nothing about the model."""

    drift: Drift
    faults: Sequence[Fault] = ()
    late: Fault | None = None
    performance: PerformanceJson | None = None
    since: str = ""
    traffic: TrafficDay | None = None
    volumes: Sequence[Volume] = ()
    left_out: Sequence[str] = ()

    @property
    def verdict(self) -> Verdict:
        loss = self.performance["loss"] if self.performance else None
        if self.faults:
            return "data fault"
        if loss == "realised":
            return "performance loss"
        if self.drift.rows < self.drift.settings.min_rows:
            return "data fault" if self.late else "too little to say"
        if loss:
            return "performance loss"
        if self.late:
            return "data fault"
        if self.drift.has_drifted:
            return "drift without harm"
        return "too little to say" if self.is_unclear else "fine"

    @property
    def is_unclear(self) -> bool:
        """Performance has dropped, but the evaluation is too uncertain to call that a loss."""
        return self.performance is not None and self.performance["unclear"]

    @property
    def trusts_estimate(self) -> bool:
        return self.performance is not None and may_decide(self.drift.model, self.performance)

    @property
    def every_fault(self) -> list[Fault]:
        return [*self.faults, *([self.late] if self.late else [])]

    @property
    def rests_on(self) -> str:
        """The evidence for the verdict, in words."""
        match self.verdict:
            case "data fault":
                more = f"; and {len(self.every_fault) - 3} more" if len(self.every_fault) > 3 else ""
                return "; ".join(map(str, self.every_fault[:3])) + more
            case "performance loss":
                return f"{in_words(self.performance)}" + (f"; drifted: {self.drift.told}" if self.drift.told else "")
            case "too little to say" if self.drift.rows >= self.drift.settings.min_rows:
                return f"{in_words(self.performance)}: the evaluation is too uncertain to call that a loss"
            case "too little to say":
                return f"{self.drift.window}, but {self.drift.settings.min_rows:,} are needed"
            case "drift without harm":
                return f"{self.drift.told}; {in_words(self.performance)}"
            case _:
                return f"{self._few_drifted} in {self.drift.window}; {in_words(self.performance)}"

    @property
    def _few_drifted(self) -> str:
        """Of a day without drift."""
        if not self.drift.drifted:
            return "no feature has drifted"
        drifted = f"{len(self.drift.drifted)} of {counted(len(self.drift.features), 'feature')} drifted"
        return f"{drifted}, fewer than the {self.drift.settings.drifted_features} of monitoring.drifted_features,"

    @property
    def summary(self) -> str:
        """The verdict in one sentence."""
        lasting = f", since {self.since}" if self.since and self.since != self.drift.day else ""
        about = f"{self.drift.model.name}, endpoint" if self.traffic else self.drift.model.name
        matters = self.left_out and self.verdict != "data fault"
        without = f"; days with a data fault are left out: {', '.join(self.left_out)}" if matters else ""
        return f"{about}: {self.verdict} on {self.drift.day}{lasting}: {self.rests_on}{without}"

    @property
    def advice(self) -> str:
        """What to do, in a few sentences."""
        name = self.drift.model.name
        match self.verdict:
            case "data fault":
                if not self.faults:
                    return (
                        "Deliver the labels, or correct the file if there is one that cannot be used; the next run of "
                        f"monitor_{name} joins them. Until then, estimates must do."
                    )
                if self.traffic and {fault.kind for fault in self.faults} == {"unread"}:
                    return (
                        "Look at the day's files of data capture, below capture/ in the bucket: what writes them, or "
                        "job code that reads them, has changed. Repair that, then clear find_captures of the day."
                    )
                if self.traffic:
                    return "Ask the endpoint's callers: what they send has changed, or they stopped sending."
                return (
                    f"Repair the feed and deliver the days again; monitor_{name} then rescores them. Do not retrain on "
                    f"them. If the change is here to stay, such as a new type of machine, start train_{name} yourself."
                )
            case "performance loss" if self.performance and self.performance.get("faulty"):
                return (
                    "The loss may be of the labelled days with a data fault: deliver them again, or wait until they "
                    "have left the window."
                )
            case "performance loss":
                return "Look at the features and segments of the report; train again if the world has changed."
            case "drift without harm":
                where = "the features that drifted" if self.drift.drifted else "the predictions in the report"
                return f"Nothing needs to be done while performance holds. Look at {where}."
            case "too little to say" if self.drift.rows >= self.drift.settings.min_rows:
                return "Look at the segments of the report. The next training is evaluated on more rows."
            case "too little to say":
                return "Wait for more rows, or lower monitoring.min_rows or raise monitoring.window_days."
            case _:
                return "Nothing needs to be done."

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
            "left_out": list(self.left_out),
            "faults": [fault.as_json() for fault in self.every_fault],
            "psi": {feature.name: round(feature.psi, 4) for feature in self.drift.features},
            "allowed": {feature.name: round(feature.allowed, 4) for feature in self.drift.features},
            "drifted": [feature.name for feature in self.drift.drifted],
            "moved": list(self.drift.moved),
            "performance": self.performance,
            "traffic": self.traffic and {"captured": self.traffic["captured"], "served": self.traffic["served"]},
        }


def faulty_days(verdicts: Iterable[VerdictJson | None]) -> set[str]:
    """The days whose data is faulty: those of the windows in which a fault shows. Late labels are no fault of rows."""
    return {
        after(one["date"], -back)
        for one in verdicts
        if one
        for fault in one["faults"]
        if fault["kind"] != "late labels"
        for back in range(fault.get("days", 1))
    }


def since_of(verdict: Verdict, day: str, version: int, before: VerdictJson | None) -> str:
    """The day since which the verdict holds.

    Args:
        before: the newest verdict of a day before.
    """
    same = before is not None and (before["verdict"], before["model_version"]) == (verdict, version)
    return before.get("since", before["date"]) if same and before else day


class Told(TypedDict):
    """``told.json``: what people know. ``what``: the reported faults or features; ``on``: on which day; ``trained``:
    the day whose verdict started the last training; ``trained_by``: the run that did."""

    verdict: Verdict
    since: str
    on: str
    what: list[str]
    version: int
    trained: str | None
    trained_by: str | None


Telling = Literal["begins", "changes", "reminder", "is over"]


def to_tell(told: Told | None, found: VerdictJson) -> Telling | None:
    """What to tell people about a day's verdict, given what they know; None if nothing."""
    bad, known = found["verdict"] in BAD, told is not None and told["verdict"] in BAD
    if told is not None and found["date"] < told["on"]:
        return None  # a past day, scored only now
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
    """What a verdict is about, by names that are stable from day to day."""
    match found["verdict"]:
        case "data fault":
            return sorted({f"{one['table']}.{one['column'] or ''} {one['kind']}" for one in found["faults"]})
        case "performance loss":
            return [str((found["performance"] or {"loss": None})["loss"])]
        case _:
            return []


WORLD: tuple[Verdict, ...] = ("drift without harm", "performance loss")  # the world has changed, not its data


def days_to_look_back(model: ModelConfig, day: str) -> list[str]:
    """The last days that a training of the day would learn from: if one of them had already changed, the change is
    learned.

    Otherwise the training waits, as the change is too new. Only the day itself if rows are split at random: the newest
    are in every part then.
    """
    split, settings, last = model.split, monitoring_of(model), date.fromisoformat(day)
    if not isinstance(split, TimeSplit):
        return [day]
    shorter, horizon = split.held_out(*settings.retrain.held_out), split.gap_hours / 24  # the newest have no label yet
    in_between = 0.0 if isinstance(shorter, ClusterSplit) else shorter.test_days + shorter.validation_days + 2 * horizon
    needed = ceil(in_between + horizon) + settings.retrain.learn_days
    return [
        (last - timedelta(days=back)).isoformat() for back in range(needed + settings.window_days - 1, needed - 1, -1)
    ]


def changed_on(version: int, verdicts: Iterable[VerdictJson | None]) -> str | None:
    """The first day on which the world had changed for the version, not only its data; None if there is none."""
    of_version = (one for one in verdicts if one and one["model_version"] == version)
    return next((one["date"] for one in of_version if one["verdict"] in WORLD and not _faulty_labels(one)), None)


def _faulty_labels(found: VerdictJson) -> list[str]:
    """The days with a data fault among the labelled ones whose loss decides a verdict."""
    performance = found.get("performance")
    return performance.get("faulty", []) if performance else []


def may_train(
    settings: Monitoring,
    told: Told | None,
    found: VerdictJson,
    run_id: str,
    changed: str | None,
    later: str | None = None,
) -> str | None:
    """Why a verdict starts no training; None if it does, or already did before the task was cleared.

    Args:
        changed: the day of ``days_to_look_back`` since which the world had changed.
        later: a day after the verdict's that has been judged already.
    """
    if found["verdict"] == "data fault":
        return "the data is faulty, and would be learned"
    starts = {
        "on_performance": ("performance loss",),
        "on_drift": ("performance loss", "drift without harm"),
    }.get(settings.retrain.when, ())
    if found["verdict"] not in starts:
        return f"monitoring.retrain is {settings.retrain.when}, and the verdict {found['verdict']}"
    if faulty := _faulty_labels(found):
        return f"of the days whose labels show the loss, these have a data fault: {', '.join(faulty)}"
    if changed is None:
        return "the change is too new: it lies in the days held out, which a training does not learn from"
    if told and told["trained_by"] == run_id:
        return None
    if later:
        return f"{later} has been judged already, and the newest day decides"
    if told and told["trained"]:
        passed = (date.fromisoformat(found["date"]) - date.fromisoformat(told["trained"])).days
        if passed < settings.cool_down_days:
            return f"the last training was on {told['trained']}; monitoring.cool_down_days is {settings.cool_down_days}"
    return None


def page(
    judged: Judged,
    trend: Trend | None = None,
    worth: Performance | None = None,
    links: Mapping[str, str] | None = None,
) -> str:
    """The day's report as HTML.

    Args:
        worth: performance of the newest day with labels, by segment and against baselines.
        links: addresses by what is there.
    """
    known = judged.performance
    segments = worst_first(known["metric"], worth) if worth and known else {}
    shown = {"judged": judged, "drift": judged.drift, "trend": trend, "worth": worth, "segments": segments}
    return render("drift.html.jinja", **shown, links=links or {})
