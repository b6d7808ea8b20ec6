"""Brings a model's production back to the previous version: one click, for when the current one turns out to be bad.

**For whom:** the person on call. Trigger it, choose the model, leave the rest of the form empty.

**Reads** which versions were in production (`production/<model>/history.json`). **Writes** the endpoint
`<model>-production` (with `-` for `_`), that history, and beside it `rollback.json`, the run that may change it.

**Running it again is safe:** a cleared task continues where it stopped. A second run goes back one more version;
versions that were rolled back are skipped. Runs of several models go on side by side, and none waits for a deployment
that waits for its approval. Only one run per model may be active: another one fails at once, changes nothing and names
the first.

**Steps.** `resolve_previous` finds what served before. `deploy_production` brings exactly that configuration back: all
at once, and regardless of alarms, since they may have fired. It waits for an update in progress, as SageMaker accepts
no second one. `test_production` verifies it like a deployment, `record_promotion` and `prune_stale` end the run. With
`tracking.model_versions` in model.yaml, `move_champion_alias` moves MLflow's alias.

**When it fails** `resolve_previous` lists the earlier versions, or names the run that is already rolling back;
`deploy_production` and `test_production` fail as in the deployment Dag. Choose another version in the form to try that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from airflow.sdk import DAG, AssetAlias, Param, chain, dag

from include.deploy import rollback_tasks as tasks
from include.models.config import ModelConfig
from include.platform.dag_settings import for_any_model, version_param, with_form
from include.platform.python_task import python_task
from sagemaker_jobs.endpoints import EndpointOperator
from sagemaker_jobs.processing import ProcessingJobOperator

# more than there will ever be models: one run of each may be active, and none waits for another model's
RUNS_AT_ONCE = 200


def rollback_dag(models: Sequence[ModelConfig]) -> DAG:
    """The Dag ``rollback``, for any of the models."""
    productions = AssetAlias("production")
    owners = {model.name: model.owner for model in models}

    @dag(
        dag_id="rollback",
        dag_display_name="Roll a model back",
        description="Bring a model's production back to the previous version.",
        doc_md=f"# rollback\n\n{__doc__}",
        max_active_runs=RUNS_AT_ONCE,
        **for_any_model(owners),
    )
    def rollback() -> None:
        entry = python_task(tasks.resolve_previous)()
        deploy_production = EndpointOperator(
            task_id="deploy_production",
            request=tasks.deploy_production,
            request_kwargs={"entry": entry},
        )
        test_production = python_task(tasks.test_production)(version=entry, deployed=deploy_production.output)
        record_promotion = python_task(partial(tasks.record_promotion, productions), outlets=[productions])(
            version=entry, deployed=deploy_production.output
        )
        prune_stale = python_task(tasks.prune_stale)()
        move_champion_alias = ProcessingJobOperator(
            task_id="move_champion_alias",
            request=tasks.move_champion_alias,
            request_kwargs={"recorded": record_promotion},
        )
        chain(test_production, record_promotion, [prune_stale, move_champion_alias])

    return with_form(
        rollback(),
        {
            "model": Param(type="string", enum=list(owners), title="Model", description="The model to roll back."),
            "version": version_param(
                "An earlier version. Empty: the one that served before the current one.", "/models/"
            ),
        },
    )
