"""Scores one day's raw data with the model version that was in production on that day, and publishes the scores.

**For whom:** whoever reads `scores/<model>/date=<day>/`: Athena, pandas, polars, the sinks of model.yaml. The day's
`_SUCCESS.json` names the files, rows and checksums, the model package, the code, and the raw files by their ETags.

**Reads** the day's partition `daily/<model>/date=<day>/`, of the days before only what the windows of features reach
into, the history of versions in production, and that version. Nothing after the day is read. **Writes** its own folder
`runs/<dag>/<run>/` and, at the end and in one step, the day's partition of scores.

**Running it again is safe.** A day whose raw files (by ETag), job code and model version are those that its scores were
made of is left alone, and the log says so; `force` scores it all the same. What changed is scored again, and the new
scores replace the old ones whole. Backfills (UI, `airflow backfill create`, `make backfill`) run any range in any
order.

**Steps.** `wait_for_partition` waits, without a worker, until the day's files are there, `wait_hours` at most.
`plan_day` says what will be read, chooses the version, ends the run where nothing changed, and takes one of two ways
by the day's size. Up to `scoring.one_job_mb` of raw text `score_day` does it all in one job: it stops on data that must
not be scored and puts bad rows aside, builds features by the function of training, has the version's own code answer
them, and checks rows, probabilities and their distribution; its log says what each part took. A larger day takes
the same steps in their own jobs, `validate_input`, `build_features`, `score` (a batch transform) and
`validate_scores`, on several machines. The scores are the same to the bit. `publish_scores` puts them where others read
them. For each sink of model.yaml a task looks, beside the scoring, whether it can be sent to, and another one sends the
published partition there, once.

**A challenger.** Where model.yaml says `challenger: true`, the newest candidate scores each day too, in the same job;
the form's field names another. Its scores are not published: the promotion packet says how they agree, which rows
change the most, and, once labels are there, how much better they are. Days that take several jobs are scored without.

| the day's raw data | what comes of it |
|---|---|
| is not there in time | the run fails and says what is missing. When it comes, `monitor_<model>` has it scored |
| headers alone: nothing happened | an empty partition, or the rows that windows over the day before give |
| other columns than model.yaml's | the validation fails and names them; the scores of before stay |
| some bad rows | put aside with reasons (button *Report*); the rest is scored |
| too many bad rows, or all | the validation fails; the scores of before stay |
| ten times the size | scored by several jobs, in chunks, on up to `instance_count` machines |
| came late, or changed since | `monitor_<model>` has it scored again, and the days whose windows reach into it |

**Correcting rejected rows.** Copy `quarantine/<table>.csv` from the report's folder, correct the rows, keep the column
`file_line`, and put the file under its table's file name into `replay/` of the day's partition. Scored again, the
corrected rows stand in the places of the rejected ones; nothing else has to be sent again.

**When it fails** the task's log ends with why, where to look and what to do. Where only a sink's tasks failed, the
scores are published: bring the sink back and clear them; what was sent already is not sent again.
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
    """From the raw data of a day that is too large for one job to checked scores, a job after the other."""
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
    """A sink's two tasks, the first beside the scoring, not before it: who reads S3 does not wait for the sink."""
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
        f"\n**The sink {sink}.** `{sink}.check_sink` looks whether it can be sent to, `{sink}.send_scores` sends the "
        "scores.\n"
        for sink in model.sinks.declared
    )
