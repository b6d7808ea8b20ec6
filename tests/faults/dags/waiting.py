"""An Airflow Dag whose tasks defer at once: a crowd for one triggerer. All wait for one job, WAITED_FOR, which their
triggers believe to be young: young jobs are polled most often."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, BaseOperator, Context

from sagemaker_jobs.triggers import JobTrigger

WAITED_FOR = "awaited-by-a-crowd"
NEVER = 4e9  # seconds since the epoch
TRIGGERS = 500


class DeferredOperator(BaseOperator):
    def __init__(self, *, number: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.number = number

    def execute(self, context: Context) -> None:
        trigger = JobTrigger(
            kind="processing",
            job=WAITED_FOR,
            since=NEVER,
            deadline=NEVER,
            aws_conn_id="aws_default",
            region_name="us-east-1",
            botocore_config={"retries": {"mode": "standard", "max_attempts": 10}},
        )
        self.defer(trigger=trigger, method_name="execute_complete")

    def execute_complete(self, context: Context, event: dict[str, Any]) -> None:
        self.log.info("%s", event)


with DAG("waiting_crowd", is_paused_upon_creation=False, max_active_tasks=1000, tags=["faults"]):
    DeferredOperator.partial(task_id="wait", pool="crowd").expand(number=list(range(TRIGGERS)))
