"""Stops a job that nobody waits for any more, and finds out whether that is the case.

Airflow 3.3 ends the process of a task, or its trigger, for two kinds of reasons: someone ended the task (marked it
failed or succeeded, cleared it, failed its run), or the task continues elsewhere (a worker scales in, a trigger moves
to another triggerer). Only the task's state tells them apart.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from botocore.exceptions import ClientError

from sagemaker_jobs.failures import is_absent
from sagemaker_jobs.kinds import JobKind

if TYPE_CHECKING:
    from types_boto3_sagemaker import SageMakerClient

log = logging.getLogger(__name__)


class TaskIdentity(Protocol):
    """What identifies a task instance, in a worker and in a triggerer."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int | None


def state_of(task_instance: TaskIdentity) -> str | None:
    """The state that Airflow's database has for the task now; None when it was cleared or its run was deleted."""
    mapped = task_instance.map_index is not None and task_instance.map_index >= 0
    states = RuntimeTaskInstance.get_task_states(
        dag_id=task_instance.dag_id,
        task_ids=[task_instance.task_id],
        run_ids=[task_instance.run_id],
        map_index=task_instance.map_index,
    )
    key = f"{task_instance.task_id}_{task_instance.map_index}" if mapped else task_instance.task_id
    state: str | None = states.get(task_instance.run_id, {}).get(key)
    return state


def stop(kind: JobKind, job: str, client: SageMakerClient, *, until: float = 0.0) -> bool:
    """Asks SageMaker to stop a job; false if it is over or does not exist.

    Args:
        client: a boto3 client.
        until: on ``time.monotonic()``; until then a job that is not found is looked up again, because its creation
            may be in progress.
    """
    while True:
        try:
            getattr(client, f"stop_{kind.api}")(**{kind.name_field: job})
        except ClientError as error:
            if not is_absent(error):
                raise
            if time.monotonic() < until and not _exists(kind, job, client):
                time.sleep(0.3)
                continue
            return False
        return True


def _exists(kind: JobKind, job: str, client: SageMakerClient) -> bool:
    try:
        getattr(client, f"describe_{kind.api}")(**{kind.name_field: job})
    except ClientError as error:
        if not is_absent(error):
            raise
        return False
    return True
