"""What jobs cost, by model and month: each job once, by its name, from its own result. Includes failed jobs, but not
one that someone stopped by ending its task."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypedDict

from airflow.sdk import Context

from include.platform.environment import ml_environment
from include.platform.objects import parsed, read_json, read_versioned, write_if_unchanged
from include.platform.storage import month_costs
from sagemaker_jobs.account import total_usd

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

    from include.models.config import Budget
    from sagemaker_jobs.kinds import JobResult

WRITES = 12  # attempts, as many tasks may write at once


class Spent(TypedDict):
    """A job. ``seconds`` are billable, summed over its instances; ``usd`` is None if account.yaml has no price."""

    dag_id: str
    run_id: str
    task_id: str
    kind: str
    instance_type: str | None
    seconds: float
    usd: float | None
    ended_at: str


def record_job(context: Context, model: str | None = None) -> None:
    """Callback of every task, when it ends, fails or is retried: records what its job cost, if it had one.

    Args:
        model: the Dag's model; None for a Dag that serves all models and has it in its form.
    """
    task_instance = context["ti"]
    if not hasattr(context["task"], "kind"):  # only operators of jobs have it
        return
    failed = getattr(context.get("exception"), "job", None)
    result: JobResult | None = failed or task_instance.xcom_pull(
        task_ids=task_instance.task_id, map_indexes=task_instance.map_index
    )
    if not isinstance(result, dict) or not result.get("billable_seconds"):
        return
    from include.platform.clients import s3_client

    environment = ml_environment()
    keep(
        s3_client(environment),
        environment.bucket,
        model or str(context["params"]["model"]),
        {result["name"]: spent_of(result, task_instance.dag_id, task_instance.run_id, task_instance.task_id)},
    )


def spent_of(result: JobResult, dag_id: str, run_id: str, task_id: str) -> Spent:
    usd = result.get("cost_usd")
    return {
        "dag_id": dag_id,
        "run_id": run_id,
        "task_id": task_id.rpartition(".")[2],
        "kind": result["kind"],
        "instance_type": result.get("instance_type"),
        "seconds": result["billable_seconds"],
        "usd": usd if isinstance(usd, int | float) else None,
        "ended_at": result.get("ended") or datetime.now(UTC).isoformat(timespec="seconds"),
    }


def keep(s3: S3Client, bucket: str, model: str, jobs: Mapping[str, Spent]) -> None:
    """Adds jobs, by name, to those of the month in which they ended.

    Raises:
        RuntimeError: every attempt collided with another writer.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    for month in {job["ended_at"][:7] for job in jobs.values()}:
        of_month = {name: job for name, job in jobs.items() if job["ended_at"].startswith(month)}
        uri = month_costs(bucket, model, month)
        for attempt in range(WRITES):
            found, etag = read_versioned(s3, uri)
            known = parsed(uri, found) if found else {}
            if of_month.keys() <= known.keys() or write_if_unchanged(
                s3, uri, json.dumps(known | of_month).encode(), etag
            ):
                break
            time.sleep(random.uniform(0, 0.05 * 2 ** min(attempt, 5)))  # noqa: S311 - no secret: who goes first
        else:
            raise RuntimeError(
                f"{uri} was written by others {WRITES} times in a row: costs of {list(of_month)} are lost"
            )


def spent(s3: S3Client, bucket: str, model: str, now: datetime, months: int = 1) -> dict[str, Spent]:
    """The jobs of the newest ``months`` months including this one, oldest first."""
    first = now.replace(day=1)
    names = [f"{first:%Y-%m}"]
    for _ in range(months - 1):
        first = (first - timedelta(days=1)).replace(day=1)
        names.insert(0, f"{first:%Y-%m}")
    found: dict[str, Spent] = {}
    for month in names:
        found |= read_json(s3, month_costs(bucket, model, month)) or {}
    return found


def above_budget(usd: float | str, limit: float, budget: Budget, this_month: Mapping[str, Spent]) -> str | None:
    """Why the spending needs approval; None if it is within the budget. An unknown price counts as within it.

    Args:
        limit: the budget of one run or backfill, in USD.
        this_month: the model's jobs of the month.
    """
    if not isinstance(usd, int | float):
        return None
    if usd > limit:
        return f"about {_words(usd)} USD is above the budget of {limit:g} USD"
    before = total_usd(job["usd"] for job in this_month.values()) or 0.0
    if budget.per_month is not None and before + usd > budget.per_month:
        return (
            f"about {_words(usd)} USD on top of the {_words(before)} USD of this month is above budget.per_month, "
            f"{budget.per_month:g} USD"
        )
    return None


def _words(usd: float) -> str:
    return f"{usd:.2f}" if usd >= 1 else f"{usd:.4f}"
