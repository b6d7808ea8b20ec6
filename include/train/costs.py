"""Estimates the cost of a training: from its last jobs, or from model.yaml's limits if there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, TypedDict

from include.models.config import Compute, ModelConfig
from include.platform.costs import Spent
from include.platform.environment import MlEnvironment
from include.train.requests import require_tuning
from sagemaker_jobs.account import account


class Estimate(TypedDict):
    """``how``: where the seconds come from."""

    usd: float | Literal["unknown"]
    how: str


def estimate(
    model: ModelConfig,
    environment: MlEnvironment,
    spent: Mapping[str, Spent],
    *,
    tune: bool,
    instance_type: str | None,
    shared: bool,
) -> Estimate:
    """Estimates the cost of a training's jobs in USD.

    Args:
        spent: the model's jobs of some months, oldest first.
        instance_type: the training's, from the form.
        shared: whether several machines prepare the data.
    """
    last = {job["task_id"]: job["seconds"] for job in spent.values()}
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
