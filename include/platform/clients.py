"""AWS clients for tasks: with Airflow's connection, in the environment's region."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

from include.platform.environment import MlEnvironment

if TYPE_CHECKING:
    from types_boto3_cloudwatch.client import CloudWatchClient
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker.client import SageMakerClient
    from types_boto3_sagemaker_runtime.client import SageMakerRuntimeClient

_kept: dict[tuple[str, str], object] | None = None  # by service and region


def s3_client(environment: MlEnvironment) -> S3Client:
    return cast("S3Client", _client("s3", environment))


def sagemaker_client(environment: MlEnvironment) -> SageMakerClient:
    return cast("SageMakerClient", _client("sagemaker", environment))


def runtime_client(environment: MlEnvironment) -> SageMakerRuntimeClient:
    """The client that invokes SageMaker endpoints."""
    return cast("SageMakerRuntimeClient", _client("sagemaker-runtime", environment))


def cloudwatch_client(environment: MlEnvironment) -> CloudWatchClient:
    return cast("CloudWatchClient", _client("cloudwatch", environment))


def keep_clients() -> None:
    """Makes each client only once from now on, which takes a tenth of a second: for a program that runs many tasks."""
    global _kept
    _kept = {}


def _client(service: str, environment: MlEnvironment) -> object:
    known = {} if _kept is None else _kept
    key = service, environment.region
    if key not in known:
        known[key] = AwsBaseHook(client_type=service, region_name=environment.region).conn
    return known[key]


def error_code(error: Exception) -> str:
    """AWS's error code; empty if there is none."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
