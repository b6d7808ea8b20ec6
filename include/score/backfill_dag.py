"""Scores days gone by, many in one SageMaker job, each with the version that was in production on it.

**For whom:** whoever wants a model's history scored, or scored again: after a promotion, a change of its features, or a
week of missing data. (`airflow backfill create` of `score_<model>` does the same with a job for each day. What either
has done the other finds done.)

**Reads** what `score_<model>` reads of each day, and the manifests of the scores that are there. **Writes** its own
folder `runs/backfill/<run>/` and each day's partition of scores, in one step a day.

**Running it again is safe.** Days whose raw data, model, code and configuration are those of their scores are left
alone, unless `force` is set; of the others the log says why they are due: not scored yet, late data, a changed model,
code, expectations or section of model.yaml. A batch that is tried again scores what is not staged, and publishes what
is not published.

**Steps.** `plan_days` says which days are done, due or impossible, and why, groups the due ones into as many jobs as
the quota and the work make sensible, and says what they cost. Above `budget_usd`, or model.yaml's `budget`, a person is
asked under *Required actions* (`approve_cost`); without a yes nothing is scored. For each batch of `choose_batches`,
`score_batch` is one job in which every day is validated, scored and checked on its own, on all cores; `publish_batch`
publishes its days as soon as it is over. `report_days` lists days, rows, versions and costs, and fails if a day has no
new scores.

Published days are told of as `score_<model>` does: the Asset `<model>_scores` has an event for each, for which
`monitor_<model>` runs. **Sinks** of model.yaml get them in one job a batch, `send_scores`, unless the sink says
`backfilled_days: false`; what was sent already is not sent again. A run of `score_<model>` may be at work on the same
days: whoever is first publishes, and the other leaves it at that.

**When it fails** `report_days` names the days and says why. Correct the data and trigger the Dag again; where a job
failed, clear its `score_batch`.

| task | usual reason | what to do |
|---|---|---|
| `plan_days` | no day of the range has data, or nothing was ever promoted | give other days, or promote a version |
| `score_batch` | SageMaker had no capacity, or the job was stopped | clear it: staged days are not scored again |
| `publish_batch` | S3 did not answer | clear it: published days are not published again |
| `send_scores` | the sink cannot be reached | bring it back, clear it: the days are published already |
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
        description="Score days gone by of a model, many in one job.",
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
            execution_timeout=None,  # it would be taken for the time to answer
        )
        choose_batches = python_task(tasks.choose_batches, trigger_rule="none_failed_min_one_success")(
            answer=approve_cost.output
        )
        chain(plan_days, [approve_cost, choose_batches])
        report_days = python_task(tasks.report_days, trigger_rule="all_done")(batches=choose_batches)
        chain(_score(choose_batches, [scores_asset(model) for model in owners]), report_days)

    return with_form(backfill(), form.backfill_params(list(owners)))


def _score(batches: XComArg, outlets: list[Asset]) -> BaseOperator:
    """A job for each batch, the publishing of its days as soon as that is over, and a job for each sink; what publishes
    comes before the report, which waits for no sink."""

    @task_group
    def score(batch: XComArg) -> BaseOperator:
        score_batch = ProcessingJobOperator(
            task_id="score_batch",
            request=tasks.score_batch,
            request_kwargs={"batch": batch},
        )
        # also of a job that failed, whose days are staged in part
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
