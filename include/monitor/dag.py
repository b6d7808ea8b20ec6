"""Watches what a model scores, day by day: whether raw data came late, and what is to be said of the day. Late days
are scored again; each day gets a verdict, people are told of what they do not know yet, and the model is trained again
where model.yaml asks for it.

**For whom:** whoever owns the model, and whoever reads its scores and would not notice that a feed died or that
yesterday's file was replaced this morning.

**Reads** the list of the daily partitions `daily/<model>/`, what `score_<model>` published of the last days (the
`_SUCCESS.json` of each, and what scoring counted of its raw tables, features and answers), and of the version that
scored them the drift profile and `reference.json`, its training counted in the same way. To judge a day no job runs and
no row is read. Where model.yaml has `labels`, it also reads those that came, from `daily/` or
`labels/<model>/date=<day>/`.
**Writes** `monitoring/<model>/date=<day>/`: `drift.json` (the verdict), `report.html`; `monitoring/<model>/told.json`;
`performance/<model>/date=<day>/`: what a day's scores were worth, once its labels are there; and CloudWatch's metrics
`LargestIndex`, `DriftedFeatures`, `DataFaults`, `EstimatedPerformance`, `RealisedPerformance`, `LabelledShare` and
`Rows` (namespace `ModelMonitoring`). It starts `score_<model>` for each late day.

**The verdict** is one of: `data fault` (a dead feed, counts, missing values, sensors that stand still, texts, columns,
units or clocks that are not those of the training; repair the data, do not retrain), `performance loss` (estimated from
the answers, or realised, which decides), `drift without harm`, `fine`, `too little to say`.

**Runs** for exactly the day whose scores are published, as soon as they are, also when a late day is scored again: each
event of the Asset `<model>_scores` names the day as its partition. And daily (`schedule.monitor`), as the floor: a day
without scores is an alarm. Only a daily run looks for late data.

**Running it again is safe.** A day's verdict follows from the published scores alone and replaces that of before. The
scoring runs that it starts are named by day and data, so each state of a day's data is tried once. Backfills run any
range in any order; nothing follows from what they find, nor from days beyond `scoring.sweep_days` that are scored now.
People are told when a verdict begins, when it changes, weekly while it lasts, and when it is over; what they were told
is in `told.json`, which neither a backfill nor a report that failed has written, so neither silences anything.

**Steps.** `find_late_days` compares the raw files' ETags with those that the scores were made of. It looks at the
`scoring.sweep_days` up to the run's day for which no run waits any more; a day whose windows reach into a changed one
is late too. (New code or a new model makes no day late, and days further back are not looked at: for both there are
backfills.) `score_late_day` starts a run for each.

Where model.yaml has the section `labels`: `find_labels` looks for scored days whose labels came or were corrected since
they were last joined. A daily run looks `labels.sweep_days` back, one that published scores started at the days that
may just be complete. `join_labels` is one small job for all of them, and is skipped where nothing came.
`publish_performance` puts what it made where others read it.

Where model.yaml has the section `monitoring`: `wait_for_scores` waits, without a worker, until the day is scored.
`judge_day` holds it against the version's training. `check_verdict` goes on to `report_verdict` and, as
`monitoring.retrain` says, to `retrain_model`, not again within `cool_down_days`; or to `keep_model`, where nothing new
is to be said or another version is in production by now. Where rows are split by time, the training waits until what it
learns from has some of what has changed, and holds out fewer days than `split`. A retrained model has to pass its gates
and be approved like any other; its lineage says what started it (`started_by`).

**When it fails** the task's log ends with why, where to look and what to do:

| task | usual reason | what to do |
|---|---|---|
| `find_late_days` | S3 or the registry did not answer | clear it; else the next run looks at the same days again |
| `wait_for_scores` | the day was not scored | look at the run of `score_<model>`, then clear the task |
| `join_labels` | a file of labels cannot be read; the log says which | correct it: the next run joins it |
| `judge_day` | the scores are of code that kept no profile | score the day with `force`, then clear the task |
"""

from __future__ import annotations

from functools import partial

from airflow.sdk import DAG, XComArg, chain, dag, task

from include.models.config import ModelConfig
from include.monitor import label_tasks, tasks
from include.platform.dag_settings import daily_and_when_scored, day_param, of_model, with_form
from include.platform.python_task import python_task
from include.score.plan import RUNS_AT_ONCE
from sagemaker_jobs.processing import ProcessingJobOperator
from sagemaker_jobs.runs import TriggerRunOperator
from sagemaker_jobs.sensors import PartitionSensor


def monitor_dag(model: ModelConfig) -> DAG:
    """The Dag ``monitor_<model>``."""

    @dag(
        **of_model("monitor", model, does="Watch for late and faulty data, drift and loss", runbook=__doc__),
        schedule=daily_and_when_scored(model.schedule.monitor, model.name),
        catchup=False,
        max_active_runs=RUNS_AT_ONCE,
    )
    def monitor() -> None:
        find_late_days = python_task(partial(tasks.find_late_days, model))()
        TriggerRunOperator.partial(
            task_id="score_late_day",
            trigger_dag_id=f"score_{model.name}",
        ).expand_kwargs(find_late_days)
        if model.monitoring:
            _watch(model)

    return with_form(
        monitor(), {"day": day_param("Day", "The last day to look at. Empty: the day that a scheduled run is about.")}
    )


def _watch(model: ModelConfig) -> None:
    wait_for_scores = PartitionSensor(
        task_id="wait_for_scores",
        partition=partial(tasks.wait_for_scores, model),
        poke_interval=60,
        trigger_rule="all_done",  # a day is judged whatever became of other days' labels
    )
    if model.labels:
        _join_labels(model) >> wait_for_scores
    judge_day = python_task(partial(tasks.judge_day, model), multiple_outputs=True)()
    check_verdict = python_task(partial(tasks.check_verdict, model), task.branch)(found=judge_day)
    report_verdict = python_task(partial(tasks.report_verdict, model))(found=judge_day)
    keep_model = python_task(partial(tasks.keep_model, model))(found=judge_day)
    retrain_model = TriggerRunOperator(
        task_id="retrain_model",
        trigger_dag_id=f"train_{model.name}",
        trigger_run_id=f"{{{{ ti.xcom_pull('{tasks.judge_day.__name__}', key='training_run') }}}}",
        conf=judge_day["training"],
    )
    chain(wait_for_scores, judge_day, check_verdict, [report_verdict, keep_model, retrain_model])


def _join_labels(model: ModelConfig) -> XComArg:
    find_labels = python_task(partial(label_tasks.find_labels, model))()
    join_labels = ProcessingJobOperator(task_id="join_labels", request=partial(label_tasks.join_labels, model))
    publish_performance = python_task(partial(label_tasks.publish_performance, model))()
    chain(find_labels, join_labels, publish_performance)
    return publish_performance
