"""Job names that a retry can derive again."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Protocol

from sagemaker_jobs.kinds import JobKind


class TaskInstance(Protocol):
    """The attributes of Airflow's running task instance that names are derived from."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int | None
    max_tries: int


def environment_name() -> str:
    """The Airflow environment's name: ``AIRFLOW_ENV_NAME``, set by MWAA; ``local`` if unset."""
    return os.environ.get("AIRFLOW_ENV_NAME") or "local"


def generation(task_instance: TaskInstance, retries: int) -> int:
    """The number of the first try since the task was last cleared, by Airflow's own formula.

    Retries share it; clearing a finished task raises it, because clearing adds the task's retries to ``max_tries``.

    Changing a Dag's ``retries`` while a task runs shifts it. With fewer, the task looks cleared and attaches to what
    still runs; with more, it stays 1 for a task never cleared. For one cleared before, the running try's job is not
    found again and runs beside its successor: let such runs end before you raise ``retries``.
    """
    return max(1, task_instance.max_tries - retries + 1)


def job_name(kind: JobKind, task_instance: TaskInstance, generation: int, attempt: int = 1) -> str:
    """``<task>-<dag>-<digest>-<generation>[-<attempt>]`` in SageMaker's alphabet and length.

    The digest distinguishes what the readable part, cut to length, cannot: two runs, two mapped tasks, and two Airflow
    environments of one account that run the same Dag.
    """
    identity = [
        environment_name(),
        task_instance.dag_id,
        task_instance.run_id,
        task_instance.task_id,
        str(task_instance.map_index),
    ]
    digest = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:10]
    end = f"-{digest}-{generation}" + (f"-{attempt}" if attempt > 1 else "")
    readable = _slug(f"{task_instance.task_id}-{task_instance.dag_id}")
    return readable[: kind.longest_name - len(end)].rstrip("-") + end


def client_token(task_instance: TaskInstance, generation: int) -> str:
    """An idempotency token that retries share, for operations on resources without a name to look up."""
    identity: list[object] = [
        task_instance.dag_id,
        task_instance.run_id,
        task_instance.task_id,
        task_instance.map_index,
    ]
    return hashlib.sha256("\0".join(map(str, [*identity, generation])).encode()).hexdigest()[:36]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
