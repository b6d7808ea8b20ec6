"""Brings an approved version of a model into production: through staging, a test, and a person's decision.

**For whom:** whoever is responsible for the production endpoint. Approving a version in the Model Registry starts a
run; so does the *Trigger* button, for any approved version, into staging alone or into production too.

**Reads** the approved version, its artifact and its training run's reports. **Writes** the endpoints
`<model>-staging` and `<model>-production` (with `-` for `_`), the page of the promotion packet in its own folder, who
decided, when and why in the version's metadata, and which version was in production from when to when in
`production/<model>/history.json`.

**Running it again is safe.** Every task works from what it finds: an endpoint that has the configuration is left alone,
one that is being updated is attached to, and no second endpoint, configuration or promotion is made. Runs come one
after the other: of two approvals the last one ends up in production, and approvals that come together are one run.

**Steps.** `resolve_package` finds the version and checks that its artifact is what was registered. `deploy_staging` and
`test_staging`: golden requests answered as trained, bad requests refused, latency within model.yaml.
`prepare_promotion` gathers what a person needs to decide, and `approve_production` waits for the answer (*Required
actions* in the UI). `record_decision` keeps who decided, when and why; without a yes in time `keep_production` ends the
run and nothing was changed.
`deploy_production` moves the traffic as model.yaml says (canary, linear), under alarms that take it back.
`test_production` tests as in staging; if that fails `restore_production` brings the version before back and
`test_restored` verifies it. `record_promotion` and `prune_stale` end the run. Where model.yaml says
`tracking.model_versions`, `move_champion_alias` lets MLflow's alias follow.

**When it fails** the task's log ends with why, where to look and what to do:

| task | usual reason | what to do |
|---|---|---|
| `resolve_package` | not approved; artifact gone | approve it, or bring the artifact back; clear the task |
| `deploy_staging` | the model does not start | the endpoint's last log lines are in the task's log; train anew |
| `test_staging` | wrong answers, too slow | production was not touched; look at the endpoint's log |
| `deploy_production` | taken back by an alarm | the version before serves; look at the alarm, mend, approve anew |
| `test_production` | as in staging | `restore_production` has put the version before back; see its log |
| `restore_production`, `test_restored` | nothing to go back to | **production is not as it should be**: rollback Dag |
| `move_champion_alias` | MLflow does not answer | production is right, the alias is not; clear it when MLflow is back |
| anything else | killed, throttled | clear it: it goes on where it was |
"""

from __future__ import annotations

from functools import partial
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Asset, AssetWatcher, chain, dag, task

from include.deploy import approval_request as promotion
from include.deploy import tasks
from include.deploy.approval_events import APPROVE, REJECT, environment_name, queue_name
from include.deploy.champion_alias import move_champion_alias
from include.models.config import ModelConfig
from include.platform.dag_settings import approval_params, deployment_params, response_timeout, task_defaults
from include.platform.environment import ml_environment
from include.platform.notifications import notify
from include.platform.request_parts import group_name
from sagemaker_jobs.approvals import PackageApprovalTrigger
from sagemaker_jobs.endpoints import EndpointOperator


def deploy_dag(model: ModelConfig) -> DAG:  # noqa: C901 - the linter counts each task as a branch
    """The Dag ``deploy_<model>``."""
    approvals = Asset(
        f"{model.name}_approved_package",
        watchers=[
            AssetWatcher(
                name=f"{model.name}_approvals",
                trigger=PackageApprovalTrigger(queue=queue_name(environment_name(), group_name(model))),
            )
        ],
    )
    production = Asset(f"{model.name}_production")

    @dag(
        dag_id=f"deploy_{model.name}",
        description=f"Bring an approved version into production: {model.description}",
        doc_md=f"# deploy_{model.name}\n\n{model.description}\n\n{__doc__}",
        schedule=[approvals],
        max_active_runs=1,
        params=deployment_params(model),
        tags=["deploy", model.name],
        user_defined_macros={"ml_environment": ml_environment},
        default_args=task_defaults(model),
    )
    def deploy() -> None:
        @task(multiple_outputs=True)
        def resolve_package(**context: Any) -> Any:
            return tasks.package_to_deploy(model, approvals, context)

        resolved = resolve_package()
        package = resolved["package"]  # type: ignore[index]  # the decorator's type does not say that it can be indexed
        deploy_staging = EndpointOperator(
            task_id="deploy_staging",
            request=partial(tasks.endpoint, model, "staging"),
            request_kwargs={"resolved": resolved},
        )

        @task
        def test_staging(package: Any, deployed: Any) -> Any:
            return tasks.tested(model, "staging", package, deployed)

        @task.branch
        def prepare_promotion(resolved: Any, report: Any, **context: Any) -> str:
            packet = promotion.write_packet(model, context, resolved=resolved, report=report)
            context["ti"].xcom_push(key="packet", value=packet)
            return promotion.next_step(context)

        approve_production = HITLOperator(
            task_id="approve_production",
            subject="{{ ti.xcom_pull('prepare_promotion', key='packet')['subject'] }}",
            body="{{ ti.xcom_pull('prepare_promotion', key='packet')['body'] }}",
            options=[APPROVE, REJECT],
            defaults=REJECT,
            params=approval_params(),
            **response_timeout(model),
        )

        @task.branch(trigger_rule="none_failed_min_one_success")
        def record_decision(answer: Any, package: Any, **context: Any) -> str:
            decided = promotion.decide(answer, context, package=package)
            return "deploy_production" if decided["decision"] == "promoted" else "keep_production"

        @task(trigger_rule="none_failed_min_one_success")
        def keep_production(package: Any, **context: Any) -> None:
            message = "Production serves as it did. Why is in the version's metadata in the Model Registry."
            notify(f"{context['dag'].dag_id}: version {package['version']} was not promoted", message)

        deploy_production = EndpointOperator(
            task_id="deploy_production",
            request=partial(tasks.endpoint, model, "production"),
            request_kwargs={"resolved": resolved},
        )

        @task
        def test_production(package: Any, deployed: Any) -> Any:
            return tasks.tested(model, "production", package, deployed)

        restore_production = EndpointOperator(
            task_id="restore_production",
            trigger_rule="one_failed",  # of whatever; it skips itself if production was not changed
            request=partial(tasks.champion_endpoint, model),
            request_kwargs={"resolved": resolved, "deployed": deploy_production.output},
        )

        @task
        def test_restored(resolved: Any, deployed: Any) -> Any:
            report = tasks.tested_champion(model, resolved["champion"], deployed)
            notify(f"{model.name}: production is back at version {resolved['champion']['version']}", report["summary"])
            return report

        @task(outlets=[production])
        def record_promotion(package: Any, deployed: Any, **context: Any) -> Any:
            recorded = tasks.record(model, package, deployed, context)
            context["outlet_events"][production].extra = recorded
            return recorded

        @task
        def prune_stale() -> Any:
            return tasks.prune_stale(model)

        tested = test_production(package, deploy_production.output)
        decided = record_decision(approve_production.output, package)
        prepared = prepare_promotion(resolved, test_staging(package, deploy_staging.output))
        kept = keep_production(package)
        chain(prepared, approve_production, decided, deploy_production, tested)
        chain(prepared, [decided, kept])
        chain(decided, kept)
        chain(tested, restore_production, test_restored(resolved, restore_production.output))
        recorded = record_promotion(package, deploy_production.output)
        chain(tested, recorded, prune_stale())
        move_champion_alias(model, recorded)

    return deploy()
