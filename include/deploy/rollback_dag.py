"""Brings production back to the version before: one click, for when the one that serves turns out to be bad.

**For whom:** whoever is on call. Trigger it and leave the form empty.

**Reads** which versions were in production (`production/<model>/history.json`). **Writes** the endpoint
`<model>-production` and that history.

**Running it again is safe:** clearing a task goes on where it was. A second run goes back one version more; versions
that were rolled back from are not gone back to.

**Steps.** `resolve_previous` finds what served before. `deploy_production` brings its very configuration back: all at
once, and whatever alarms say, since they may be going off. An update that is under way is waited for, as SageMaker
takes no second one. `test_production` verifies it like a deployment, `record_promotion` and `prune_stale` end the run.
Where model.yaml says `tracking.model_versions`, `move_champion_alias` lets MLflow's alias follow.

**When it fails** `resolve_previous` says which versions there were; `deploy_production` and `test_production` fail as
those of the deployment Dag do. The version can be chosen in the form to try another one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow.sdk import DAG, Asset, chain, dag, task

from include.deploy import tasks
from include.deploy.champion_alias import move_champion_alias
from include.models.config import ModelConfig
from include.platform.dag_settings import rollback_params, task_defaults
from include.platform.environment import ml_environment
from sagemaker_jobs.endpoints import EndpointOperator


def rollback_dag(model: ModelConfig) -> DAG:
    """The Dag ``rollback_<model>``."""
    production = Asset(f"{model.name}_production")

    @dag(
        dag_id=f"rollback_{model.name}",
        description=f"Bring production back to the version before: {model.description}",
        doc_md=f"# rollback_{model.name}\n\n{model.description}\n\n{__doc__}",
        schedule=None,
        max_active_runs=1,
        params=rollback_params(),
        tags=["rollback", model.name],
        user_defined_macros={"ml_environment": ml_environment},
        default_args=task_defaults(model),
    )
    def rollback() -> None:
        @task
        def resolve_previous(**context: Any) -> Any:
            return tasks.entry_to_return_to(model, context)

        entry = resolve_previous()
        deploy_production = EndpointOperator(
            task_id="deploy_production",
            request=partial(tasks.returning_endpoint, model),
            request_kwargs={"entry": entry},
        )

        @task
        def test_production(entry: Any, deployed: Any) -> Any:
            return tasks.tested_champion(model, entry, deployed)

        @task(outlets=[production])
        def record_promotion(entry: Any, deployed: Any, **context: Any) -> Any:
            recorded = tasks.record(model, tasks.returned_package(entry), deployed, context)
            context["outlet_events"][production].extra = recorded
            return recorded

        @task
        def prune_stale() -> Any:
            return tasks.prune_stale(model)

        recorded = record_promotion(entry, deploy_production.output)
        chain(test_production(entry, deploy_production.output), recorded, prune_stale())
        move_champion_alias(model, recorded)

    return rollback()
