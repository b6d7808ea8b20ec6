"""What every task knows when it runs: the environment's facts, and what its run began with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from include.config import MlEnvironment, ml_environment
from include.data_manifest import RawFile
from include.models.config import ModelConfig
from include.sagemaker_requests.common import Request
from include.storage import Run, split_uri
from sagemaker_jobs.failures import is_transient

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
    bucket, key = split_uri(run.data_manifest)
    try:
        manifest = json.loads(S3Hook(region_name=environment.region).read_key(key, bucket))
    except ClientError as error:
        if is_transient(error):
            raise
        raise AirflowFailException(
            f"{run.data_manifest}, which validate_raw_data writes, cannot be read: {error}. Clear validate_raw_data."
        ) from error
    return environment.model_copy(update={name: manifest[name] for name in PINNED}), run, manifest["files"]


def job(builder: Callable[[ModelConfig, MlEnvironment, Run], Request], model: ModelConfig, context: Context) -> Request:
    """A request that needs no more than model, environment and run."""
    environment, run, _ = begun(context)
    return builder(model, environment, run)
