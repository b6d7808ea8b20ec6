"""What a month has cost, by model, Dag and kind: jobs, from what the Dags keep of each, and endpoints, by the hours of
their instances or, serverless, by the seconds that they have answered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from model_console.store import Index
from sagemaker_jobs.account import account, total_usd
from sagemaker_jobs.kinds import Json

SHOWN_MONTHS = 4
HOURS_A_MONTH = 730
ENDPOINTS = {"production": "endpoint", "staging": "staging endpoint"}  # the kind of a stage's line

type Jobs = Mapping[str, Json]  # production/<model>/costs/<month>.json, as include/platform/costs.py writes it


@dataclass(frozen=True)
class Usage:
    """Of endpoints by name, in each hour of the clock: ``instances`` on the average, and ``seconds`` that they have
    answered."""

    instances: Mapping[str, Mapping[datetime, float]]
    seconds: Mapping[str, Mapping[datetime, float]]


@dataclass(frozen=True)
class Line:
    """The jobs of one kind that one Dag of a model ran, or its endpoint at a stage (no jobs). ``hours`` count every
    instance; ``usd`` is None if a price is missing."""

    model: str
    dag_id: str
    kind: str
    jobs: int
    hours: float
    usd: float | None


def roll_up(costs: Mapping[str, Jobs], served: Iterable[Line] = ()) -> list[Line]:
    """A line per model, Dag and kind, the most expensive first.

    Args:
        costs: the month's jobs of each model.
        served: their endpoints, as ``endpoints`` has them.
    """
    groups: dict[tuple[str, str, str], list[Json]] = {}
    for model, jobs in costs.items():
        for job in jobs.values():
            groups.setdefault((model, job["dag_id"], job["kind"]), []).append(job)
    lines = [
        Line(
            *group,
            jobs=len(jobs),
            hours=sum(job["seconds"] for job in jobs) / 3600,
            usd=total_usd(job["usd"] for job in jobs),
        )
        for group, jobs in groups.items()
    ]
    lines += served
    return sorted(lines, key=lambda line: (-(line.usd or 0), line.model, line.dag_id, line.kind))


def endpoints(
    model: str, index: Index | None, month: str, region: str, now: datetime, usage: Usage | None = None
) -> list[Line]:
    """What a model's endpoints have cost in a month (``2026-11``) up to now: production's, and staging's if it ran.

    Args:
        index: its ``served`` says when they ran on what.
        usage: of autoscaled and serverless endpoints in that month; without it the instances that autoscaling added
            are not counted, and the price of what is paid by use is unknown.
    """
    found = []
    for stage, kind in ENDPOINTS.items():
        spans = [_in_month(span, month, now) for span in (index or {}).get("served", []) if span["stage"] == stage]
        counted = set[datetime]()  # hours of answers: two spans may share one
        paid = [_paid(span, began, ended, region, usage, counted) for span, began, ended in spans if began < ended]
        if paid:
            hours = sum(seconds for seconds, _ in paid) / 3600
            found.append(Line(model, f"deploy_{model}", kind, 0, hours, total_usd(usd for _, usd in paid)))
    return found


def usd_per_month(index: Index | None, region: str) -> float | None:
    """What the endpoint in production costs per month at least; None if nothing serves, it is paid by use, or a
    price is missing."""
    spans = [span for span in (index or {}).get("served", []) if span["stage"] == "production" and not span["ended"]]
    if not spans or not spans[-1]["instances"]:
        return None
    usd = account().cost(region, spans[-1]["instance_type"], spans[-1]["instances"] * HOURS_A_MONTH * 3600)
    return None if usd == "unknown" else usd


def endpoints_of(
    indexes: Mapping[str, Index], month: str, region: str, now: datetime, usage: Usage | None = None
) -> list[Line]:
    return [line for model, index in indexes.items() for line in endpoints(model, index, month, region, now, usage)]


def by_use(indexes: Iterable[Index], month: str, now: datetime) -> list[str]:
    """The endpoints whose costs in a month depend on their usage, by name."""
    return sorted(
        {
            span["endpoint"]
            for index in indexes
            for span, began, ended in (_in_month(one, month, now) for one in index.get("served", []))
            if began < ended and (not span["instances"] or span["most"] > span["instances"])
        }
    )


def _in_month(span: Json, month: str, now: datetime) -> tuple[Json, datetime, datetime]:
    """A span, and the part of it that is in the month; empty if none is."""
    first = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
    began, ended = (datetime.fromisoformat(span[key]) if span[key] else now for key in ("began", "ended"))
    return span, max(first, began), min(now, ended, (first + timedelta(days=32)).replace(day=1))


def _paid(
    span: Json, began: datetime, ended: datetime, region: str, usage: Usage | None, counted: set[datetime]
) -> tuple[float, float | None]:
    """Instance-seconds, or seconds of answering where it is paid by use, and their cost in USD."""
    if not span["instances"]:
        if usage is None:
            return 0.0, None
        answered, own = usage.seconds.get(span["endpoint"], {}), {hour for hour, _ in _hours(began, ended)} - counted
        counted |= own
        seconds = sum(answered.get(hour, 0.0) for hour in own)
        return seconds, account().serverless_cost(region, span["memory_mb"], seconds)
    seconds = (ended - began).total_seconds() * span["instances"]
    if usage and span["most"] > span["instances"]:
        scaled = usage.instances.get(span["endpoint"], {})
        seconds = sum(
            part * min(max(scaled.get(hour, 0.0), span["instances"]), span["most"])
            for hour, part in _hours(began, ended)
        )
    usd = account().cost(region, span["instance_type"], seconds)
    return seconds, None if usd == "unknown" else usd


def _hours(began: datetime, ended: datetime) -> list[tuple[datetime, float]]:
    """The hours of the clock that a time reaches into, each with its seconds of it."""
    found, hour = [], began.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while hour < ended:
        after = hour + timedelta(hours=1)
        found.append((hour, (min(after, ended) - max(hour, began)).total_seconds()))
        hour = after
    return found


def by_model(lines: Iterable[Line]) -> dict[str, float | None]:
    """The sum of each model's lines; None if a price is unknown."""
    sums: dict[str, list[float | None]] = {}
    for line in lines:
        sums.setdefault(line.model, []).append(line.usd)
    return {model: total_usd(costs) for model, costs in sums.items()}


def sum_of(lines: Iterable[Line]) -> float | None:
    return total_usd(line.usd for line in lines)


def months(today: date) -> list[str]:
    """The current month (``2026-11``) and those before it."""
    found, first = [], today.replace(day=1)
    for _ in range(SHOWN_MONTHS):
        found.append(f"{first:%Y-%m}")
        first = (first - timedelta(days=1)).replace(day=1)
    return found
