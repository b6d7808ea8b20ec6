"""Reminds approvers of pending promotions: half-way through the time to answer, and before it ends.

**For whom:** the approvers, by mail, chat and the console.

**Reads** the pending questions (`production/<model>/question.json`) and whether their runs have recorded a decision.
**Writes** the number of reminders into the question, and deletes questions that are answered or expired;
`messages/idle.json`.

**Running it again is safe:** no reminder is sent twice.

**Steps.** `remind_approvers` does that; in an environment that asks nobody (`approve_promotions`) there are no
questions. `name_idle_endpoints` reports, once a week, the endpoints on instances that had nothing but health checks for
seven days, with their cost.

**When it fails** S3 or the topic could not be reached; the next hourly run tries again. The question keeps waiting.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from airflow.sdk import DAG, dag

from include.deploy.approval_messages import remind_approvers
from include.deploy.idle import name_idle_endpoints
from include.models.config import ModelConfig
from include.platform.dag_settings import FOR_ANY_MODEL, NO_BACKFILLS, next_time_only, task_defaults
from include.platform.environment import ml_environment
from include.platform.python_task import python_task

HOURLY = "0 * * * *"


def remind_dag(models: Sequence[ModelConfig]) -> DAG:
    """The Dag ``remind``, for all models."""

    @dag(
        dag_id="remind",
        dag_display_name="Reminders",
        description="Remind approvers of pending promotions, and weekly of idle endpoints.",
        doc_md=f"# remind\n\n{__doc__}",
        schedule=next_time_only(HOURLY),
        allowed_run_types=NO_BACKFILLS,
        max_active_runs=1,
        tags=[FOR_ANY_MODEL],
        user_defined_macros={"ml_environment": ml_environment},
        default_args=task_defaults(", ".join(sorted({model.owner for model in models}))),
    )
    def remind() -> None:
        python_task(partial(remind_approvers, models))()
        python_task(partial(name_idle_endpoints, models))()

    return remind()
