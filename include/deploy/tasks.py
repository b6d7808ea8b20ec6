"""The tasks of deployments and rollbacks, each named after its id; those of the decision are in
``approval_request``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict, cast

from airflow.sdk import Asset, Context
from airflow.sdk.exceptions import AirflowSkipException
from botocore.exceptions import ClientError

from include.deploy import requests
from include.deploy.endpoint_checks import Report, Thresholds, check_endpoint, columns_of, load_golden_requests
from include.deploy.form import becomes_shadow, chosen_strategy
from include.deploy.serving_modes import at_stage, mode_of
from include.models.config import ModelConfig
from include.platform.clients import error_code, runtime_client, s3_client, sagemaker_client
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.errors import PermanentError
from include.platform.notifications import notify
from include.platform.request_parts import Request, Stage, endpoint_name, group_name
from include.platform.run_context import current_run
from include.platform.storage import golden_requests_of
from include.registry import history, served
from include.registry.history import Entry, History, current, now, previous, read_history
from include.registry.model_index import index_served, index_versions
from include.registry.versions import (
    NO_SUCH_VERSION,
    REPLACED,
    SERVING,
    RegisteredVersion,
    Version,
    approved_version,
    describe,
    find_package,
    newest_approved,
    set_stage,
)
from sagemaker_jobs.failures import is_absent
from sagemaker_jobs.hosting import delete_endpoint, prune

if TYPE_CHECKING:
    from pydantic import JsonValue
    from types_boto3_sagemaker.client import SageMakerClient

log = logging.getLogger(__name__)

REQUESTS, CLIENTS = 200, 2  # the load of a test

Json = Mapping[str, Any]  # a version, or an entry of the production history, passed between tasks


class Resolved(TypedDict):
    """What a run deploys, and the history entry that it would replace; None if nothing is in production. ``shadow``:
    the run ends with the version as production's shadow variant."""

    version: Json
    champion: Json | None
    shadow: bool


class Deployed(TypedDict):
    """The part of ``EndpointOperator``'s result that tasks read."""

    endpoint: str
    config: str


class Recorded(TypedDict):
    """What is in production now, for subscribers of the Asset."""

    version: int
    model_package_arn: str
    endpoint: str
    previous_version: int | None


def resolve_package(model: ModelConfig, approvals: Asset, context: Context) -> Resolved:
    """The version chosen in the form, the last of the approvals that started the run, or the newest approved
    one.

    Raises:
        VersionError: the chosen version is unknown or not approved, or its artifact is missing.
        PermanentError: it is to be a shadow, and cannot be.
        AirflowSkipException: approvals started the run, but nothing is left to do.
    """
    environment, group = ml_environment(), group_name(model)
    sagemaker, s3 = sagemaker_client(environment), s3_client(environment)
    champion = current(read_history(s3, environment.bucket, model.name))
    asked = context["params"]["version"]
    approved = _approved_versions(environment, group, approvals, context) if asked is None else []
    if not approved:
        version = approved_version(sagemaker, s3, group, asked)
    else:
        version = _last_that_stands(environment, group, approved)
        if champion and champion.version == version.version:
            raise AirflowSkipException(f"{group} version {version.version} is already in production")
    log.info("to deploy: %s version %d, %s", group, version.version, version.artifact)
    return {
        "version": version.model_dump(),
        "champion": champion.as_json() if champion else None,
        "shadow": becomes_shadow(model, context, version, champion, by_approval=bool(approved)),
    }


def deploy_staging(model: ModelConfig, context: Context, *, resolved: Resolved) -> Request:
    return requests.staging_endpoint(model, ml_environment(), RegisteredVersion.model_validate(resolved["version"]))


def test_staging(model: ModelConfig, context: Context, *, version: Json, deployed: Deployed) -> Report:
    return _test_endpoint(model, "staging", version, deployed)


def clear_staging(model: ModelConfig, environment: MlEnvironment) -> None:
    """Deletes staging's endpoint unless model.yaml keeps it, waits until it is gone, and records that."""
    if model.serving.staging != "delete":
        return
    name = endpoint_name(model, "staging")
    was_there = delete_endpoint(sagemaker_client(environment), name)
    log.info("endpoint %s %s (serving.staging of model.yaml)", name, "is deleted" if was_there else "is gone already")
    s3 = s3_client(environment)
    served.end(s3, environment.bucket, model.name, "staging", now())
    index_served(s3, environment.bucket, model)


def keep_production(model: ModelConfig, context: Context, *, version: Json) -> None:
    notify(
        f"{context['dag'].dag_id}: version {version['version']} was not promoted",
        "Production is unchanged. The version's metadata in the Model Registry has the reason.",
    )


def deploy_production(model: ModelConfig, context: Context, *, resolved: Resolved) -> Request:
    version = RegisteredVersion.model_validate(resolved["version"])
    return requests.production_endpoint(model, ml_environment(), version, strategy=chosen_strategy(context))


def test_production(model: ModelConfig, context: Context, *, version: Json, deployed: Deployed) -> Report:
    """``version`` may also be an entry of the production history."""
    return _test_endpoint(model, "production", version, deployed)


def restore_production(model: ModelConfig, context: Context, *, deployed: Deployed | None) -> Request:
    """Production as it was before this run changed it.

    Raises:
        AirflowSkipException: the run did not change production.
        PermanentError: nothing was in production before.
    """
    if deployed is None:
        raise AirflowSkipException("this run has not changed production; there is nothing to restore")
    return return_to(model, _before(model, context))


def test_restored(model: ModelConfig, context: Context, *, deployed: Deployed) -> Report:
    """The report of the restored production; corrects the history if this run is already recorded there."""
    before = _before(model, context)
    report = _test_endpoint(model, "production", before.as_json(), deployed)
    _record(model, context, before, deployed)
    notify(f"{model.name}: production is back at version {before.version}", report["summary"])
    return report


def record_promotion(
    model: ModelConfig, production: Asset, context: Context, *, version: Json, deployed: Deployed
) -> Recorded:
    """Records the version in the production history, and notifies people and subscribers of ``production``."""
    recorded = enter_into_history(model, context, version=version, deployed=deployed)
    context["outlet_events"][production].extra = cast("dict[str, JsonValue]", recorded)
    return recorded


def enter_into_history(model: ModelConfig, context: Context, *, version: Json, deployed: Deployed) -> Recorded:
    """Records a version in the production history, and notifies people.

    Raises:
        PermanentError: production serves with something else by now.
        HistoryError, HistoryConflictError: the history cannot be written.
    """
    promoted, task_instance = Version.model_validate(version), context["ti"]
    before = previous(_record(model, context, promoted, deployed))
    log.info("%s version %d is in production; before it: %s", model.name, promoted.version, before and before.version)
    notify(
        f"{model.name} version {promoted.version} is in production",
        f"{task_instance.dag_id}, run {task_instance.run_id}, put {promoted.model_package_arn} behind endpoint "
        f"{deployed['endpoint']}."
        + (f"\n\nTo go back to version {before.version}: trigger rollback for {model.name}." if before else ""),
    )
    return {
        "version": promoted.version,
        "model_package_arn": promoted.model_package_arn,
        "endpoint": deployed["endpoint"],
        "previous_version": before.version if before else None,
    }


def prune_stale(model: ModelConfig, context: Context) -> dict[str, list[str]]:
    """Deletes configurations and Models of earlier versions, except production's and the previous one's."""
    environment = ml_environment()
    past = read_history(s3_client(environment), environment.bucket, model.name)
    kept = [entry.endpoint_config for entry in (current(past), previous(past)) if entry]
    removed = prune(sagemaker_client(environment), group_name(model), kept)
    for kind, names in removed.items():
        log.info("removed %d stale %s: %s", len(names), kind.replace("_", " "), ", ".join(names) or "none")
    return removed


def move_champion_alias(model: ModelConfig, context: Context, *, recorded: Recorded) -> Request:
    """The job that points MLflow's alias ``champion`` to the version that was just recorded.

    Raises:
        AirflowSkipException: the environment has no MLflow.
    """
    environment, run = current_run(context)
    if not environment.mlflow_tracking_uri:
        raise AirflowSkipException("ml_environment has no mlflow_tracking_uri: there is no alias to move")
    return requests.move_champion_alias(model, environment, run, model_package_arn=recorded["model_package_arn"])


def return_to(model: ModelConfig, back: Entry) -> Request:
    """Production with its previous configuration or, if that was deleted, a new one of the same version."""
    environment = ml_environment()
    sagemaker = sagemaker_client(environment)
    try:
        sagemaker.describe_endpoint_config(EndpointConfigName=back.endpoint_config)
    except ClientError as error:
        if not is_absent(error):
            raise
        log.warning("%s was deleted; creating another configuration of version %d", back.endpoint_config, back.version)
        return requests.replaced_endpoint(model, environment, describe(sagemaker, back.model_package_arn))
    return requests.restored_endpoint(model, environment, version=back.version, config_name=back.endpoint_config)


def _before(model: ModelConfig, context: Context) -> Entry:
    """What was in production when this run changed it: the history's last entry from another run. (This run may have
    recorded its promotion and be tested again.) It is looked up now, as a rollback may have come between the run's
    start and the approval.

    Raises:
        PermanentError: nothing was in production.
    """
    environment, run = ml_environment(), context["ti"]
    past = read_history(s3_client(environment), environment.bucket, model.name)
    others = [entry for entry in past.entries if (entry.dag_id, entry.run_id) != (run.dag_id, run.run_id)]
    if not others:
        raise PermanentError(
            f"{model.name} had nothing in production before this version, so there is nothing to go back to: endpoint "
            f"{endpoint_name(model, 'production')} serves with a version that failed its test. Deploy another version, "
            "or delete the endpoint."
        )
    return others[-1]


def _record(model: ModelConfig, context: Context, version: Version, deployed: Deployed) -> History:
    """Adds an entry of this run to the history, once; unchanged if the version already serves with this
    configuration."""
    environment, task_instance = ml_environment(), context["ti"]
    entry = Entry(
        version=version.version,
        model_package_arn=version.model_package_arn,
        artifact=version.artifact,
        since=now(),
        endpoint_config=deployed["config"],
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
    )

    def confirm() -> None:
        _require_still_there(environment, deployed)

    s3, sagemaker = s3_client(environment), sagemaker_client(environment)
    past = history.record_promotion(s3, environment.bucket, model.name, entry, confirm)
    who = f"by {entry.dag_id}, run {entry.run_id}, at {entry.since.isoformat()}"
    set_stage(sagemaker, entry.model_package_arn, SERVING, who)
    for before in past.entries[-2:-1]:
        if before.version != entry.version:
            _retire(sagemaker, before, f"by version {entry.version}, {who}")
    index_versions(s3, sagemaker, environment.bucket, model)
    return past


def _retire(sagemaker: SageMakerClient, replaced: Entry, why: str) -> None:
    """Marks a version as no longer in production, unless it was deleted from the registry."""
    try:
        set_stage(sagemaker, replaced.model_package_arn, REPLACED, why)
    except ClientError as error:
        if error_code(error) not in NO_SUCH_VERSION:
            raise
        log.warning("version %d is no longer in the registry", replaced.version)


def _approved_versions(environment: MlEnvironment, group: str, approvals: Asset, context: Context) -> list[int]:
    """Versions whose approvals started this run, in the order of approval. Several approvals may share a run.

    EventBridge's times are in seconds, and a queue keeps no order: within a second the newest version counts as last.
    An event that Airflow records at the moment it creates the run starts no run of its own. It is found here, as a
    newer version that was approved since the first event and has no decision yet.
    """
    events = [event.extra["payload"] for event in context["triggering_asset_events"].get(approvals, [])]
    if not events:
        return []
    versions = [version for _, version in sorted((event["approved_at"], event["version"]) for event in events)]
    sagemaker = sagemaker_client(environment)
    newest = newest_approved(sagemaker, group)
    if newest is None or newest.version <= max(versions) or "promotion_decision" in newest.metadata:
        return versions
    modified = sagemaker.describe_model_package(ModelPackageName=newest.model_package_arn)["LastModifiedTime"]
    since = datetime.fromisoformat(min(event["approved_at"] for event in events))
    return [*versions, newest.version] if modified >= since else versions


def _last_that_stands(environment: MlEnvironment, group: str, versions: list[int]) -> RegisteredVersion:
    """The last of several approvals counts, unless it was withdrawn meanwhile."""
    log.info("approved, in this order: %s", ", ".join(f"version {version}" for version in versions))
    sagemaker = sagemaker_client(environment)
    for version in reversed(versions):
        package = find_package(sagemaker, group, version)
        if package is None or package["ModelApprovalStatus"] != "Approved":
            log.warning("version %d was approved, but the approval was withdrawn", version)
            continue
        return approved_version(sagemaker, s3_client(environment), group, version)
    raise AirflowSkipException(f"every approval of {group} that started this run was withdrawn")


def _test_endpoint(model: ModelConfig, stage: Stage, version: Json, deployed: Deployed) -> Report:
    """Tests an endpoint and returns the report.

    Raises:
        PermanentError: it failed, with every failure; or it serves with something else by now.
    """
    environment, staged = ml_environment(), at_stage(model, stage)
    serving, mode = staged.serving, mode_of(staged)
    since = _require_still_there(environment, deployed)
    _record_serving(model, environment, stage, deployed["config"], since)
    sagemaker = sagemaker_client(environment)
    registered = describe(sagemaker, version["model_package_arn"])
    golden = load_golden_requests(s3_client(environment), golden_requests_of(registered.evaluation))
    usual_p50, usual_p99 = mode.usual_ms
    report = check_endpoint(
        runtime_client(environment),
        sagemaker,
        endpoint_name(model, stage),
        golden=golden,
        columns=columns_of(golden),
        thresholds=Thresholds(
            p50_ms=serving.latency.p50_ms or usual_p50,
            p99_ms=serving.latency.p99_ms or usual_p99,
            requests=REQUESTS,
            clients=min(CLIENTS, mode.most_clients(serving) or CLIENTS),
            largest_mb=mode.largest_mb,
            warm_up=mode.warm_up,
        ),
        quote=model.quotes_values,
    )
    if not report["passed"]:
        raise PermanentError("\n  ".join([report["summary"], *report["failures"]]))
    log.info(report["summary"])
    return report


def _record_serving(model: ModelConfig, environment: MlEnvironment, stage: Stage, config: str, since: datetime) -> None:
    """Records on what the stage's endpoint runs, for its costs."""
    s3 = s3_client(environment)
    described = sagemaker_client(environment).describe_endpoint_config(EndpointConfigName=config)
    variant = cast("dict[str, Any]", described["ProductionVariants"][0])
    served.begin(s3, environment.bucket, model.name, served.span_of(model, stage, config, variant, since))
    index_served(s3, environment.bucket, model)


def _require_still_there(environment: MlEnvironment, deployed: Deployed) -> datetime:
    """When the endpoint was created or last changed. Raises PermanentError: it is gone, or serves with something
    else."""
    try:
        endpoint = sagemaker_client(environment).describe_endpoint(EndpointName=deployed["endpoint"])
    except ClientError as error:
        if not is_absent(error):
            raise
        raise PermanentError(
            f"endpoint {deployed['endpoint']} is gone: staging is deleted after its test (serving.staging of "
            "model.yaml), or someone deleted it. Clear the task that deployed it, to deploy it again."
        ) from error
    live = endpoint["EndpointConfigName"]
    if live != deployed["config"]:
        raise PermanentError(
            f"endpoint {deployed['endpoint']} serves with {live}, not with {deployed['config']} as this run deployed "
            "it: another run changed it since. Clear the task that deployed it, to deploy it again."
        )
    return endpoint["LastModifiedTime"]
