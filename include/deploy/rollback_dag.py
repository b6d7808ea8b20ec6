"""Brings a model's production back to the version before: one click, for when the one that serves turns out to be bad.

**For whom:** whoever is on call. Trigger it, choose the model, leave the rest of the form empty.

**Reads** which versions were in production (`production/<model>/history.json`). **Writes** the endpoint
`<model>-production` (with `-` for `_`), that history, and beside it `rollback.json`, the run that may do so.

**Running it again is safe:** clearing a task goes on where it was. A second run goes back one version more; versions
that were rolled back from are not gone back to. Runs of several models go on side by side, and none waits for a
deployment that waits for its answer. Of one model only one run goes on: another one fails at once, changes nothing and
names the first.

**Steps.** `resolve_previous` finds what served before. `deploy_production` brings its very configuration back: all at
once, and whatever alarms say, since they may be going off. An update that is under way is waited for, as SageMaker
takes no second one. `test_production` verifies it like a deployment, `record_promotion` and `prune_stale` end the run.
Where model.yaml says `tracking.model_versions`, `move_champion_alias` lets MLflow's alias follow.

**When it fails** `resolve_previous` says which versions there were, or which run is at it already; `deploy_production`
and `test_production` fail as those of the deployment Dag do. The version can be chosen in the form to try another one.
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

# above what there will be models: of each one run is at work, and no run waits for another model's
RUNS_AT_ONCE = 200


def rollback_dag(models: Sequence[ModelConfig]) -> DAG:
    """The Dag ``rollback``, for any of the models."""
    productions = AssetAlias("production")
    owners = {model.name: model.owner for model in models}

    @dag(
        dag_id="rollback",
        dag_display_name="Roll a model back",
        description="Bring a model's production back to the version before.",
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
            "model": Param(type="string", enum=list(owners), title="Model", description="Whose production goes back."),
            "version": version_param("Which earlier version. Empty: the one that served before the present one."),
        },
    )
