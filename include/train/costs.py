"""What a training costs: estimated from its last jobs, or from model.yaml's limits if there are none; and summed up."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypedDict

from airflow.sdk import Context

from include.models.config import Compute, ModelConfig
from include.platform.costs import Spent, spent, spent_of
from include.platform.environment import MlEnvironment
from include.train.requests import require_tuning
from sagemaker_jobs.account import account, total_usd
from sagemaker_jobs.kinds import JobResult

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

JOBS = ("prepare_data", "cut_data", "prepare_shards", "merge_shards", "train_model", "tune_model", "evaluate_model")


class Estimate(TypedDict):
    """``how``: where the seconds come from."""

    usd: float | Literal["unknown"]
    how: str


def estimate(
    model: ModelConfig,
    environment: MlEnvironment,
    known: Mapping[str, Spent],
    *,
    tune: bool,
    instance_type: str | None,
    shared: bool,
) -> Estimate:
    """Estimates the cost of a training's jobs in USD.

    Args:
        known: the model's jobs of some months, oldest first.
        instance_type: the training's, from the form.
        shared: whether several machines prepare the data.
    """
    last = {job["task_id"]: job["seconds"] for job in known.values()}
    total, guessed = 0.0, []
    for task_id, used, most in _jobs(model, environment, tune=tune, instance_type=instance_type, shared=shared):
        seconds = last.get(task_id)
        if seconds is None and task_id == "tune_model" and "train_model" in last:
            seconds = last["train_model"] * require_tuning(model).max_jobs
        if seconds is None:
            guessed.append(task_id)
        usd = account().cost(environment.region, used, most if seconds is None else seconds)
        if not isinstance(usd, int | float):
            return {"usd": "unknown", "how": f"the price of {used} in {environment.region} is unknown"}
        total += usd
    how = "as in its last run"
    if guessed:
        how = f"{', '.join(guessed)} at the limit max_runtime_minutes, as none has been measured yet"
    return {"usd": round(total, 4), "how": how}


def _jobs(
    model: ModelConfig, environment: MlEnvironment, *, tune: bool, instance_type: str | None, shared: bool
) -> Iterator[tuple[str, str, float]]:
    """Each job's task, instance type, and maximum instance seconds."""

    def longest(compute: Compute, instances: int = 1) -> float:
        return compute.max_runtime_minutes * 60.0 * instances

    processing = environment.instance_types.get("processing") or model.processing.instance_type
    training = instance_type or environment.instance_types.get("training") or model.training.instance_type
    if shared:
        yield "cut_data", processing, longest(model.processing)
        yield "prepare_shards", processing, longest(model.processing, model.processing.instance_count)
        yield "merge_shards", processing, longest(model.processing)
    else:
        yield "prepare_data", processing, longest(model.processing)
    each = longest(model.training, model.training.instance_count)
    yield ("tune_model", training, each * require_tuning(model).max_jobs) if tune else ("train_model", training, each)
    yield "evaluate_model", processing, longest(model.processing)


def sum_up(model: ModelConfig, context: Context, environment: MlEnvironment, s3: S3Client) -> None:
    """Logs the run's actual and estimated cost. Its last job may not be recorded yet."""
    task_instance = context["ti"]
    results: dict[str, JobResult | None] = {task_id: task_instance.xcom_pull(task_ids=task_id) for task_id in JOBS}
    jobs = {
        result["name"]: spent_of(result, task_instance.dag_id, task_instance.run_id, task_id)
        for task_id, result in results.items()
        if result and result.get("billable_seconds")
    }
    kept = spent(s3, environment.bucket, model.name, datetime.now(UTC), months=2)
    jobs |= {name: job for name, job in kept.items() if job["run_id"] == task_instance.run_id}
    expected = task_instance.xcom_pull(task_ids="plan_training", key="estimate") or {}
    actual = total_usd(job["usd"] for job in jobs.values())
    summary = {"estimated_usd": expected.get("usd"), "actual_usd": actual, "jobs": len(jobs)}
    task_instance.xcom_push(key="costs", value=summary)
    log.info("%(jobs)d jobs: estimated %(estimated_usd)s USD, actual %(actual_usd)s USD", summary)
