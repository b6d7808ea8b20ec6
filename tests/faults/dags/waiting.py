"""An Airflow Dag of tasks that are deferred from the start, without a worker: its runs are a crowd for one triggerer.
All wait for one job, WAITED_FOR, which their triggers take for a young one: those are looked at most often.

The Dag is small because a triggerer loads it once for each task that begins deferred, as no task of this project does.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, BaseOperator, Context
from airflow.triggers.base import StartTriggerArgs

WAITED_FOR = "awaited-by-a-crowd"
NEVER = 4e9  # seconds since the epoch
TASKS = 5


class DeferredOperator(BaseOperator):
    """Has no work in a worker at all."""

    start_from_trigger = True
    start_trigger_args = StartTriggerArgs(
        trigger_cls="sagemaker_jobs.triggers.JobTrigger",
        trigger_kwargs={
            "kind": "processing",
            "job": WAITED_FOR,
            "since": NEVER,
            "deadline": NEVER,
            "aws_conn_id": "aws_default",
            "region_name": "us-east-1",
            "botocore_config": {"retries": {"mode": "standard", "max_attempts": 10}},
        },
        next_method="execute_complete",
    )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> None:
        self.log.info("%s", event)


with DAG("waiting_crowd", is_paused_upon_creation=False, max_active_tasks=1000, max_active_runs=1000, tags=["faults"]):
    for number in range(TASKS):
        DeferredOperator(task_id=f"wait_{number}", pool="crowd")
