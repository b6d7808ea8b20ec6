"""A candidate as the production endpoint's shadow variant: it gets a copy of each request, and no caller ever sees its
answers. What is captured of both is compared by the monitoring Dag, for the promotion packet.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-shadow-deployment.html
"""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException
from botocore.exceptions import ClientError

from include.deploy import requests
from include.deploy.form import BOTH, shadow_obstacle
from include.deploy.tasks import Deployed, Json, Resolved, return_to
from include.models.config import ModelConfig
from include.models.config.files import SHADOW_VARIANT
from include.platform.clients import s3_client, sagemaker_client
from include.platform.environment import ml_environment
from include.platform.errors import PermanentError
from include.platform.notifications import notify
from include.platform.request_parts import Request, endpoint_name
from include.registry.history import current, read_history
from include.registry.versions import RegisteredVersion
from sagemaker_jobs.failures import is_absent


def deploy_shadow(model: ModelConfig, context: Context, *, resolved: Resolved) -> Request:
    """Production with the candidate as its shadow.

    Raises:
        PermanentError: nothing is in production any more, or its configuration captures no requests.
    """
    environment, version = ml_environment(), RegisteredVersion.model_validate(resolved["version"])
    champion = current(read_history(s3_client(environment), environment.bucket, model.name))
    obstacle = shadow_obstacle(model, version, champion)
    if champion is None or obstacle:
        raise PermanentError(f"{obstacle} Nothing was changed.")
    found = sagemaker_client(environment).describe_endpoint_config(EndpointConfigName=champion.endpoint_config)
    if "DataCaptureConfig" not in found:
        raise PermanentError(
            f"{champion.endpoint_config}, with which version {champion.version} of {model.name} serves, captures no "
            "requests, although model.yaml says so by now. Promote that version again, then clear this task."
        )
    return requests.shadowed_endpoint(model, environment, version, champion=champion.version, live={**found})


def report_shadow(model: ModelConfig, context: Context, *, version: Json, deployed: Deployed) -> None:
    dag_id = context["dag"].dag_id
    notify(
        f"{dag_id}: version {version['version']} is production's shadow",
        f"Endpoint {deployed['endpoint']} sends it a copy of each request; callers get production's answers as before. "
        f"monitor_{model.name} compares both each day. To decide, trigger {dag_id} for version {version['version']}: "
        "the promotion packet has the results, and promoting or declining it ends this. So does a rollback.",
    )


def remove_shadow(model: ModelConfig, context: Context, *, version: Json) -> Request:
    """Production without the candidate that was declined.

    Raises:
        AirflowSkipException: it is no shadow, or nobody declined it.
    """
    environment = ml_environment()
    if context["params"]["stages"] != BOTH:
        raise AirflowSkipException("nobody was asked about this version")
    champion = current(read_history(s3_client(environment), environment.bucket, model.name))
    if champion is None or f"{SHADOW_VARIANT}{version['version']}" not in _shadows(model):
        raise AirflowSkipException(f"version {version['version']} is not production's shadow")
    return return_to(model, champion)


def _shadows(model: ModelConfig) -> list[str]:
    """Names of the production endpoint's shadow variants; none without an endpoint."""
    name = endpoint_name(model, "production")
    try:
        found = sagemaker_client(ml_environment()).describe_endpoint(EndpointName=name)
    except ClientError as error:
        if not is_absent(error):
            raise
        return []
    return [one["VariantName"] for one in found.get("ShadowProductionVariants", [])]
