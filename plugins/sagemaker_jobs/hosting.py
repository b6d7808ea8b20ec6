"""SageMaker Models and endpoint configurations, named by their content."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from sagemaker_jobs.failures import is_absent, refused
from sagemaker_jobs.kinds import Request
from sagemaker_jobs.paging import listed

if TYPE_CHECKING:
    from types_boto3_sagemaker import SageMakerClient

log = logging.getLogger(__name__)

LONGEST_NAME = 63
VARIANTS = ("ProductionVariants", "ShadowProductionVariants")
YOUNG = timedelta(hours=1)  # another task may be about to use it


def content_name(prefix: str, request: Request) -> str:
    """``<prefix>-<digest>``: equal for two requests if and only if they ask for the same thing. Tags are ignored."""
    content = {key: value for key, value in request.items() if key not in ("ModelName", "EndpointConfigName", "Tags")}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return f"{prefix[: LONGEST_NAME - 13].rstrip('-')}-{digest}"


def ensure_model(client: SageMakerClient, request: Request) -> str:
    """Creates the SageMaker Model unless it exists; returns its name.

    Runs that ask for the same thing share a Model, so no run leaves one behind.

    Args:
        client: a boto3 SageMaker client.
        request: of CreateModel; its ``ModelName`` becomes the readable prefix of the name.

    Raises:
        RequestRefused: SageMaker refuses the request; not retried. JobLost: it failed or throttled; retried.
    """
    return _ensure(client, "model", "ModelName", request)


def ensure_endpoint_config(client: SageMakerClient, request: Request, model: str) -> str:
    """Creates the endpoint configuration, with this Model in every variant that names none, unless it exists; returns
    its name.

    Args:
        client, raises: as ``ensure_model``.
        request: of CreateEndpointConfig; its ``EndpointConfigName`` becomes the prefix of the name.
    """
    variants = {
        kind: [{"ModelName": model, **variant} for variant in request[kind]] for kind in VARIANTS if kind in request
    }
    return _ensure(client, "endpoint_config", "EndpointConfigName", {**request, **variants})


def delete_endpoint(client: SageMakerClient, name: str) -> bool:
    """Deletes an endpoint and waits until it is gone; false if it was gone already. Also waits for one that is already
    being deleted, as by an earlier try.

    Raises:
        botocore.exceptions.ClientError, WaiterError: SageMaker refuses, or the deletion takes longer than five minutes.
    """
    try:
        if client.describe_endpoint(EndpointName=name)["EndpointStatus"] != "Deleting":
            client.delete_endpoint(EndpointName=name)
    except ClientError as error:
        if not is_absent(error):
            raise
        return False
    client.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 3, "MaxAttempts": 100})
    return True


def prune(client: SageMakerClient, prefix: str, keep_configs: Collection[str]) -> dict[str, list[str]]:
    """Deletes unused endpoint configurations and Models that ``ensure_...`` created with this prefix.

    Kept are the named configurations and their Models, those that an endpoint or a running transform job uses, and
    those younger than an hour.

    Returns the deleted names, by ``endpoint_configs`` and ``models``.

    Raises:
        RequestRefused, JobLost: as ``ensure_model``.
    """
    try:
        return _prune(client, prefix, set(keep_configs))
    except ClientError as error:
        raise refused(f"remove stale resources of {prefix}", error) from error


def _prune(client: SageMakerClient, prefix: str, keep_configs: set[str]) -> dict[str, list[str]]:
    endpoints = list(listed(client, "list_endpoints", "Endpoints", NameContains=prefix))
    for endpoint in endpoints:
        found = client.describe_endpoint(EndpointName=endpoint["EndpointName"])
        pending = found.get("PendingDeploymentSummary", {})
        keep_configs |= {name for name in (found.get("EndpointConfigName"), pending.get("EndpointConfigName")) if name}
    configs = _own(client, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", prefix)
    stale = sorted(name for name, old in configs.items() if old and name not in keep_configs)
    keep_models = set(_models_of_transforms(client))
    for name in configs.keys() - set(stale):
        described = client.describe_endpoint_config(EndpointConfigName=name)
        variants = [*described["ProductionVariants"], *described.get("ShadowProductionVariants", [])]
        keep_models |= {variant["ModelName"] for variant in variants}
    for name in stale:
        client.delete_endpoint_config(EndpointConfigName=name)
    models = _own(client, "list_models", "Models", "ModelName", prefix)
    unused = sorted(name for name, old in models.items() if old and name not in keep_models)
    for name in unused:
        client.delete_model(ModelName=name)
    return {"endpoint_configs": stale, "models": unused}


def _own(client: SageMakerClient, operation: str, field: str, name_field: str, prefix: str) -> dict[str, bool]:
    """Names that ``content_name`` gave with this prefix, and whether each is old."""
    pattern = re.compile(re.escape(prefix[: LONGEST_NAME - 13].rstrip("-")) + "-[0-9a-f]{12}")
    since = datetime.now(UTC) - YOUNG
    found = listed(client, operation, field, NameContains=prefix)
    return {one[name_field]: one["CreationTime"] < since for one in found if pattern.fullmatch(one[name_field])}


def _models_of_transforms(client: SageMakerClient) -> Iterator[str]:
    for job in listed(client, "list_transform_jobs", "TransformJobSummaries", StatusEquals="InProgress"):
        yield client.describe_transform_job(TransformJobName=job["TransformJobName"])["ModelName"]


def _ensure(client: SageMakerClient, api: str, name_field: str, request: Request) -> str:
    word = api.replace("_", " ")
    name = content_name(request[name_field], request)
    try:
        getattr(client, f"describe_{api}")(**{name_field: name})
    except ClientError as error:
        if not is_absent(error):
            raise refused(f"describe the {word} {name}", error) from error
        _create(client, api, name, {**request, name_field: name})
    else:
        log.info("the %s %s exists already", word, name)
    return name


def _create(client: SageMakerClient, api: str, name: str, request: Request) -> None:
    word = api.replace("_", " ")
    try:
        getattr(client, f"create_{api}")(**request)
    except ClientError as error:
        # of tasks that start together, one is first; the others use what it created
        if "already exist" not in str(error):
            raise refused(f"create the {word} {name}", error) from error
    log.info("created the %s %s", word, name)
