"""Scores one day's raw data with the model version that was in production on that day, and publishes the scores.

**For whom:** readers of `scores/<model>/date=<day>/`: Athena, pandas, polars, the sinks of model.yaml. The day's
`_SUCCESS.json` names the files, rows and checksums, the model package, the code, and the raw files by their ETags.

**Reads** the day's partition `daily/<model>/date=<day>/`, of earlier days only what the features' windows need, the
history of versions in production, and the version. Nothing after the day is read. **Writes** its own folder
`runs/<dag>/<run>/` and, at the end and atomically, the day's partition of scores.

**Running it again is safe.** A day whose raw files (by ETag), job code and model version match its published scores is
left alone, and the log says so; `force` scores it anyway. If anything changed, the day is scored again, and the new
scores replace the old ones as a whole. Backfills (UI, `airflow backfill create`, `make backfill`) run any range in any
order.

**Steps.** `wait_for_partition` waits, without a worker, for the day's files, at most `wait_hours`. `plan_day` decides
what to read, chooses the version, ends the run if nothing changed, and takes one of two ways by the day's size. Up to
`scoring.one_job_mb` of raw text `score_day` does everything in one job: it stops on data that must not be scored and
rejects bad rows, builds features with the function used in training, predicts with the version's own code, and checks
rows, probabilities and their distribution; its log shows the time of each part. A larger day takes the same steps in
separate jobs, `validate_input`, `build_features`, `score` (a batch transform) and `validate_scores`, on several
machines. The scores are identical to the bit. `publish_scores` publishes them. For each sink of model.yaml, one task
checks during scoring that it can be reached, and another sends the published partition there, once.

**A challenger.** If model.yaml says `challenger: true`, the newest candidate scores each day too, in the same job; the
form can name another. Its scores are not published: the promotion packet shows how they agree, which rows change the
most, and, once labels arrive, how much better they are. Days that take several jobs are scored without one.

| the day's raw data | what happens |
|---|---|
| is not there in time | the run fails and says what is missing. When it arrives, `monitor_<model>` has it scored |
| only headers: nothing happened | an empty partition, or the rows that windows over the day before yield |
| other columns than model.yaml's | validation fails and names them; earlier scores stay |
| some bad rows | rejected with reasons (button *Report*); the rest is scored |
| too many bad rows, or all | validation fails; earlier scores stay |
| ten times the size | scored by several jobs, in chunks, on up to `instance_count` machines |
| arrived late, or changed since | `monitor_<model>` has it scored again, and the days whose windows reach into it |

**Correcting rejected rows.** Copy `quarantine/<table>.csv` from the report's folder, correct the rows, keep the column
`file_line`, and put the file under its table's file name into `replay/` of the day's partition. Scored again, the
corrected rows replace the rejected ones; nothing else has to be sent again.

**When it fails** the task's log ends with the reason, where to look and what to do. If only a sink's tasks failed, the
scores are published: bring the sink back and clear them; what was already sent is not sent again.
"""

from __future__ import annotations

from functools import partial

from airflow.sdk import DAG, TaskGroup, XComArg, chain, dag, task

from include.models.config import ModelConfig, files
from include.platform.dag_settings import daily, of_model, scores_asset, with_form
from include.platform.python_task import python_task
from include.score import form, tasks
from include.score.plan import RUNS_AT_ONCE
from sagemaker_jobs.base import JobOperator
from sagemaker_jobs.processing import ProcessingJobOperator, ValidationJobOperator
from sagemaker_jobs.sensors import PartitionSensor
from sagemaker_jobs.transform import TransformJobOperator


def score_dag(model: ModelConfig) -> DAG:
    """The Dag ``score_<model>``."""

    @dag(
        **of_model("score", model, does="Score a day", runbook=f"{__doc__}{_sinks_runbook(model)}"),
        schedule=daily(model.schedule.score),
        catchup=False,
        max_active_runs=RUNS_AT_ONCE,
    )
    def score_day() -> None:
        wait_for_partition = PartitionSensor(
            task_id="wait_for_partition",
            partition=partial(tasks.wait_for_partition, model),
            poke_interval=60,
        )
        plan_day = python_task(partial(tasks.plan_day, model), task.branch)()
        score_day = ValidationJobOperator(
            task_id="score_day",
            request=partial(tasks.score_day, model),
            result_file=("report", files.DAY_RESULT),
            report_file=("report", files.VERDICT_PAGE),
            products=[("scores", files.PARTS)],
        )
        several = _score_large_day(model)
        publish_scores = python_task(
            partial(tasks.publish_scores, model),
            trigger_rule="none_failed_min_one_success",
            outlets=[scores_asset(model.name)],
        )(jobs={job.task_id: job.output for job in (score_day, *several)})
        chain(wait_for_partition, plan_day, score_day, publish_scores)
        chain(plan_day, *several, publish_scores)
        for sink in model.sinks.declared:
            _send(model, sink, plan_day, publish_scores)

    return with_form(score_day(), form.params())


def _score_large_day(model: ModelConfig) -> list[JobOperator]:
    """The jobs for a day that is too large for one, from raw data to checked scores, in sequence."""
    validate_input = ValidationJobOperator(
        task_id="validate_input",
        request=partial(tasks.validate_input, model),
        result_file=("report", files.VERDICT),
        report_file=("report", files.VERDICT_PAGE),
    )
    build_features = ProcessingJobOperator(
        task_id="build_features",
        request=partial(tasks.build_features, model),
        request_kwargs={"validated": validate_input.output},
    )
    score = TransformJobOperator(
        task_id="score",
        request=partial(tasks.score, model),
        model=partial(tasks.hosted_model, model),
    )
    validate_scores = ValidationJobOperator(
        task_id="validate_scores",
        trigger_rule="none_failed_min_one_success",  # a day without rows has nothing to score
        request=partial(tasks.validate_scores, model),
        result_file=("report", files.VERDICT),
        products=[("scores", files.PARTS)],
    )
    chain(build_features, validate_scores)
    return [validate_input, build_features, score, validate_scores]


def _send(model: ModelConfig, sink: str, plan_day: XComArg, publish_scores: XComArg) -> None:
    """A sink's two tasks. The first runs beside the scoring, not before it: readers of S3 do not wait for the sink."""
    with TaskGroup(sink):
        check_sink = ProcessingJobOperator(
            task_id="check_sink",
            request=partial(tasks.check_sink, model, sink),
        )
        send_scores = ProcessingJobOperator(
            task_id="send_scores",
            request=partial(tasks.send_scores, model, sink),
        )
    chain(plan_day, check_sink, send_scores)
    chain(publish_scores, send_scores)


def _sinks_runbook(model: ModelConfig) -> str:
    return "".join(
        f"\n**The sink {sink}.** `{sink}.check_sink` checks that it can be reached, `{sink}.send_scores` sends the "
        "scores.\n"
        for sink in model.sinks.declared
    )
