"""Scheduled runs of a retired model do nothing, so that retiring it needs no right to pause its Dags, and a promotion
brings them back."""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from include.models.config import ModelConfig
from include.platform.clients import s3_client
from include.platform.environment import ml_environment
from include.registry.history import current, read_history

SCHEDULED = "scheduled"  # the type of a run that a schedule started


def skip_if_retired(model: ModelConfig, context: Context) -> None:
    """Raises AirflowSkipException: the model is out of service, and nobody asked for this run."""
    if getattr(context.get("dag_run"), "run_type", None) != SCHEDULED:
        return
    environment = ml_environment()
    history = read_history(s3_client(environment), environment.bucket, model.name)
    if history.entries and current(history) is None:
        raise AirflowSkipException(
            f"{model.name} is retired since {history.entries[-1].until}: scheduled runs do nothing until a version is "
            "promoted again. Trigger the Dag to run it anyway."
        )
