"""Watches whether what a model scores is still what it was trained on, tells people and, where they want it, retrains.

**For whom:** whoever owns the model. Accuracy is known when the truth is, weeks later perhaps; a drift of the features
shows on the day.

**Reads** what `score_<model>` published of the last `monitoring.window_days` days: the `_SUCCESS.json` of each, and how
its features lie in the bins of the training split, which scoring counted; and the drift profile of the version that
scored them. No job runs, no row is read. **Writes** `monitoring/<model>/date=<day>/`: `drift.json` and `report.html`,
and CloudWatch's metrics `LargestIndex`, `DriftedFeatures` and `Rows` (namespace `ModelMonitoring`).

**Running it again is safe.** A day's findings follow from the published scores alone and replace those of before.
Backfills run any range in any order; nothing follows from what they find. A drift starts one training for each version,
whose run is named after it, and people are told once, on its first day.

**Steps.** `wait_for_scores` waits, without a worker, until the day is scored. `measure_drift` holds the window against
the training split, feature by feature. `check_drift` goes on to `report_drift` and, where model.yaml says
`monitoring.retrain`, to `retrain_model`; or to `keep_model`, where nothing has drifted, there are too few rows to say
so, people know already, or another version is in production by now. A retrained model has to pass its gates and be
approved like any other.

**When it fails** the task's log ends with why, where to look and what to do:

| task | usual reason | what to do |
|---|---|---|
| `wait_for_scores` | the day was not scored | look at the run of `score_<model>`, then clear the task |
| `measure_drift` | the scores are of code that kept no profile | score the day with `force`, then clear the task |
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Context, chain, dag, task

from include.models.config import ModelConfig
from include.monitor import tasks
from include.platform.dag_settings import daily_intervals, monitoring_params, task_defaults
from include.platform.environment import ml_environment
from include.score.plan import RUNS_AT_ONCE
from sagemaker_jobs.sensors import PartitionSensor


def monitor_dag(model: ModelConfig) -> DAG:
    """The Dag ``monitor_<model>``."""

    @dag(
        dag_id=f"monitor_{model.name}",
        description=f"Watch for drift: {model.description}",
        doc_md=f"# monitor_{model.name}\n\n{model.description}\n\n{__doc__}",
        schedule=daily_intervals(model.schedule.monitor),
        catchup=False,
        max_active_runs=RUNS_AT_ONCE,
        params=monitoring_params(),
        tags=["monitor", model.name],
        user_defined_macros={"ml_environment": ml_environment},
        default_args=task_defaults(model),
    )
    def monitor() -> None:
        wait_for_scores = PartitionSensor(
            task_id="wait_for_scores",
            partition=partial(tasks.scores, model),
            poke_interval=60,
        )

        @task
        def measure_drift(**context: Any) -> dict[str, Any]:
            return tasks.measured(model, cast(Context, context))

        @task.branch
        def check_drift(found: Any, **context: Any) -> list[str]:
            return tasks.next_steps(model, cast(Context, context), found)

        @task
        def report_drift(found: Any) -> None:
            tasks.told(model, found)

        @task
        def keep_model(found: Any) -> str:
            return str(found["summary"])

        measured = measure_drift()
        after: list[Any] = [report_drift(measured), keep_model(measured)]
        if model.monitoring and model.monitoring.retrain:
            retrain_model = TriggerDagRunOperator(
                task_id="retrain_model",
                trigger_dag_id=f"train_{model.name}",
                trigger_run_id=measured["training_run"],  # type: ignore[index]  # the decorator's type does not say so
                logical_date=None,
                skip_when_already_exists=True,
            )
            after.append(retrain_model)
        chain(wait_for_scores, measured, check_drift(measured), after)

    return monitor()
