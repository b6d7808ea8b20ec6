"""The task that deployments and rollbacks of tracked models end with."""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow.sdk import chain

from include.deploy import tasks
from include.models.config import ModelConfig
from sagemaker_jobs.processing import ProcessingJobOperator


def move_champion_alias(model: ModelConfig, recorded: Any) -> None:
    """After ``record_promotion``: MLflow's alias follows, where model.yaml says ``tracking.model_versions``."""
    if not model.tracking.model_versions:
        return
    alias = ProcessingJobOperator(
        task_id="move_champion_alias",
        request=partial(tasks.champion_alias, model),
        request_kwargs={"recorded": recorded},
    )
    chain(recorded, alias)
