"""The content of a scored day's page. Pure: from the manifest of its scores, their profile, and the day's verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import quote

from sagemaker_jobs.account import account
from sagemaker_jobs.kinds import Json


@dataclass(frozen=True)
class Share:
    """The day's rows that were predicted to be one class."""

    label: str
    rows: int
    share: float


@dataclass(frozen=True)
class File:
    """A file of scores; ``number`` is its position in the manifest."""

    number: int
    name: str
    rows: int
    megabytes: float


@dataclass(frozen=True)
class DayPage:
    """``mean`` of a regression's predictions; ``usd``: what the day's jobs cost, None if unknown."""

    day: str
    before: str
    after: str
    rows: int
    version: int
    reason: str
    published_at: str
    run: str
    code: str
    shares: Sequence[Share]
    mean: float | None
    rejected: Mapping[str, int]
    inputs: int
    usd: float | None
    files: Sequence[File]
    verdict: str
    summary: str


def manifest_key(model: str, day: str) -> str:
    return f"scores/{model}/date={day}/_SUCCESS.json"


def of_day(manifest: Json, profile: Json | None, drift: Json, region: str) -> DayPage:
    """The page.

    Args:
        profile: of the scores; None for days scored before profiles existed.
        drift: the day's entry in the model's index; empty if it was not monitored.
    """
    moment, rows = date.fromisoformat(manifest["date"]), manifest["rows"]
    predictions: Mapping[str, float] = (profile or {}).get("predictions", {})
    regression = set(predictions) == {"sum"}
    costs = [
        account().cost(region, job["instance_type"], (job["billable_seconds"] or 0) * (job["instance_count"] or 1))
        for job in manifest["jobs"]
    ]
    return DayPage(
        day=manifest["date"],
        before=(moment - timedelta(days=1)).isoformat(),
        after=(moment + timedelta(days=1)).isoformat(),
        rows=rows,
        version=manifest["model_version"],
        reason=manifest["model_version_reason"],
        published_at=manifest["published_at"],
        run=f"/dags/{manifest['dag_id']}/runs/{quote(manifest['run_id'], safe='')}",
        code=manifest["code_hash"],
        shares=()
        if regression or not rows
        else [Share(label, round(count), count / rows) for label, count in sorted(predictions.items(), key=_most)],
        mean=predictions["sum"] / rows if regression and rows else None,
        rejected=manifest["quarantined"],
        inputs=len(manifest["inputs"]),
        usd=None if "unknown" in costs else round(sum(float(cost) for cost in costs), 4),
        files=[
            File(number, file["key"].rpartition("/")[2], file["rows"], file["bytes"] / 1e6)
            for number, file in enumerate(manifest["files"])
        ],
        verdict=drift.get("verdict", ""),
        summary=drift.get("summary", ""),
    )


def _most(one: tuple[str, float]) -> float:
    return -one[1]
