"""Monitors a model's predictions, day by day, in its daily scores and at its endpoint: late raw data, and a verdict on
each day. Late days are scored again, people are notified of news, and the model is retrained if model.yaml asks for it.

**For whom:** the model's owner, and readers of its scores who would not notice that a feed died or that yesterday's
file was replaced this morning.

**Reads** the list of the daily partitions `daily/<model>/`, what `score_<model>` published for the last days (each
day's `_SUCCESS.json`, and its counts of raw tables, features and predictions), and of the version that scored them the
drift profile and `reference.json`, the same counts of its training data. Judging a day runs no job and reads no row.
With `labels` in model.yaml it also reads new labels, from `daily/` or `labels/<model>/date=<day>/`. With
`serving.data_capture_percent` it also reads the day's requests, `capture/<endpoint>/`, and the endpoint's metrics.
**Writes** `monitoring/<model>/date=<day>/`: `drift.json` (the verdict), `report.html`; `monitoring/<model>/told.json`;
`captured.json` for the endpoint, whose verdicts lie in `monitoring/<model>/traffic/` if the model is also scored daily;
`performance/<model>/date=<day>/`: a day's realised performance, once its labels arrive; and CloudWatch's metrics
`LargestIndex`, `DriftedFeatures`, `DataFaults`, `EstimatedPerformance`, `RealisedPerformance`, `LabelledShare`, `Rows`,
`TrafficRequests` and `TrafficRefused` (namespace `ModelMonitoring`). It starts `score_<model>` for each late day.

**The verdict** is one of: `data fault` (a dead feed, unusual counts, missing values, stuck sensors, new texts, columns,
units or clocks that differ from training; repair the data, do not retrain), `performance loss` (estimated from the
predictions, or realised, which takes precedence), `drift without harm`, `fine`, `too little to say`.

**Runs** for a day as soon as its scores are published, also when a late day is scored again: each event of the Asset
`<model>_scores` names the day as its partition. It also runs daily (`schedule.monitor`), so that a day without scores
raises an alarm. Only a daily run looks for late data.

**Running it again is safe.** A day's verdict follows from the published scores alone and replaces the previous one. The
scoring runs that it starts are named by day and data, so each state of a day's data is tried once. Backfills run any
range in any order; they trigger no notification or training, and neither do days beyond `scoring.sweep_days` that are
scored now. People are notified when a verdict begins, when it changes, weekly while it lasts, and when it ends;
`told.json` records what they were told. Backfills and failed reports do not write it, so neither silences anything.

**Steps.** `find_late_days` compares the raw files' ETags with those that the scores were made from. It looks at the
`scoring.sweep_days` up to the run's day for which no run is waiting; a day whose windows reach into a changed one is
late too. (New code or a new model makes no day late, and earlier days are not checked: backfills serve both.)
`score_late_day` starts a run for each.

With the section `labels` in model.yaml: `find_labels` looks for scored days whose labels arrived or were corrected
since they were last joined. A daily run looks `labels.sweep_days` back, one started by published scores at the days
that may just have become complete. `join_labels` is one small job for all of them, skipped if nothing arrived.
`publish_performance` publishes its results.

With the section `monitoring` in model.yaml: `wait_for_scores` waits, without a worker, until the day is scored.
`judge_day` compares it with the version's training. `check_verdict` leads to `report_verdict` and, depending on
`monitoring.retrain`, to `retrain_model`, but not again within `cool_down_days`; or to `keep_model`, if there is nothing
new to report or another version is in production by now. If rows are split by time, the training waits until its
training split contains some of the change, and holds out fewer days than `split`. A retrained model must pass its gates
and be approved like any other; its lineage records what started it (`started_by`).

With `serving.data_capture_percent` and `monitoring`, the group `traffic` monitors the production endpoint, once a day
and in backfills: `find_captures` lists the files of the day's requests, `count_captures` is one small job that counts
them in the bins of the training split (skipped if there are none), and `publish_captures` adds requests, errors and
latency from CloudWatch. The other tasks are as above. A day is judged for the version in production at its end, by the
requests since its promotion. If the endpoint had a shadow variant (see `deploy_<model>`), the same job compares the
answers of both, for the promotion packet. Many refused requests, or none on an endpoint that always had some, are a
`data fault`. Only a model without daily scores is retrained because of them.

**When it fails** the task's log ends with the reason, where to look and what to do:

| task | usual reason | what to do |
|---|---|---|
| `find_late_days` | S3 or the registry did not answer | clear it; otherwise the next run checks the same days again |
| `wait_for_scores` | the day was not scored | look at the run of `score_<model>`, then clear the task |
| `join_labels` | a file of labels cannot be read; the log says which | correct it: the next run joins it |
| `judge_day` | the scores come from code without profiles | score the day with `force`, then clear the task |
| `count_captures` | the job could not start | clear it |
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from airflow.sdk import DAG, TaskGroup, XComArg, chain, dag, task

from include.models.config import ModelConfig
from include.monitor import label_tasks, tasks, traffic_tasks
from include.platform.dag_settings import daily, daily_and_when_scored, day_param, of_model, with_form
from include.platform.python_task import python_task
from include.score.plan import RUNS_AT_ONCE
from sagemaker_jobs.processing import ProcessingJobOperator
from sagemaker_jobs.runs import TriggerRunOperator
from sagemaker_jobs.sensors import PartitionSensor

if TYPE_CHECKING:
    from airflow.sdk.definitions.xcom_arg import PlainXComArg


def monitor_dag(model: ModelConfig) -> DAG:
    """The Dag ``monitor_<model>``."""

    @dag(
        **of_model("monitor", model, does="Watch for late and faulty data, drift and loss", runbook=__doc__),
        schedule=daily_and_when_scored(model.schedule.monitor, model.name)
        if model.scoring
        else daily(model.schedule.monitor),
        catchup=False,
        max_active_runs=RUNS_AT_ONCE,
    )
    def monitor() -> None:
        if model.scoring:
            find_late_days = python_task(partial(tasks.find_late_days, model))()
            TriggerRunOperator.partial(
                task_id="score_late_day",
                trigger_dag_id=f"score_{model.name}",
            ).expand_kwargs(find_late_days)
        if model.scoring and model.monitoring:
            _watch(model)
        if model.monitoring and model.serving.data_capture_percent:
            with TaskGroup(tasks.TRAFFIC):
                _watch_endpoint(model)

    return with_form(
        monitor(), {"day": day_param("Day", "The last day to look at. Empty: the day of a scheduled run.")}
    )


def _watch(model: ModelConfig) -> None:
    wait_for_scores = PartitionSensor(
        task_id="wait_for_scores",
        partition=partial(tasks.wait_for_scores, model),
        poke_interval=60,
        trigger_rule="all_done",  # a day is judged even if joining other days' labels failed
    )
    if model.labels:
        _join_labels(model) >> wait_for_scores
    judge_day = python_task(partial(tasks.judge_day, model), multiple_outputs=True)()
    chain(wait_for_scores, judge_day, _follow(model, judge_day, "judge_day"))


def _watch_endpoint(model: ModelConfig) -> None:
    find_captures = python_task(partial(traffic_tasks.find_captures, model))()
    count_captures = ProcessingJobOperator(
        task_id="count_captures", request=partial(traffic_tasks.count_captures, model)
    )
    publish_captures = python_task(
        partial(traffic_tasks.publish_captures, model),
        trigger_rule="none_failed_min_one_success",  # a day without requests has no job
    )()
    judge_day = python_task(partial(tasks.judge_day, model, of="traffic"), multiple_outputs=True)()
    chain(find_captures, count_captures, publish_captures, judge_day)
    chain(find_captures, publish_captures)
    chain(judge_day, _follow(model, judge_day, f"{tasks.TRAFFIC}.judge_day"))


def _follow(model: ModelConfig, judge_day: PlainXComArg, judged_by: str) -> XComArg:
    """What follows from a verdict; the first of its tasks."""
    check_verdict = python_task(partial(tasks.check_verdict, model), task.branch)(found=judge_day)
    report_verdict = python_task(partial(tasks.report_verdict, model))(found=judge_day)
    keep_model = python_task(partial(tasks.keep_model, model))(found=judge_day)
    retrain_model = TriggerRunOperator(
        task_id="retrain_model",
        trigger_dag_id=f"train_{model.name}",
        trigger_run_id=f"{{{{ ti.xcom_pull('{judged_by}', key='training_run') }}}}",
        conf=judge_day["training"],
    )
    chain(check_verdict, [report_verdict, keep_model, retrain_model])
    return check_verdict


def _join_labels(model: ModelConfig) -> XComArg:
    find_labels = python_task(partial(label_tasks.find_labels, model))()
    join_labels = ProcessingJobOperator(task_id="join_labels", request=partial(label_tasks.join_labels, model))
    publish_performance = python_task(partial(label_tasks.publish_performance, model))()
    chain(find_labels, join_labels, publish_performance)
    return publish_performance
