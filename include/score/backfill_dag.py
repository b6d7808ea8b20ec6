"""Scores past days, many in one SageMaker job, each with the version that was in production on that day.

**For whom:** anyone who wants a model's history scored or rescored: after a promotion, a change of its features, or a
week of missing data. (`airflow backfill create` of `score_<model>` does the same with a job per day. Each skips what
the other has done.)

**Reads** what `score_<model>` reads of each day, and the manifests of existing scores. **Writes** its own folder
`runs/backfill/<run>/` and each day's partition of scores, atomically per day.

**Running it again is safe.** Days whose raw data, model, code and configuration match their scores are left alone,
unless `force` is set; for the others the log gives the reason: not scored yet, late data, a changed model, code,
expectations or section of model.yaml. A retried batch scores only what is not staged, and publishes only what is not
published.

**Steps.** `plan_days` says which days are done, due or impossible, and why, groups the due ones into as many jobs as
the quota and the work justify, and estimates the cost. Above `budget_usd`, or model.yaml's `budget`, it asks for
approval under *Required actions* (`approve_cost`); without it nothing is scored. For each batch of `choose_batches`,
`score_batch` is one job in which every day is validated, scored and checked separately, on all cores; `publish_batch`
publishes its days as soon as the job ends. `report_days` lists days, rows, versions and costs, and fails if a day has
no new scores.

Published days are announced as by `score_<model>`: the Asset `<model>_scores` has an event for each, which starts a run
of `monitor_<model>`. **Sinks** of model.yaml get them in one job per batch, `send_scores`, unless the sink says
`backfilled_days: false`; what was already sent is not sent again. If a run of `score_<model>` works on the same days,
the first to finish publishes, and the other skips.

**When it fails** `report_days` names the days and the reasons. Correct the data and trigger the Dag again; if a job
failed, clear its `score_batch`.

| task | usual reason | what to do |
|---|---|---|
| `plan_days` | no day of the range has data, or nothing was ever promoted | choose other days, or promote a version |
| `score_batch` | SageMaker had no capacity, or the job was stopped | clear it: staged days are not scored again |
| `publish_batch` | S3 did not answer | clear it: published days are not published again |
| `send_scores` | the sink cannot be reached | bring it back, then clear this: the days are already published |
| `report_days` | days could not be scored | look at their reports, correct the data, trigger the Dag again |
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import cast

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Asset, BaseOperator, TaskGroup, XComArg, chain, dag, task, task_group

from include.models.config import ModelConfig, Sinks
from include.platform.dag_settings import for_any_model, scores_asset, with_form
from include.platform.python_task import python_task
from include.platform.questions import QuestionNotifier
from include.score import backfill_tasks as tasks
from include.score import form
from sagemaker_jobs.processing import ProcessingJobOperator

RUNS_AT_ONCE = 4
ANSWER_WITHIN = timedelta(hours=72)


def backfill_dag(models: Sequence[ModelConfig]) -> DAG:
    """The Dag ``backfill``, for any of the models."""
    owners = {model.name: model.owner for model in models}

    @dag(
        dag_id="backfill",
        dag_display_name="Backfill a model",
        description="Score past days of a model, many in one job.",
        doc_md=f"# backfill\n\n{__doc__}",
        max_active_runs=RUNS_AT_ONCE,
        **for_any_model(owners),
    )
    def backfill() -> None:
        plan_days = python_task(tasks.plan_days, task.branch)()
        approve_cost = HITLOperator(
            task_id="approve_cost",
            subject="{{ ti.xcom_pull('plan_days', key='question')['subject'] }}",
            body="{{ ti.xcom_pull('plan_days', key='question')['body'] }}",
            options=[tasks.YES, tasks.NO],
            defaults=tasks.NO,
            response_timeout=ANSWER_WITHIN,
            notifiers=[QuestionNotifier(f"Without an answer in {ANSWER_WITHIN.days} days nothing is scored.")],
            execution_timeout=None,  # it would limit the time to answer
        )
        choose_batches = python_task(tasks.choose_batches, trigger_rule="none_failed_min_one_success")(
            answer=approve_cost.output
        )
        chain(plan_days, [approve_cost, choose_batches])
        report_days = python_task(tasks.report_days, trigger_rule="all_done")(batches=choose_batches)
        chain(_score(choose_batches, [scores_asset(model) for model in owners]), report_days)

    return with_form(backfill(), form.backfill_params(list(owners)))


def _score(batches: XComArg, outlets: list[Asset]) -> BaseOperator:
    """A job for each batch, a task that publishes its days as soon as the job ends, and a job for each sink. The report
    follows publication and does not wait for sinks."""

    @task_group
    def score(batch: XComArg) -> BaseOperator:
        score_batch = ProcessingJobOperator(
            task_id="score_batch",
            request=tasks.score_batch,
            request_kwargs={"batch": batch},
        )
        # also if the job failed, as some of its days are staged
        publish_batch = python_task(tasks.publish_batch, trigger_rule="all_done", outlets=outlets)(
            batch=batch, scored=score_batch.output
        )
        for sink in Sinks.model_fields:
            with TaskGroup(sink):
                send_scores = ProcessingJobOperator(
                    task_id="send_scores",
                    request=partial(tasks.send_scores, sink),
                    request_kwargs={"batch": batch},
                )
            chain(publish_batch, send_scores)
        return cast(BaseOperator, publish_batch.operator)

    return cast(BaseOperator, score.expand(batch=batches))
