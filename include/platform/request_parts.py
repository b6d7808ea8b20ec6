"""The common parts of requests to SageMaker: pure functions of the model, the environment and the run.

Job names are not here: the operators choose them, so that a retry finds its job again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from include.models.config import Compute, ModelConfig
from include.models.quoting import SILENT
from include.platform.borders import model_group, tag_list
from include.platform.environment import MlEnvironment
from include.platform.errors import PermanentError
from include.platform.run_folders import DayRun, Run
from include.platform.storage import CODE_ARCHIVE, code_archive

Request = dict[str, Any]
Stage = Literal["staging", "production"]
PROCESSING_ROOT = "/opt/ml/processing"
PROCESSING_CODE = f"{PROCESSING_ROOT}/code"


@dataclass(frozen=True)
class Source:
    """An input that is not a plain folder: ``uri`` may name a manifest, and instances may share the objects."""

    uri: str
    data_type: str = "S3Prefix"
    distribution: str = "FullyReplicated"


class RequestError(PermanentError):
    """A request cannot be built from the run's parameters; the message says what is allowed."""


def group_name(model: ModelConfig) -> str:
    """The model package group: the model's name in SageMaker's alphabet."""
    return model_group(model.name)


def endpoint_name(model: ModelConfig, stage: Stage) -> str:
    return f"{group_name(model)}-{stage}"


def owner_tags(model: ModelConfig, environment: MlEnvironment, **more: str) -> list[dict[str, str]]:
    """The tags of resources that belong to a model rather than to a run."""
    return tag_list({**environment.tags, "model": model.name, "owner": model.owner, **more})


def role_of(model: ModelConfig, environment: MlEnvironment) -> str:
    """The role of the model's jobs and endpoints."""
    return f"{environment.role_arn}-{group_name(model)}" if environment.role_per_model else environment.role_arn


def code_uri(environment: MlEnvironment) -> str:
    """S3 URI of the archive of job code."""
    return f"s3://{environment.bucket}/{code_archive(environment.code_hash)}"


def program(folder: str, name: str) -> list[str]:
    """The command that runs ``include.jobs.<name>`` of the archive in a container's folder."""
    return ["python", f"{folder}/{CODE_ARCHIVE}", f"include.jobs.{name}"]


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
    """Environment variables that tell a job where it runs; none is secret."""
    variables = {
        "AWS_DEFAULT_REGION": environment.region,
        "CODE_HASH": environment.code_hash,
        "RUN_ID": run.run_id[:256],
    }
    if environment.git_commit:
        variables["GIT_COMMIT"] = environment.git_commit
    if not model.quotes_values:
        variables |= SILENT
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
    if isinstance(run, DayRun) and run.day:
        own["day"] = run.day
    return tag_list({**environment.tags, **own})


def processing(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    task_id: str,
    *,
    inputs: Mapping[str, str | Source],
    outputs: Mapping[str, str],
    arguments: list[str] | None = None,
    compute: Compute | None = None,
    upload: Literal["EndOfJob", "Continuous"] = "EndOfJob",
) -> Request:
    """A processing job that runs the program ``include.jobs.<task_id>``.

    Each input and output becomes a flag of the program.

    Args:
        compute: the compute to run on; by default model.yaml's ``processing``.
        upload: when outputs are uploaded. Continuous uploads remain if the job fails.
    """
    folders = {name: f"{PROCESSING_ROOT}/input/{name}" for name in inputs} | {
        name: f"{PROCESSING_ROOT}/output/{name}" for name in outputs
    }
    flags = [part for name, folder in folders.items() for part in (f"--{name}", folder)]
    compute = compute or model.processing
    request: Request = {
        "AppSpecification": {
            "ImageUri": environment.image_uri,
            "ContainerEntrypoint": program(PROCESSING_CODE, task_id),
            "ContainerArguments": ["--model", model.name, *flags, *(arguments or [])],
        },
        "ProcessingInputs": [
            _processing_input("code", code_uri(environment), PROCESSING_CODE),
            *(_processing_input(name, source, folders[name]) for name, source in inputs.items()),
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": name,
                    "S3Output": {"S3Uri": uri, "LocalPath": folders[name], "S3UploadMode": upload},
                }
                for name, uri in outputs.items()
            ],
            **({"KmsKeyId": environment.kms_key_id} if environment.kms_key_id else {}),
        },
        "ProcessingResources": {
            "ClusterConfig": resources(environment, compute, environment.instance_types.get("processing")),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": compute.max_runtime_minutes * 60},
        "Environment": job_environment(model, environment, run),
        "RoleArn": role_of(model, environment),
        "Tags": tags_of(model, environment, run, task_id),
    }
    network: Request = {"VpcConfig": vpc(environment)} if environment.subnets else {}
    if environment.encrypt_traffic:
        network["EnableInterContainerTrafficEncryption"] = True
    if network:
        request["NetworkConfig"] = network
    return request


def _processing_input(name: str, source: str | Source, folder: str) -> Request:
    if isinstance(source, str):
        source = Source(source)
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": source.uri,
            "LocalPath": folder,
            "S3DataType": source.data_type,
            "S3InputMode": "File",
            "S3DataDistributionType": source.distribution,
        },
    }
