"""What every task knows when it runs: the environment's facts, and what its run began with."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from include.models.config import ModelConfig
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.raw_files import RawFile
from include.platform.request_parts import Request
from include.platform.storage import Run, split_uri
from sagemaker_jobs.failures import is_transient

log = logging.getLogger(__name__)

PINNED = {"code_hash", "image_uri"}  # facts that stay as they were at the run's start, whatever is deployed meanwhile

Job = Mapping[str, Any]  # what a job operator returns


def here(context: Context) -> tuple[MlEnvironment, Run]:
    """The environment as it is now, and the run's folder."""
    environment = ml_environment()
    task_instance = context["ti"]
    return environment, Run(environment.bucket, task_instance.dag_id, task_instance.run_id)


def begun(context: Context) -> tuple[MlEnvironment, Run, list[RawFile]]:
    """The environment with the code and image that the run began with, the run, and the raw data it reads.

    Raises:
        AirflowFailException: the first task did not record them.
    """
    environment, run = here(context)
    manifest = recorded(environment, run.data_manifest, by="validate_raw_data")
    return environment.model_copy(update={name: manifest[name] for name in PINNED}), run, manifest["files"]


def recorded(environment: MlEnvironment, uri: str, by: str) -> dict[str, Any]:
    """What an earlier task of the run has written down.

    Args:
        by: the id of that task.

    Raises:
        AirflowFailException: it is gone, or may not be read. ClientError: of what passes; a retry may help.
    """
    bucket, key = split_uri(uri)
    try:
        content: dict[str, Any] = json.loads(S3Hook(region_name=environment.region).read_key(key, bucket))
    except ClientError as error:
        if is_transient(error):
            raise
        raise AirflowFailException(f"{uri}, which {by} writes, cannot be read: {error}. Clear {by}.") from error
    return content


def read_json(s3: Any, uri: str) -> Any:
    """The content of a JSON object, read with a boto3 client; None where there is none (any more)."""
    bucket, key = split_uri(uri)
    try:
        return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
            raise
        log.info("%s is not there", uri)
        return None


def write(s3: Any, uri: str, content: str, content_type: str = "application/json") -> None:
    """Put a text where a run or others read it, with a boto3 client."""
    bucket, key = split_uri(uri)
    s3.put_object(Bucket=bucket, Key=key, Body=content.encode(), ContentType=content_type)


def job(builder: Callable[[ModelConfig, MlEnvironment, Run], Request], model: ModelConfig, context: Context) -> Request:
    """A request that needs no more than model, environment and run."""
    environment, run, _ = begun(context)
    return builder(model, environment, run)
