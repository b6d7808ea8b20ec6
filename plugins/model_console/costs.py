"""What a month's jobs cost, by model, Dag and kind of job, from what the Dags recorded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from sagemaker_jobs.account import total_usd
from sagemaker_jobs.kinds import Json

SHOWN_MONTHS = 4

type Jobs = Mapping[str, Json]  # production/<model>/costs/<month>.json, as include/platform/costs.py writes it


@dataclass(frozen=True)
class Line:
    """The jobs of one kind that one Dag of a model ran. ``usd`` is None if a price is missing."""

    model: str
    dag_id: str
    kind: str
    jobs: int
    hours: float
    usd: float | None


def roll_up(costs: Mapping[str, Jobs]) -> list[Line]:
    """A line per model, Dag and kind of job, the most expensive first.

    Args:
        costs: the month's jobs of each model.
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
    return sorted(lines, key=lambda line: (-(line.usd or 0), line.model, line.dag_id, line.kind))


def sum_of(lines: Iterable[Line]) -> float | None:
    return total_usd(line.usd for line in lines)


def months(today: date) -> list[str]:
    """The current month (``2026-11``) and those before it."""
    found, first = [], today.replace(day=1)
    for _ in range(SHOWN_MONTHS):
        found.append(f"{first:%Y-%m}")
        first = (first - timedelta(days=1)).replace(day=1)
    return found
