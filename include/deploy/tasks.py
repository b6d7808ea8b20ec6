"""What the tasks of deployments and rollbacks ask for."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any, TypedDict

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook
from airflow.sdk import Asset, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from botocore.exceptions import ClientError

from include.deploy import requests as endpoints
from include.deploy.endpoint_checks import Report, Thresholds, check_endpoint, columns_of, load_golden_requests
from include.deploy.requests import Stage, endpoint_name
from include.models.config import ModelConfig, Strategy
from include.platform.dag_settings import AS_CONFIGURED
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.notifications import notify
from include.platform.request_parts import Request, group_name
from include.platform.run_context import here
from include.platform.storage import golden_requests_of
from include.registry.champion import find_champion
from include.registry.history import Entry, current, now, previous, read_history, record_promotion
from include.registry.packages import Package, PackageError, approved_package, package_of
from sagemaker_jobs.failures import is_absent
from sagemaker_jobs.hosting import prune

log = logging.getLogger(__name__)

Deployed = dict[str, Any]  # what EndpointOperator returns
REQUESTS, CLIENTS = 200, 2  # the load of a test


class Resolved(TypedDict):
    """What a run deploys, and what it would replace; None where nothing is in production."""

    package: Package
    champion: dict[str, Any] | None


def sagemaker(environment: MlEnvironment) -> Any:
    return SageMakerHook(region_name=environment.region).conn


def s3(environment: MlEnvironment) -> Any:
    return S3Hook(region_name=environment.region).conn


def package_to_deploy(model: ModelConfig, approvals: Asset, context: Any) -> Resolved:
    """The version that the form asks for, the one approved last among the approvals that started the run, or the
    newest approved one.

    Raises:
        PackageError: it is unknown, not approved, or its artifact is gone: a person asked for what cannot be.
        AirflowSkipException: approvals started the run, and there is nothing to do for them any more.
    """
    environment, group = ml_environment(), group_name(model)
    champion = current(read_history(s3(environment), environment.bucket, model.name))
    asked = context["params"]["version"]
    approved = _approved_versions(environment, group, approvals, context) if asked is None else []
    if not approved:
        package = approved_package(sagemaker(environment), s3(environment), group, asked)
    else:
        package = _last_that_stands(environment, group, approved)
        if champion and champion.version == package["version"]:
            raise AirflowSkipException(f"{group} version {package['version']} is in production already")
    log.info("to deploy: %s version %d, %s", group, package["version"], package["artifact"])
    return {
        "package": package,
        "champion": json.loads(champion.model_dump_json(by_alias=True)) if champion else None,
    }


def _approved_versions(environment: MlEnvironment, group: str, approvals: Asset, context: Any) -> list[int]:
    """Versions whose approvals started this run, in the order of approval. One run may come of several.

    EventBridge tells the second, and a queue keeps no order: of one second the newest version counts as the last.
    An event that Airflow records in the moment in which it makes the run starts none of its own: it is found here, as a
    newer version that was approved since the first event and that nobody has decided about.
    """
    events = [event.extra["payload"] for event in context["triggering_asset_events"].get(approvals, [])]
    if not events:
        return []
    versions = [version for _, version in sorted((event["approved_at"], event["version"]) for event in events)]
    newest = find_champion(sagemaker(environment), group)
    if newest is None or (version := int(newest.arn.rsplit("/", 1)[1])) <= max(versions):
        return versions
    described = sagemaker(environment).describe_model_package(ModelPackageName=newest.arn)
    since = datetime.fromisoformat(min(event["approved_at"] for event in events))
    undecided = "promotion_decision" not in described.get("CustomerMetadataProperties", {})
    return [*versions, version] if undecided and described["LastModifiedTime"] >= since else versions


def _last_that_stands(environment: MlEnvironment, group: str, versions: list[int]) -> Package:
    """Of several approvals the last is what people want; one that was taken back meanwhile does not count."""
    log.info("approved, in this order: %s", ", ".join(f"version {version}" for version in versions))
    for version in reversed(versions):
        described = _describe(environment, group, version)
        if described is None or described["ModelApprovalStatus"] != "Approved":
            log.warning("version %d was approved, but that was taken back since", version)
            continue
        return approved_package(sagemaker(environment), s3(environment), group, version)
    raise AirflowSkipException(f"every approval of {group} that started this run was taken back since")


def _describe(environment: MlEnvironment, group: str, version: int) -> dict[str, Any] | None:
    client = sagemaker(environment)
    try:
        arn = client.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
        described: dict[str, Any] = client.describe_model_package(
            ModelPackageName=f"{arn.replace(':model-package-group/', ':model-package/')}/{version}"
        )
    except ClientError as error:
        if is_absent(error):
            return None
        raise
    return described


def endpoint(model: ModelConfig, stage: Stage, context: Context, *, resolved: Resolved) -> dict[str, Any]:
    """The version behind an endpoint of a stage."""
    package = resolved["package"]
    return endpoints.endpoint(
        model,
        ml_environment(),
        stage,
        version=package["version"],
        image=package["image"],
        artifact=package["artifact"],
        strategy=chosen_strategy(context) if stage == "production" else None,
    )


def chosen_strategy(context: Any) -> Strategy | None:
    """How the form wants production's traffic to move; None where model.yaml decides."""
    chosen: Any = context["params"]["strategy"]
    return None if chosen == AS_CONFIGURED else chosen


def champion_endpoint(
    model: ModelConfig, context: Context, *, resolved: Resolved, deployed: Deployed | None
) -> dict[str, Any]:
    """Production as it was before this run.

    Raises:
        AirflowSkipException: the run did not come to changing production.
        AirflowFailException: there was nothing before.
    """
    if deployed is None:
        raise AirflowSkipException("this run has not changed production; there is nothing to restore")
    if resolved["champion"] is None:
        raise AirflowFailException(
            f"{model.name} had nothing in production before this version, so there is nothing to go back to: endpoint "
            f"{endpoint_name(model, 'production')} serves with a version that failed its test. Deploy another version, "
            "or delete the endpoint."
        )
    return entry_endpoint(model, Entry.model_validate(resolved["champion"]))


def entry_endpoint(model: ModelConfig, entry: Entry) -> dict[str, Any]:
    """Production with what it had: the same configuration, or, where somebody removed it, one of the same version."""
    environment = ml_environment()
    try:
        sagemaker(environment).describe_endpoint_config(EndpointConfigName=entry.endpoint_config)
    except ClientError as error:
        if not is_absent(error):
            raise
        log.warning("%s was removed; making a configuration for version %d anew", entry.endpoint_config, entry.version)
        return endpoints.endpoint(
            model,
            environment,
            "production",
            version=entry.version,
            image=_package(environment, entry.model_package_arn)["image"],
            artifact=entry.artifact,
            strategy=None if model.serving.mode == "serverless" else "immediate",
        )
    return endpoints.returning(model, environment, version=entry.version, config_name=entry.endpoint_config)


def _package(environment: MlEnvironment, arn: str) -> Package:
    return package_of(sagemaker(environment).describe_model_package(ModelPackageName=arn))


def tested(model: ModelConfig, stage: Stage, package: Package, deployed: Deployed) -> Report:
    """The report of an endpoint that passed its test.

    Raises:
        AirflowFailException: it did not, with every failure; or it serves with something else by now.
    """
    environment, name = ml_environment(), endpoint_name(model, stage)
    _require_still_there(environment, deployed)
    serving = model.serving
    golden = load_golden_requests(s3(environment), golden_requests_of(package["statistics"]))
    report = check_endpoint(
        AwsBaseHook(client_type="sagemaker-runtime", region_name=environment.region).conn,
        sagemaker(environment),
        name,
        golden=golden,
        columns=columns_of(golden),
        thresholds=Thresholds(
            p50_ms=serving.latency.p50_ms,
            p99_ms=serving.latency.p99_ms,
            requests=REQUESTS,
            clients=min(CLIENTS, serving.serverless.max_concurrency) if serving.mode == "serverless" else CLIENTS,
        ),
    )
    if not report["passed"]:
        raise AirflowFailException("\n  ".join([report["summary"], *report["failures"]]))
    log.info(report["summary"])
    return report


def _require_still_there(environment: MlEnvironment, deployed: Deployed) -> None:
    live = sagemaker(environment).describe_endpoint(EndpointName=deployed["endpoint"])["EndpointConfigName"]
    if live != deployed["config"]:
        raise AirflowFailException(
            f"endpoint {deployed['endpoint']} serves with {live}, not with {deployed['config']} as this run deployed "
            "it: another run changed it since. Clear the task that deployed it, to deploy it again."
        )


def tested_champion(model: ModelConfig, champion: dict[str, Any] | Entry, deployed: Deployed) -> Report:
    """As ``tested``, for the version that production was given back."""
    entry = Entry.model_validate(champion)
    return tested(model, "production", _package(ml_environment(), entry.model_package_arn), deployed)


def record(model: ModelConfig, package: Package, deployed: Deployed, context: Any) -> dict[str, Any]:
    """Put this version into production's history; what goes with the event of the Asset.

    Raises:
        AirflowFailException: production serves with something else by now.
    """
    environment, task_instance = ml_environment(), context["ti"]
    _require_still_there(environment, deployed)
    entry = Entry(
        version=package["version"],
        model_package_arn=package["arn"],
        artifact=package["artifact"],
        since=now(),
        endpoint_config=deployed["config"],
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
    )
    history = record_promotion(s3(environment), environment.bucket, model.name, entry)
    before = previous(history)
    log.info("%s version %d is in production; before it: %s", model.name, entry.version, before and before.version)
    notify(
        f"{model.name} version {entry.version} is in production",
        f"{task_instance.dag_id}, run {task_instance.run_id}, put {entry.model_package_arn} behind endpoint "
        f"{deployed['endpoint']}."
        + (f"\n\nTo go back to version {before.version}: trigger rollback_{model.name}." if before else ""),
    )
    return {
        "version": entry.version,
        "model_package_arn": entry.model_package_arn,
        "endpoint": deployed["endpoint"],
        "previous_version": before.version if before else None,
    }


def champion_alias(model: ModelConfig, context: Context, *, recorded: dict[str, Any]) -> Request:
    """The job that lets MLflow's alias ``champion`` name the version that was just recorded.

    Raises:
        AirflowSkipException: the environment tracks nothing.
    """
    environment, run = here(context)
    if not environment.mlflow_tracking_uri:
        raise AirflowSkipException("ml_environment has no mlflow_tracking_uri: there is no alias to move")
    return endpoints.move_champion_alias(model, environment, run, model_package_arn=recorded["model_package_arn"])


def prune_stale(model: ModelConfig) -> dict[str, list[str]]:
    """Remove configurations and Models of earlier versions, but for production's and the one before it."""
    environment = ml_environment()
    history = read_history(s3(environment), environment.bucket, model.name)
    kept = [entry.endpoint_config for entry in (current(history), previous(history)) if entry]
    removed = prune(sagemaker(environment), group_name(model), kept)
    for kind, names in removed.items():
        log.info("removed %d stale %s: %s", len(names), kind.replace("_", " "), ", ".join(names) or "none")
    return removed


def entry_to_return_to(model: ModelConfig, context: Any) -> dict[str, Any]:
    """What a rollback goes back to: the version of the form when it was last in production, or the one before now's.

    Raises:
        PackageError: there is none.
    """
    environment, asked = ml_environment(), context["params"]["version"]
    history = read_history(s3(environment), environment.bucket, model.name)
    served = [entry for entry in history.entries if entry.version == asked]
    found = previous(history) if asked is None else (served[-1] if served else None)
    if found is None:
        known = ", ".join(str(version) for version in sorted({entry.version for entry in history.entries})) or "none"
        wanted = "version before the one" if asked is None else f"version {asked}"
        raise PackageError(f"there is no {wanted} in production to go back to; in production were: {known}")
    log.info("going back to version %d with %s", found.version, found.endpoint_config)
    return dict(json.loads(found.model_dump_json(by_alias=True)))


def returning_endpoint(model: ModelConfig, context: Context, *, entry: dict[str, Any]) -> dict[str, Any]:
    return entry_endpoint(model, Entry.model_validate(entry))


def returned_package(entry: dict[str, Any]) -> Package:
    return _package(ml_environment(), entry["model_package_arn"])
