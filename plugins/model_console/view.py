"""The content of a model's page. Pure: from its index and what Airflow says of its Dags."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from model_console.overview import SOUND, Dags, Question, usd_per_day, worth
from model_console.store import Index
from sagemaker_jobs.kinds import Json

MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{1,40}")
DAG_ID = re.compile(r"[a-z][a-z0-9_]{1,60}")
MONTHS = 6
WEEK = 7
PLOTTED = 120  # days
SOME = 2  # days, to draw a line
WAITS = "PendingManualApproval"


@dataclass(frozen=True)
class Cell:
    """A day of the calendar: ``kind`` is scored, changed (scored again), drifted, failed, missing or outside (the
    recorded range)."""

    day: date
    kind: str
    title: str


@dataclass(frozen=True)
class Version:
    """A version with its stage; ``report`` is the key of its evaluation report in the bucket; ``intervals`` and
    ``gates`` are by metric, in words."""

    version: int
    registered_at: str
    approval: str
    stage: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, str]
    gates: Mapping[str, Sequence[str]]
    facts: Mapping[str, str]
    report: str | None


@dataclass(frozen=True)
class Plot:
    """Lines over days, of the same scale from ``low`` to ``high``: each a name and polylines as of ``spark``."""

    title: str
    first: str
    last: str
    low: float
    high: float
    lines: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True)
class ModelPage:
    """``timeline``: events as (moment, text), newest first; ``weeks``: the calendar by week; ``drift``: the monitored
    days, newest first, with performance by their labels; ``plots``: the same days as lines."""

    versions: Sequence[Version]
    metric_names: Sequence[str]
    timeline: Sequence[tuple[str, str]]
    weeks: Sequence[Sequence[Cell]]
    drift: Sequence[tuple[str, Json, str | None]]
    plots: Sequence[Plot]
    drift_report: str | None
    questions: Sequence[Question]
    usd_per_day: float | None
    first_day: str
    last_day: str


def of_model(index: Index | None, dags: Dags, model: str, region: str) -> ModelPage:
    """A model's page; an empty one if the model has no index."""
    found: Index = index or {"production": [], "versions": [], "days": {}, "drift": {}}
    versions = [_version(each, found) for each in reversed(found["versions"])]
    last = max(found["days"], default="")
    watched = max(found["drift"], default=None)
    return ModelPage(
        versions=versions,
        metric_names=sorted({name for version in versions for name in version.metrics}),
        timeline=_timeline(found),
        weeks=_weeks(found, date.fromisoformat(last), dags.failed_days.get(f"score_{model}", ())) if last else (),
        drift=[(day, verdict, worth(found, day)) for day, verdict in sorted(found["drift"].items(), reverse=True)[:60]],
        plots=plots(found),
        drift_report=f"monitoring/{model}/date={watched}/report.html" if watched else None,
        questions=[question for question in dags.questions if question.model == model],
        usd_per_day=usd_per_day(found, region) if found["days"] else None,
        first_day=min(found["days"], default=""),
        last_day=last,
    )


def is_of_model(key: str, model: str) -> bool:
    """Whether an object belongs to a model: a report of its runs, or of its days."""
    if ".." in key.split("/"):
        return False
    folder, _, rest = key.partition("/")
    owner = rest.partition("/")[0]
    if folder == "runs":
        return owner.partition("_")[2] == model
    return owner == model


def spark(values: Sequence[float | None], beside: Sequence[float | None] = ()) -> list[str]:
    """Points of SVG polylines, 100 wide and 24 high, one for each stretch of values; none if no value is known.

    Args:
        beside: what else is drawn on the same scale.
    """
    known = [value for value in (*values, *beside) if value is not None]
    if not any(value is not None for value in values):
        return []
    low, high = min(known), max(known)
    step, scale = 100 / max(len(values) - 1, 1), 20 / (high - low or 1)
    lines: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            lines.append([])
        else:
            lines[-1].append(f"{place * step:.1f},{22 - (value - low) * scale:.1f}")
    return [" ".join(line if len(line) > 1 else line * 2) for line in lines if line]


def _shortened(interval: str) -> str:
    """Both ends with four digits that count: "0.766335 to 0.861046" as "0.7663 to 0.861"."""
    return re.sub(r"-?\d+\.\d+(e-?\d+)?", lambda found: f"{float(found[0]):.4g}", interval)


def version_of(index: Index | None, number: int) -> Version | None:
    """A version of the index; None if it does not have it."""
    found = next((each for each in (index or {}).get("versions", []) if each["version"] == number), None)
    return _version(found, index) if found and index else None


def plots(index: Index) -> list[Plot]:
    """Performance and drift of the last months with either; none of what is not known."""
    days = sorted({*index["drift"], *index.get("performance", {})})[-PLOTTED:]
    if len(days) < SOME:
        return []
    first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    every = [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]
    worth, drift = index.get("performance", {}), index["drift"]
    metric = next(
        (found["metric"] for found in (*worth.values(), *drift.values()) if found.get("metric")), "performance"
    )
    of = {
        f"{metric} of the window up to each day": {
            "realised": [worth.get(day, {}).get("value") for day in every],
            "estimated": [drift.get(day, {}).get("estimated") for day in every],
        },
        "Drifted features": {"drifted": [float(len(drift[day]["drifted"])) if day in drift else None for day in every]},
    }
    return [plot for title, lines in of.items() if (plot := _plot(title, every, lines))]


def _plot(title: str, days: Sequence[str], lines: Mapping[str, Sequence[float | None]]) -> Plot | None:
    known = [value for values in lines.values() for value in values if value is not None]
    if not known:
        return None
    drawn = [(name, spark(values, known)) for name, values in lines.items()]
    return Plot(title, days[0], days[-1], min(known), max(known), [(name, line) for name, line in drawn if line])


def _version(found: Json, index: Index) -> Version:
    entries = [entry for entry in index["production"] if entry["version"] == found["version"]]
    serves = any(entry["to"] is None for entry in entries)
    uri = found["facts"].get("evaluation_report", "")
    return Version(
        version=found["version"],
        registered_at=found["registered_at"],
        approval=found["approval"],
        stage="in production" if serves else "was in production" if entries else "registered",
        metrics=found["metrics"],
        intervals={
            name.removeprefix("interval_"): _shortened(text)
            for name, text in found["facts"].items()
            if name.startswith("interval_")
        },
        gates=found.get("gates", {}),
        facts=found["facts"],
        report=uri.partition("//")[2].partition("/")[2] or None,
    )


def _timeline(index: Index) -> list[tuple[str, str]]:
    registered = [
        (
            version["registered_at"],
            f"version {version['version']} registered ({version['approval'].replace(WAITS, 'waits for approval')})"
            + (f", trained because of {started}" if (started := version["facts"].get("started_by")) else ""),
        )
        for version in index["versions"]
    ]
    decided = [
        (
            facts["promotion_at"],
            f"version {version['version']} {facts.get('promotion_decision', 'decided')} by {facts.get('promotion_by')}"
            + (f": {facts['promotion_reason']}" if facts.get("promotion_reason") else ""),
        )
        for version in index["versions"]
        if "promotion_at" in (facts := version["facts"])
    ]
    served = [
        (
            entry["from"],
            f"rolled back to version {entry['version']}"
            if entry["dag_id"] == "rollback"
            else f"version {entry['version']} in production, by {entry['dag_id']}",
        )
        for entry in index["production"]
    ]
    ended = [entry["to"] for entry in index["production"][-1:] if entry["to"]]
    served += [(moment, "retired: nothing is in production") for moment in ended]
    drifted = [
        (day, found["summary"] or found["verdict"])
        for day, found in index["drift"].items()
        if found["verdict"] not in SOUND and index["drift"].get(_before(day), {}).get("verdict") != found["verdict"]
    ]
    happened = [(moment[:19].replace("T", " "), what) for moment, what in (*registered, *decided, *served, *drifted)]
    return sorted(happened, reverse=True)[:40]


def _before(day: str) -> str:
    return (date.fromisoformat(day) - timedelta(days=1)).isoformat()


def _weeks(index: Index, last: date, failed: Sequence[str]) -> list[list[Cell]]:
    """Whole weeks from Monday, newest first; the first contains the last day that was scored, or failed to be."""
    last = max([last, *(date.fromisoformat(day) for day in failed)])
    monday = last - timedelta(days=last.weekday())
    first = monday - timedelta(days=MONTHS * 30 // WEEK * WEEK)
    known_from = date.fromisoformat(min(index["days"]))
    weeks = (monday - first).days // WEEK + 1
    return [
        [_cell(index, first + timedelta(days=week * WEEK + day), known_from, last, failed) for day in range(WEEK)]
        for week in reversed(range(weeks))
    ]


def _cell(index: Index, day: date, known_from: date, last: date, failed: Sequence[str]) -> Cell:
    text = day.isoformat()
    scored = index["days"].get(text)
    if scored is None and text in failed:
        return Cell(day, "failed", f"{text}: its scoring failed")
    if scored is None:
        outside = not known_from <= day <= last
        return Cell(day, "outside" if outside else "missing", f"{text}: {'no scores' if outside else 'missing'}")
    verdict = index["drift"].get(text, {}).get("verdict", SOUND[0])
    title = f"{text}: {scored['rows']:,} rows, version {scored['version']}"
    if verdict not in SOUND:
        return Cell(day, "drifted", f"{title}, {verdict}")
    return Cell(day, "changed", f"{title}, scored again") if scored.get("again") else Cell(day, "scored", title)
