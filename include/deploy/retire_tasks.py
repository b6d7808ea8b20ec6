"""The tasks of ``retire``, each under its id and for the model that its run was started for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypedDict

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.hitl import HITLUser
from botocore.exceptions import ClientError

from include.deploy.rollback_tasks import model_of_run
from include.deploy.serving_modes import at_stage, mode_of
from include.models.config import ModelConfig
from include.platform.clients import cloudwatch_client, s3_client, sagemaker_client
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.errors import PermanentError
from include.platform.notifications import notify
from include.platform.request_parts import Stage, endpoint_name
from include.registry import served
from include.registry.history import current, now, read_history, record_retirement
from include.registry.model_index import index_versions
from sagemaker_jobs.failures import is_absent
from sagemaker_jobs.hosting import delete_endpoint
from sagemaker_jobs.scaling import deregister

if TYPE_CHECKING:
    from types_boto3_application_autoscaling import ApplicationAutoScalingClient

    from include.deploy.approval_request import Answer

log = logging.getLogger(__name__)

RETIRE, KEEP = "Retire", "Keep"
STAGES: tuple[Stage, ...] = ("production", "staging")


class RetirementOperator(HITLOperator):
    """Asks the environment's approvers, as a promotion does, and Airflow accepts nobody else's answer; everybody, if
    none is named."""

    def execute(self, context: Context) -> None:
        approvers = ml_environment().approvers
        self.assigned_users = [HITLUser(id=id_, name=name) for id_, name in approvers.items()] or None
        super().execute(context)


class Serving(TypedDict):
    """What serves a model and costs money: names of endpoints and alarms, resource ids of scalable targets."""

    endpoints: list[str]
    alarms: list[str]
    targets: list[str]
    text: str  # a summary for the approver


def find_serving(context: Context) -> Serving:
    """Lists what would be removed.

    Raises:
        PermanentError: nothing serves the model, and it has no version in production.
    """
    model, environment = model_of_run(context), ml_environment()
    sagemaker, cloudwatch = sagemaker_client(environment), cloudwatch_client(environment)
    endpoints = []
    for stage in STAGES:
        try:
            sagemaker.describe_endpoint(EndpointName=(name := endpoint_name(model, stage)))
        except ClientError as error:
            if not is_absent(error):
                raise
        else:
            endpoints.append(name)
    production = endpoint_name(model, "production")
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{production}-")
    alarms = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    found = _scaling(environment).get_paginator("describe_scalable_targets").paginate(ServiceNamespace="sagemaker")
    own = f"endpoint/{production}/"
    targets = [one["ResourceId"] for page in found for one in page["ScalableTargets"]]
    targets = [target for target in targets if target.startswith(own)]
    entry = current(read_history(s3_client(environment), environment.bucket, model.name))
    if not endpoints and entry is None:
        raise PermanentError(f"nothing serves {model.name}, and no version of it is in production.")
    return {"endpoints": endpoints, "alarms": alarms, "targets": targets, "text": _text(model, environment, endpoints)}


def remove_serving(context: Context, *, answer: Answer, serving: Serving) -> Serving:
    """Removes everything, once approved: scaling first, since a scaling target needs its endpoint.

    Raises:
        AirflowSkipException: nobody approved it.
    """
    if answer["chosen_options"] != [RETIRE]:
        raise AirflowSkipException("nobody answered Retire: nothing was changed")
    environment = ml_environment()
    sagemaker = sagemaker_client(environment)
    for target in serving["targets"]:
        dimension = "sagemaker:variant:DesiredInstanceCount"
        deregister(
            _scaling(environment),
            {"ServiceNamespace": "sagemaker", "ResourceId": target, "ScalableDimension": dimension},  # type: ignore[typeddict-item]
        )
    if serving["alarms"]:
        cloudwatch_client(environment).delete_alarms(AlarmNames=serving["alarms"])
    for name in serving["endpoints"]:
        delete_endpoint(sagemaker, name)
        log.info("endpoint %s is gone", name)
    return serving


def end_production(context: Context, *, removed: Serving) -> str:
    """Closes the production history, which is kept, and notifies people.

    Raises:
        HistoryConflictError: another run changed the history at the same time; a retry helps.
    """
    model, environment = model_of_run(context), ml_environment()
    s3 = s3_client(environment)
    record_retirement(s3, environment.bucket, model.name)
    for stage in STAGES:
        served.end(s3, environment.bucket, model.name, stage, now())
    index_versions(s3, sagemaker_client(environment), environment.bucket, model)
    gone = ", ".join(removed["endpoints"]) or "no endpoint existed"
    notify(
        f"{model.name} is retired",
        f"Run {context['ti'].run_id} of retire has removed: {gone}, {len(removed['alarms'])} alarms, "
        f"{len(removed['targets'])} scaling targets. Versions, scores and history are kept.\n\n"
        f"Scheduled runs of train_{model.name}, score_{model.name} and monitor_{model.name} do nothing from now on. To "
        f"undo it, promote a version: trigger deploy_{model.name} with its number.",
    )
    return model.name


def _text(model: ModelConfig, environment: MlEnvironment, endpoints: list[str]) -> str:
    there = [at_stage(model, stage) for stage in STAGES if endpoint_name(model, stage) in endpoints]
    usd = sum(mode_of(one).monthly_usd(one.serving, environment.region) or 0.0 for one in there)
    saved = f" That saves about {usd:.0f} USD a month." if usd else ""
    names = ", ".join(f"`{name}`" for name in endpoints) or "no endpoint (none is there)"
    return (
        f"Removed: {names}, with alarms and scaling. **Callers of the endpoint get errors from then on.**{saved} "
        "Versions, scores and history are kept; promoting a version brings production back."
    )


def _scaling(environment: MlEnvironment) -> ApplicationAutoScalingClient:
    client: ApplicationAutoScalingClient = AwsBaseHook(
        client_type="application-autoscaling", region_name=environment.region
    ).conn
    return client
