"""What SageMaker serves from: Models, named by what is in them."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from sagemaker_jobs.failures import is_absent, refused

log = logging.getLogger(__name__)

LONGEST_NAME = 63


def content_name(prefix: str, request: Mapping[str, Any]) -> str:
    """``<prefix>-<digest>``: equal for two requests exactly if they ask for the same thing. Tags do not count."""
    content = {key: value for key, value in request.items() if key not in ("ModelName", "EndpointConfigName", "Tags")}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return f"{prefix[: LONGEST_NAME - 13].rstrip('-')}-{digest}"


def ensure_model(client: Any, request: Mapping[str, Any]) -> str:
    """The name of the SageMaker Model that the request asks for, created where there is none yet.

    Every run that wants the same thing gets the same Model, so none is left behind by a run.

    Args:
        client: a boto3 SageMaker client.
        request: of CreateModel; its ``ModelName`` is the readable beginning of the name.

    Raises:
        RequestRefused: SageMaker refuses the request; not retried. JobLost: it failed or throttled; retried.
    """
    name = content_name(request["ModelName"], request)
    try:
        client.describe_model(ModelName=name)
    except ClientError as error:
        if not is_absent(error):
            raise refused(f"describe the model {name}", error) from error
        _create(client, {**request, "ModelName": name})
    else:
        log.info("the model %s is there already", name)
    return name


def _create(client: Any, request: Mapping[str, Any]) -> None:
    name = request["ModelName"]
    try:
        client.create_model(**request)
    except ClientError as error:
        # of tasks that start together one is the first; its Model is what the others want
        if "already exist" not in str(error):
            raise refused(f"create the model {name}", error) from error
    log.info("created the model %s", name)
