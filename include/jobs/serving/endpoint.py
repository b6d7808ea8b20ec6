"""An endpoint as its callers see it: one request, with retryable errors distinguished from others."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from include.jobs.serving.payload import BadRequestError

if TYPE_CHECKING:
    from types_boto3_sagemaker_runtime.client import SageMakerRuntimeClient

CONNECTIONS = 64
REFUSED = (400, 406, 413, 415)


class UnavailableError(Exception):
    """The endpoint is currently unavailable; the caller may retry."""


@dataclass(frozen=True)
class Endpoint:
    """A SageMaker endpoint, or one variant of it."""

    runtime: SageMakerRuntimeClient
    name: str
    target: dict[str, str] = field(default_factory=dict)

    def invoke(self, body: bytes, media_type: str, accept: str) -> tuple[bytes, str]:
        """The response, and the variant that gave it.

        Raises:
            BadRequestError: the model rejected the request.
            UnavailableError: throttled, updating, failing or unreachable.
        """
        try:
            found = self.runtime.invoke_endpoint(
                EndpointName=self.name, Body=body, ContentType=media_type, Accept=accept, **self.target
            )
            return found["Body"].read(), found.get("InvokedProductionVariant", "")
        except ClientError as error:
            if error.response.get("OriginalStatusCode") in REFUSED:
                raise BadRequestError(_said(error)) from error
            raise UnavailableError(f"the endpoint {self.name} did not answer: {error}") from error
        except BotoCoreError as error:
            raise UnavailableError(f"the endpoint {self.name} cannot be reached: {error}") from error


def runtime_client(read_seconds: float = 10.0) -> SageMakerRuntimeClient:
    """A client that gives up after a few tries of at most this duration."""
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=2,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=CONNECTIONS,
    )
    return boto3.client("sagemaker-runtime", config=config)


def _said(error: ClientError) -> str:
    message = str(error.response.get("OriginalMessage") or error)
    try:
        return str(json.loads(message)["error"])
    except (ValueError, KeyError, TypeError):
        return message
