"""What the requests have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from include.config import MlEnvironment
from include.models.config import Compute, ModelConfig
from include.storage import Run, code_prefix

Request = dict[str, Any]


class RequestError(AirflowFailException):
    """A request cannot be built from what the person asked for: no retry can help. The message says what is allowed."""


def group_name(model: ModelConfig) -> str:
    """The model package group: the model's name in SageMaker's alphabet."""
    return model.name.replace("_", "-")


def code_uri(environment: MlEnvironment) -> str:
    return f"s3://{environment.bucket}/{code_prefix(environment.code_hash)}"


def resources(environment: MlEnvironment, compute: Compute, instance_type: str | None) -> Request:
    resources: Request = {
        "InstanceType": instance_type or compute.instance_type,
        "InstanceCount": compute.instance_count,
        "VolumeSizeInGB": compute.volume_gb,
    }
    return {**resources, "VolumeKmsKeyId": environment.kms_key_id} if environment.kms_key_id else resources


def vpc(environment: MlEnvironment) -> Request:
    return {"Subnets": list(environment.subnets), "SecurityGroupIds": list(environment.security_group_ids)}


def job_environment(model: ModelConfig, environment: MlEnvironment, run: Run) -> dict[str, str]:
    """What a job may know of where it runs; nothing in it is secret."""
    variables = {
        "AWS_DEFAULT_REGION": environment.region,
        "CODE_HASH": environment.code_hash,
        "RUN_ID": run.run_id[:256],
    }
    if environment.mlflow_tracking_uri:
        variables |= {"MLFLOW_TRACKING_URI": environment.mlflow_tracking_uri, "MLFLOW_EXPERIMENT_NAME": model.name}
    return variables


def tags_of(model: ModelConfig, environment: MlEnvironment, run: Run, task_id: str) -> list[dict[str, str]]:
    own = {
        "model": model.name,
        "owner": model.owner,
        "dag_id": run.dag_id,
        "run": run.slug,
        "task_id": task_id,
        "code_hash": environment.code_hash,
    }
    return tag_list({**environment.tags, **own})


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value[:256]} for key, value in tags.items()]
