"""A model's row in the console. Pure: from its index and Airflow's state of its Dags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from model_console.costs import Jobs, Line
from model_console.store import Index
from sagemaker_jobs.account import account, total_usd
from sagemaker_jobs.kinds import Json
from sagemaker_jobs.schedules import OFF, WHEN_TRIGGERED

VERBS = ("train", "score", "deploy", "monitor")
TREND_DAYS = 30
UNDECIDED = ("too little to say", "too few rows")
SOUND = ("fine", "stable", *UNDECIDED)  # "stable" and "too few rows" were written by earlier versions
HARMLESS = "drift without harm"
Tone = Literal["good", "warn", "bad", "quiet"]


@dataclass(frozen=True)
class State:
    """A model's state in one word, its colour, and the reason."""

    word: str
    tone: Tone
    why: str = ""


@dataclass(frozen=True)
class Question:
    """A pending decision. ``path`` is its form in Airflow, ``packet`` the key of its page in the bucket, empty if it
    has none."""

    model: str
    dag_id: str
    subject: str
    body: str
    asked_at: str
    path: str
    for_whom: str
    packet: str = ""


@dataclass(frozen=True)
class Dags:
    """Airflow's state: Dags by id, failed runs of the last week by Dag and the days that they were about, open
    questions; for Health also import errors by file and pools by name."""

    by_id: Mapping[str, Json] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    failed_days: Mapping[str, Sequence[str]] = field(default_factory=dict)
    questions: Sequence[Question] = ()
    broken: Mapping[str, str] = field(default_factory=dict)
    pools: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A model, as the list shows it. ``realised`` and ``estimated`` are its performance day by day, the newest last,
    None if a day has none; ``rows`` those of the last scored day; ``usd`` what its jobs and its endpoints cost this
    month, None if a price is unknown; ``worth`` what the newest labels show, and ``worth_until`` up to which day."""

    model: str
    description: str
    owner: str
    state: State
    version: int | None
    since: str | None
    by: str | None
    last_day: str | None
    days_late: int | None
    waiting: int
    failed: int
    next_run: str | None
    realised: Sequence[float | None]
    estimated: Sequence[float | None]
    rows: int | None
    usd: float | None
    worth: str | None = None
    worth_until: str | None = None


def row(model: str, index: Index | None, dags: Dags, today: date, jobs: Jobs, served: Sequence[Line] = ()) -> Row:
    """A model's row.

    Args:
        jobs: of this month, with what they have cost.
        served: likewise, its endpoints.
        index: None for a model that nothing was recorded of yet.
        today: in UTC.
    """
    found: Index = index or {"description": "", "owner": "", "production": [], "versions": [], "days": {}, "drift": {}}
    champion = next((entry for entry in reversed(found["production"]) if entry["to"] is None), None)
    last_day = max(found["days"], default=None)
    own = {f"{verb}_{model}": dags.by_id.get(f"{verb}_{model}", {}) for verb in VERBS}
    questions = [question for question in dags.questions if question.model == model]
    late = days_late(own.get(f"score_{model}", {}), last_day, today)
    failed = sum(dags.failed.get(dag_id, 0) for dag_id in own)
    decided = _facts(found, champion["version"]) if champion else {}
    labelled = max(found.get("performance", {}), default=None)
    days = _last_days(today if last_day is None else date.fromisoformat(last_day))
    return Row(
        model=model,
        description=found["description"] or _description(own),
        owner=found["owner"] or ", ".join(own[f"train_{model}"].get("owners", [])),
        state=_state(found, champion, late, failed),
        version=champion["version"] if champion else None,
        since=champion["from"][:10] if champion else None,
        by=decided.get("promotion_by"),
        last_day=last_day,
        days_late=late,
        waiting=len(questions) + _unapproved(found, champion),
        failed=failed,
        next_run=min((dag["next_dagrun_run_after"] for dag in own.values() if _comes(dag)), default=None),
        realised=[found.get("performance", {}).get(day, {}).get("value") for day in days],
        estimated=[found["drift"].get(day, {}).get("estimated") for day in days],
        rows=found["days"][last_day]["rows"] if last_day else None,
        usd=total_usd([*(job["usd"] for job in jobs.values()), *(line.usd for line in served)]),
        worth=worth(found, labelled) if labelled else None,
        worth_until=labelled,
    )


def worth(index: Index, day: str) -> str | None:
    """Performance of the window up to a day, by its labels, as text; None until they arrive."""
    found = index.get("performance", {}).get(day)
    return f"{found['metric']} {found['value']:.4g}" if found and found["value"] is not None else None


def usd_per_day(index: Index, region: str) -> float | None:
    """The average cost of scoring a day, over the newest 30; None if none is known."""
    newest = sorted(index["days"].items())[-TREND_DAYS:]
    costs = [
        account().cost(region, instance_type, seconds)
        for _, day in newest
        for instance_type, seconds in day["instance_seconds"].items()
    ]
    known = [cost for cost in costs if cost != "unknown"]
    return round(sum(known) / len(newest), 4) if newest and len(known) == len(costs) else None


def _state(index: Index, champion: Json | None, late: int | None, failed: int) -> State:
    """The most urgent state; the worst wins."""
    if not index["versions"]:
        return State("never trained", "quiet", "no version is registered")
    if champion is None:
        return State("not in production", "quiet", f"version {index['versions'][-1]['version']} is registered")
    watched = max(index["drift"], default=None)
    if watched is not None and (verdict := index["drift"][watched]["verdict"]) not in SOUND:
        return State(verdict, tone(verdict), index["drift"][watched]["summary"])
    if failed:
        return State("failing", "bad", f"{failed} failed run{'s' if failed > 1 else ''} in the last 7 days")
    if late:
        return State("late", "warn", f"the last scored day is {late} day{'s' if late > 1 else ''} behind")
    if watched is None and index["days"]:
        return State("not monitored", "quiet", "no day has been judged yet")
    if watched is not None and index["drift"][watched]["verdict"] in UNDECIDED:
        return State("no decision", "quiet", index["drift"][watched]["summary"])
    return State("fine", "good", index["drift"][watched]["summary"] if watched else "no day is scored yet")


def tone(verdict: str) -> Tone:
    """The colour of a day's verdict."""
    return "good" if verdict in SOUND else "warn" if verdict == HARMLESS else "bad"


def days_late(score: Json, last_day: str | None, today: date) -> int | None:
    """How many days the last scored day lags behind yesterday; None if the schedule is off or nothing was scored."""
    by_clock = score.get("timetable_summary") not in {None, "", WHEN_TRIGGERED, OFF}
    if not by_clock or score.get("is_paused") or last_day is None:
        return None
    return max(0, (today - timedelta(days=1) - date.fromisoformat(last_day)).days)


def _unapproved(index: Index, champion: Json | None) -> int:
    """The number of versions newer than production's that await a decision."""
    newer_than = champion["version"] if champion else 0
    return sum(
        version["approval"] == "PendingManualApproval" and version["version"] > newer_than
        for version in index["versions"]
    )


def _facts(index: Index, version: int) -> Mapping[str, str]:
    return next((found["facts"] for found in index["versions"] if found["version"] == version), {})


def _description(own: Mapping[str, Json]) -> str:
    """The model's description, from a Dag's "<what it does>: <what the model is>"."""
    texts = [str(dag.get("description") or "") for dag in own.values()]
    return next((text.partition(": ")[2] for text in texts if ": " in text), "")


def _comes(dag: Json) -> bool:
    return bool(dag.get("next_dagrun_run_after")) and not dag.get("is_paused")


def _last_days(last: date) -> list[str]:
    return [(last - timedelta(days=back)).isoformat() for back in reversed(range(TREND_DAYS))]


def today() -> date:
    return datetime.now(UTC).date()
