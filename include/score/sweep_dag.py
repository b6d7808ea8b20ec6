"""Looks for raw data that came late or changed after its day was scored, and has these days scored again.

**For whom:** whoever reads scores and would not notice that yesterday's file was replaced this morning.

**Reads** the list of the daily partitions `daily/<model>/` and the `_SUCCESS.json` of the days' scores. It looks at the
last `sweep_days` of model.yaml for which no run waits any more, or at the days that it is given. **Writes** nothing
itself: it starts `score_<model>` for each day that is late.

**Running it again is safe.** The runs that it starts are named by day and data, so each state of a day's data is
tried once. A day whose windows reach into a changed one is late too. New code or a new model makes no day late: for
that there are backfills.

**Steps.** `find_late_days` compares the raw files' ETags with those that the scores were made of. `score_late_day`
starts a run for each.

**When it fails** the task's log says why; nothing is lost, the next sweep looks at the same days again. Days further
back than that are scored by a backfill.
"""

from __future__ import annotations

from typing import Any, cast

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Context, dag, task

from include.models.config import ModelConfig
from include.platform.dag_settings import next_time_only, sweep_params, task_defaults
from include.platform.environment import ml_environment
from include.score import tasks


def sweep_dag(model: ModelConfig) -> DAG:
    """The Dag ``sweep_<model>``."""

    @dag(
        dag_id=f"sweep_{model.name}",
        description=f"Score days again whose raw data came late: {model.description}",
        doc_md=f"# sweep_{model.name}\n\n{model.description}\n\n{__doc__}",
        schedule=next_time_only(model.schedule.sweep),
        catchup=False,
        max_active_runs=1,
        params=sweep_params(),
        tags=["score", model.name],
        user_defined_macros={"ml_environment": ml_environment},
        default_args=task_defaults(model),
    )
    def sweep() -> None:
        @task
        def find_late_days(**context: Any) -> list[dict[str, Any]]:
            return tasks.late_days(model, cast(Context, context))

        TriggerDagRunOperator.partial(
            task_id="score_late_day",
            trigger_dag_id=f"score_{model.name}",
            logical_date=None,  # the run is about the day that it is told
            skip_when_already_exists=True,
        ).expand_kwargs(find_late_days())

    return sweep()
