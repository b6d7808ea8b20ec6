"""Processing jobs: validation, features, evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from include.config import MlEnvironment
from include.models.config import Compute, ModelConfig
from include.sagemaker_requests.common import Request, code_uri, job_environment, resources, tags_of, vpc
from include.storage import Run, raw_prefix

PROCESSING_ROOT = "/opt/ml/processing"


@dataclass(frozen=True)
class Source:
    """An input that is no plain folder: ``uri`` may be that of a manifest, and instances may share the objects."""

    uri: str
    data_type: str = "S3Prefix"
    distribution: str = "FullyReplicated"


def validate_raw_data(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    data_from: str | None = None,
    data_to: str | None = None,
) -> Request:
    """``data_from`` and ``data_to`` are ISO dates of the first and the last day to use; None leaves that side open."""
    window = []
    if data_from:
        window += ["--data-from", data_from]
    if data_to:  # for the job the end is the first moment that is not in the window
        window += ["--data-to", (date.fromisoformat(data_to) + timedelta(days=1)).isoformat()]
    return processing(
        model,
        environment,
        run,
        "validate_raw_data",
        inputs={"raw": f"s3://{environment.bucket}/{raw_prefix(model.name)}"},
        outputs={"validated": run.validated, "report": run.report("validate_raw_data")},
        arguments=window,
    )


def build_features(model: ModelConfig, environment: MlEnvironment, run: Run) -> Request:
    return processing(
        model,
        environment,
        run,
        "build_features",
        inputs={"validated": run.validated},
        outputs={"features": run.features},
    )


def validate_features(model: ModelConfig, environment: MlEnvironment, run: Run) -> Request:
    return processing(
        model,
        environment,
        run,
        "validate_features",
        inputs={"features": run.features},
        outputs={"report": run.report("validate_features")},
    )


def evaluate_model(
    model: ModelConfig, environment: MlEnvironment, run: Run, *, artifact: str, champion: str | None = None
) -> Request:
    """``artifact`` and ``champion`` are S3 URIs of model.tar.gz: the candidate's, and the approved model's if any."""
    inputs = {"artifact": artifact, "features": run.features, "validated": run.validated}
    return processing(
        model,
        environment,
        run,
        "evaluate_model",
        inputs={**inputs, "champion": champion} if champion else inputs,
        outputs={"evaluation": run.evaluation},
    )


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
) -> Request:
    """A processing job that runs ``python -m jobs.<task_id>``; each input and output is also the flag that names it.

    Args:
        compute: what to run on, where it is not model.yaml's ``processing``.
    """
    folders = {name: f"{PROCESSING_ROOT}/input/{name}" for name in inputs} | {
        name: f"{PROCESSING_ROOT}/output/{name}" for name in outputs
    }
    flags = [part for name, folder in folders.items() for part in (f"--{name}", folder)]
    compute = compute or model.processing
    request: Request = {
        "AppSpecification": {
            "ImageUri": environment.image_uri,
            "ContainerEntrypoint": ["python", "-m", f"jobs.{task_id}"],
            "ContainerArguments": ["--model", model.name, *flags, *(arguments or [])],
        },
        "ProcessingInputs": [
            _processing_input("code", code_uri(environment), f"{PROCESSING_ROOT}/code"),
            *(_processing_input(name, source, folders[name]) for name, source in inputs.items()),
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": name,
                    "S3Output": {"S3Uri": uri, "LocalPath": folders[name], "S3UploadMode": "EndOfJob"},
                }
                for name, uri in outputs.items()
            ],
            **({"KmsKeyId": environment.kms_key_id} if environment.kms_key_id else {}),
        },
        "ProcessingResources": {
            "ClusterConfig": resources(environment, compute, environment.instance_types.get("processing")),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": compute.max_runtime_minutes * 60},
        "Environment": {"PYTHONPATH": f"{PROCESSING_ROOT}/code", **job_environment(model, environment, run)},
        "RoleArn": environment.role_arn,
        "Tags": tags_of(model, environment, run, task_id),
    }
    if environment.subnets:
        request["NetworkConfig"] = {"VpcConfig": vpc(environment)}
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
