"""Scores one day's raw data with the model version that was in production on that day, and publishes the scores.

**For whom:** whoever reads `scores/<model>/date=<day>/`: Athena, pandas, polars, the sinks of model.yaml. The day's
`_SUCCESS.json` names the files, rows and checksums, the model package, the code, and the raw files by their ETags.

**Reads** the day's partition `daily/<model>/date=<day>/`, of the days before only what the windows of features reach
into, the history of versions in production, and that version. Nothing after the day is read. **Writes** its own folder
`runs/<dag>/<run>/` and, at the end and in one step, the day's partition of scores.

**Running it again is safe.** A day whose raw files (by ETag), job code and model version are those that its scores were
made of is left alone, and the log says so; `force` scores it all the same. What changed is scored anew, and the new
scores replace the old ones whole. Backfills (UI, `airflow backfill create`, `make backfill`) run any range in any
order.

**Steps.** `wait_for_partition` waits, without a worker, until the day's files are there, `wait_hours` at most.
`plan_day` says what will be read, chooses the version, and ends the run where nothing changed. `validate_input` stops
on data that must not be scored and puts bad rows aside. `build_features` is the function of training. `score` is a
batch transform, with the key kept beside each answer. `validate_scores` checks rows, probabilities and their
distribution. `publish_scores` puts the scores where others read them. Models with `sinks.kafka` look first of all
whether the brokers can be sent to (`check_kafka`), and at the end `send_scores` sends the partition, once.

| the day's raw data | what comes of it |
|---|---|
| is not there in time | the run fails and says what is missing. When it comes, the sweep scores it |
| headers alone: nothing happened | an empty partition, or the rows that windows over the day before give |
| other columns than model.yaml's | `validate_input` fails and names them; the scores of before stay |
| some bad rows | put aside with reasons (button *Report*); the rest is scored |
| too many bad rows, or all | `validate_input` fails; the scores of before stay |
| ten times the size | scored in more chunks, on up to `instance_count` machines |
| came late, or changed since | the daily sweep scores it again, and the days whose windows reach into it |

**Mending quarantined rows.** Copy `quarantine/<table>.csv` from the report's folder, correct the rows, keep the column
`file_line`, and put the file under its table's file name into `replay/` of the day's partition. Scored again, the
corrected rows stand in the places of the rejected ones; nothing else has to be sent anew.

**When it fails** the task's log ends with why, where to look and what to do. Where only `check_kafka` or `send_scores`
failed, the scores are published: mend Kafka and clear it; what was sent already is not sent again.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from airflow.sdk import DAG, Asset, Context, chain, dag, task

from include.models.config import ModelConfig
from include.platform.dag_settings import daily_intervals, scoring_params, task_defaults
from include.platform.environment import ml_environment
from include.score import tasks
from include.score.plan import RUNS_AT_ONCE
from sagemaker_jobs.processing import ProcessingJobOperator, ValidationJobOperator
from sagemaker_jobs.sensors import PartitionSensor
from sagemaker_jobs.transform import TransformJobOperator


def score_dag(model: ModelConfig) -> DAG:
    """The Dag ``score_<model>``."""

    @dag(
        dag_id=f"score_{model.name}",
        description=f"Score a day: {model.description}",
        doc_md=f"# score_{model.name}\n\n{model.description}\n\n{__doc__}",
        schedule=daily_intervals(model.schedule.score),
        catchup=False,
        max_active_runs=RUNS_AT_ONCE,
        params=scoring_params(),
        tags=["score", model.name],
        user_defined_macros={"ml_environment": ml_environment},
        default_args=task_defaults(model),
    )
    def score_day() -> None:
        wait_for_partition = PartitionSensor(
            task_id="wait_for_partition",
            partition=partial(tasks.partition, model),
            poke_interval=60,
        )

        @task.short_circuit
        def plan_day(**context: Any) -> dict[str, Any] | None:
            return tasks.plan(model, cast(Context, context))

        validate_input = ValidationJobOperator(
            task_id="validate_input",
            request=partial(tasks.input_validation, model),
            result_file=("report", "validation.json"),
            report_file=("report", "validation.html"),
        )
        build_features = ProcessingJobOperator(
            task_id="build_features",
            request=partial(tasks.features, model),
            request_kwargs={"validated": validate_input.output},
        )
        score = TransformJobOperator(
            task_id="score",
            request=partial(tasks.transform, model),
            model=partial(tasks.hosted_model, model),
        )
        validate_scores = ValidationJobOperator(
            task_id="validate_scores",
            trigger_rule="none_failed",  # a day without rows has nothing to score
            request=partial(tasks.scores_validation, model),
            result_file=("report", "validation.json"),
        )

        # one at a time: two runs of one day must not publish together
        @task(trigger_rule="none_failed", max_active_tis_per_dag=1, outlets=[Asset(f"{model.name}_scores")])
        def publish_scores(jobs: Any, **context: Any) -> dict[str, Any]:
            return tasks.publication(model, cast(Context, context), jobs)

        jobs = (validate_input, build_features, score, validate_scores)
        published = publish_scores({job.task_id: job.output for job in jobs})
        planned = plan_day()
        chain(wait_for_partition, planned, *jobs, published)
        if model.sinks.kafka:
            # beside the scoring, not before it: who reads S3 does not wait for Kafka
            check_kafka = ProcessingJobOperator(
                task_id="check_kafka",
                request=partial(tasks.kafka_check, model),
            )
            send_scores = ProcessingJobOperator(
                task_id="send_scores",
                request=partial(tasks.sending, model),
            )
            chain(planned, check_kafka, send_scores)
            chain(published, send_scores)

    return score_day()
