"""What a month has cost, by model, Dag and kind: jobs, from what the Dags keep of each, and endpoints, by the hours
that production's have been in service. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from model_console.store import Index
from sagemaker_jobs.account import account, total_usd
from sagemaker_jobs.kinds import Json

SHOWN_MONTHS = 4
ENDPOINT = "endpoint"

type Jobs = Mapping[str, Json]  # production/<model>/costs/<month>.json, as include/platform/costs.py writes it


@dataclass(frozen=True)
class Line:
    """The jobs of one kind that one Dag of a model ran, or its production endpoint (no jobs). ``hours`` count every
    instance; ``usd`` is None if a price is missing."""

    model: str
    dag_id: str
    kind: str
    jobs: int
    hours: float
    usd: float | None


def roll_up(costs: Mapping[str, Jobs], endpoints: Iterable[Line] = ()) -> list[Line]:
    """A line per model, Dag and kind, the most expensive first.

    Args:
        costs: the month's jobs of each model.
        endpoints: theirs, as ``endpoint`` has them.
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
    lines += endpoints
    return sorted(lines, key=lambda line: (-(line.usd or 0), line.model, line.dag_id, line.kind))


def endpoint(model: str, index: Index | None, month: str, region: str, now: datetime) -> Line | None:
    """What a model's endpoint in production has cost in a month (``2026-11``) up to now; None of one that served
    nothing then, or is paid by use. Instances that autoscaling added are not counted.

    Args:
        index: its ``production`` says when versions were in service.
    """
    serving = (index or {}).get("serving", {"instances": 0})
    if not index or not serving["instances"]:
        return None
    begin = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
    end = min(now, (begin + timedelta(days=32)).replace(day=1))
    seconds = sum(
        max((min(end, _moment(entry["to"], now)) - max(begin, _moment(entry["from"], now))).total_seconds(), 0)
        for entry in index["production"]
    )
    if not seconds:
        return None
    paid = seconds * serving["instances"]
    usd = account().cost(region, serving["instance_type"], paid)
    return Line(model, f"deploy_{model}", ENDPOINT, 0, paid / 3600, None if usd == "unknown" else usd)


def endpoints_of(indexes: Mapping[str, Index], month: str, region: str, now: datetime) -> list[Line]:
    found = (endpoint(model, index, month, region, now) for model, index in indexes.items())
    return [line for line in found if line]


def by_model(lines: Iterable[Line]) -> dict[str, float | None]:
    """The sum of each model's lines; None where a price is not known."""
    sums: dict[str, list[float | None]] = {}
    for line in lines:
        sums.setdefault(line.model, []).append(line.usd)
    return {model: total_usd(costs) for model, costs in sums.items()}


def _moment(text: str | None, now: datetime) -> datetime:
    return datetime.fromisoformat(text) if text else now


def sum_of(lines: Iterable[Line]) -> float | None:
    return total_usd(line.usd for line in lines)


def months(today: date) -> list[str]:
    """The current month (``2026-11``) and those before it."""
    found, first = [], today.replace(day=1)
    for _ in range(SHOWN_MONTHS):
        found.append(f"{first:%Y-%m}")
        first = (first - timedelta(days=1)).replace(day=1)
    return found
