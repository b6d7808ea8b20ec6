"""Brings an approved version of a model into production: through staging, a test, and an approval.

**For whom:** those responsible for the production endpoint. Approving a version in the Model Registry starts a
run; so does the *Trigger* button, for any approved version, into staging only or also into production.

**Reads** the approved version, its artifact and its training run's reports. **Writes** the endpoints
`<model>-staging` and `<model>-production` (with `-` for `_`), the page of the promotion packet in its own folder, the
decision (who, when and why) in the version's metadata, and the production history in
`production/<model>/history.json`.

**Running it again is safe.** Every task starts from the current state: an endpoint that has the configuration is left
alone, one that is being updated is attached to, and no second endpoint, configuration or promotion is created. Runs
are sequential: of two approvals the last one ends up in production, and approvals that arrive together share a run.

**Steps.** `resolve_package` finds the version and checks that its artifact is the registered one. `deploy_staging` and
`test_staging`: golden requests answered as trained, bad requests refused, latency within model.yaml.
`prepare_promotion` gathers what the approver needs to decide, and deletes staging unless `serving.staging` keeps it;
`approve_production` notifies people and waits for the answer (*Required actions* in the UI); the Dag `remind` reminds
them. `record_decision` records who decided, when and why; without an approval in time, `keep_production` ends the run
and production stays unchanged; `remove_shadow` takes a declined version away from production's endpoint, if it was its
shadow.
If the form says *staging and shadow*, or an approval started the run and model.yaml says `challenger`, nobody is asked:
`deploy_shadow` makes the version a shadow variant of production's endpoint, and `report_shadow` notifies people. It
gets a copy of each request, and callers never see its answers. `monitor_<model>` compares both each day. To decide,
trigger a run for the version: its packet has the results. Only an endpoint on instances that captures requests
(`serving.data_capture_percent`) can have a shadow, which costs as much as production while it lasts.
`deploy_production` moves the traffic as model.yaml says (canary, linear), under alarms that roll it back.
`test_production` tests as in staging; if that fails, `restore_production` brings the previous version back and
`test_restored` verifies it. `record_promotion` and `prune_stale` end the run. With `tracking.model_versions` in
model.yaml, `move_champion_alias` moves MLflow's alias.

**When it fails** the task's log ends with the reason, where to look and what to do:

| task | usual reason | what to do |
|---|---|---|
| `resolve_package` | not approved; artifact gone | approve it, or restore the artifact; clear the task |
| `deploy_staging` | the model does not start | the endpoint's last log lines are in the task's log; train again |
| `test_staging` | wrong answers, too slow | production is unchanged; look at the endpoint's log |
| `deploy_production` | rolled back by an alarm | the previous version serves; fix what the alarm found, approve again |
| `test_production` | as in staging | `restore_production` has restored the previous version; see its log |
| `deploy_shadow` | the version does not start beside production | production answers as before; see its log |
| `restore_production`, `test_restored` | nothing to go back to | **production serves a bad version**: run `rollback` |
| `move_champion_alias` | MLflow does not answer | production is right, the alias is not; clear it when MLflow is back |
| anything else | killed, throttled | clear it: it continues where it stopped |
"""

from __future__ import annotations

from functools import partial

from airflow.sdk import DAG, Asset, AssetWatcher, XComArg, chain, dag, task

from include.deploy import approval_request, form, shadow, tasks
from include.deploy.approval_events import APPROVE, REJECT, queue_name
from include.deploy.approval_messages import ApproverNotifier
from include.models.config import ModelConfig
from include.platform.dag_settings import NO_BACKFILLS, of_model, on_events_of, with_form
from include.platform.python_task import python_task
from include.platform.request_parts import group_name
from sagemaker_jobs.approvals import PackageApprovalTrigger
from sagemaker_jobs.endpoints import EndpointOperator
from sagemaker_jobs.names import environment_name
from sagemaker_jobs.processing import ProcessingJobOperator


def deploy_dag(model: ModelConfig) -> DAG:
    """The Dag ``deploy_<model>``."""
    queue = queue_name(environment_name(), group_name(model))
    approvals = Asset(
        f"{model.name}_approved_package",
        watchers=[AssetWatcher(name=f"{model.name}_approvals", trigger=PackageApprovalTrigger(queue=queue))],
    )

    @dag(
        **of_model("deploy", model, does="Bring an approved version into production", runbook=__doc__),
        schedule=on_events_of(approvals),
        allowed_run_types=NO_BACKFILLS,
        max_active_runs=1,
    )
    def deploy() -> None:
        production = Asset(f"{model.name}_production")
        resolved = python_task(partial(tasks.resolve_package, model, approvals), multiple_outputs=True)()
        version = resolved["version"]
        prepare_promotion = _stage(model, resolved, version)
        _shadow(model, prepare_promotion, resolved, version)
        record_decision = _decide(model, prepare_promotion, version)
        deploy_production, test_production = _promote(model, resolved, version)
        chain(record_decision, deploy_production)
        record_promotion = python_task(
            partial(tasks.record_promotion, model, production),
            outlets=[production],
        )(version=version, deployed=deploy_production.output)
        chain(test_production, record_promotion, python_task(partial(tasks.prune_stale, model))())
        move_champion_alias(model, record_promotion)

    return with_form(deploy(), form.params(model))


def _stage(model: ModelConfig, resolved: XComArg, version: XComArg) -> XComArg:
    """Staging, its test, and the packet for the approver."""
    deploy_staging = EndpointOperator(
        task_id="deploy_staging",
        request=partial(tasks.deploy_staging, model),
        request_kwargs={"resolved": resolved},
    )
    test_staging = python_task(partial(tasks.test_staging, model))(version=version, deployed=deploy_staging.output)
    return python_task(partial(approval_request.prepare_promotion, model), task.branch)(
        resolved=resolved, report=test_staging
    )


def _shadow(model: ModelConfig, prepare_promotion: XComArg, resolved: XComArg, version: XComArg) -> None:
    """Beside production instead of into it; the run ends."""
    deploy_shadow = EndpointOperator(
        task_id="deploy_shadow", request=partial(shadow.deploy_shadow, model), request_kwargs={"resolved": resolved}
    )
    report_shadow = python_task(partial(shadow.report_shadow, model))(version=version, deployed=deploy_shadow.output)
    chain(prepare_promotion, deploy_shadow, report_shadow)


def _decide(model: ModelConfig, prepare_promotion: XComArg, version: XComArg) -> XComArg:
    """The approval and its record; without one, the run ends."""
    approve_production = approval_request.ApprovalOperator(
        task_id="approve_production",
        subject="{{ ti.xcom_pull('prepare_promotion', key='packet')['subject'] }}",
        body="{{ ti.xcom_pull('prepare_promotion', key='packet')['body'] }}",
        options=[APPROVE, REJECT],
        defaults=REJECT,
        params=form.approval_params(),
        notifiers=[ApproverNotifier(model)],
        **form.answer_timeout(model),
    )
    record_decision = python_task(
        partial(approval_request.record_decision, model), task.branch, trigger_rule="none_failed_min_one_success"
    )(answer=approve_production.output, version=version)
    keep_production = python_task(partial(tasks.keep_production, model), trigger_rule="none_failed_min_one_success")(
        version=version
    )
    remove_shadow = EndpointOperator(
        task_id="remove_shadow", request=partial(shadow.remove_shadow, model), request_kwargs={"version": version}
    )
    chain(prepare_promotion, approve_production, record_decision, keep_production, remove_shadow)
    chain(prepare_promotion, [record_decision, keep_production])
    return record_decision


def _promote(model: ModelConfig, resolved: XComArg, version: XComArg) -> tuple[EndpointOperator, XComArg]:
    """Production and its test; if that fails, production is restored."""
    deploy_production = EndpointOperator(
        task_id="deploy_production",
        request=partial(tasks.deploy_production, model),
        request_kwargs={"resolved": resolved},
    )
    test_production = python_task(partial(tasks.test_production, model))(
        version=version, deployed=deploy_production.output
    )
    restore_production = EndpointOperator(
        task_id="restore_production",
        trigger_rule="one_failed",  # of any task; it skips itself if production was not changed
        request=partial(tasks.restore_production, model),
        request_kwargs={"deployed": deploy_production.output},
    )
    test_restored = python_task(partial(tasks.test_restored, model))(deployed=restore_production.output)
    chain(deploy_production, test_production, restore_production, test_restored)
    return deploy_production, test_production


def move_champion_alias(model: ModelConfig, record_promotion: XComArg) -> None:
    """Adds the task that moves MLflow's alias, if model.yaml says ``tracking.model_versions``."""
    if model.tracking.model_versions:
        alias = ProcessingJobOperator(
            task_id="move_champion_alias",
            request=partial(tasks.move_champion_alias, model),
            request_kwargs={"recorded": record_promotion},
        )
        chain(record_promotion, alias)
