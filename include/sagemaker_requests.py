"""What is asked of SageMaker: pure builders of API requests from a model's configuration, the environment and the run.

Job names are not here: the operators choose them, so that a retry finds its job again.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from include.config import MlEnvironment
from include.models.config import Compute, ModelConfig, Scalar, Tuning
from include.storage import Run, code_prefix, raw_prefix

Request = dict[str, Any]
PROCESSING_ROOT = "/opt/ml/processing"
TRAINING_CODE = "/opt/ml/input/data/code"


class RequestError(AirflowFailException):
    """A request cannot be built from what the person asked for: no retry can help. The message says what is allowed."""


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
    return _processing(
        model,
        environment,
        run,
        "validate_raw_data",
        inputs={"raw": f"s3://{environment.bucket}/{raw_prefix(model.name)}"},
        outputs={"validated": run.validated, "report": run.report("validate_raw_data")},
        arguments=window,
    )


def build_features(model: ModelConfig, environment: MlEnvironment, run: Run) -> Request:
    return _processing(
        model,
        environment,
        run,
        "build_features",
        inputs={"validated": run.validated},
        outputs={"features": run.features},
    )


def validate_features(model: ModelConfig, environment: MlEnvironment, run: Run) -> Request:
    return _processing(
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
    return _processing(
        model,
        environment,
        run,
        "evaluate_model",
        inputs={**inputs, "champion": champion} if champion else inputs,
        outputs={"evaluation": run.evaluation},
    )


def train_model(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    hyperparameters: Mapping[str, Scalar] | None = None,
    instance_type: str | None = None,
) -> Request:
    """A training job; ``hyperparameters`` and ``instance_type`` stand before model.yaml's.

    Raises:
        RequestError: an unknown hyperparameter, or a value that is no scalar.
    """
    task_id = "train_model"
    definition = _training_definition(model, environment, run, task_id, instance_type)
    definition["AlgorithmSpecification"] |= {"ContainerEntrypoint": ["python", "-m", "jobs.train_model"]}
    return {
        **definition,
        "HyperParameters": _strings(chosen_hyperparameters(model, hyperparameters)),
        "Tags": _tags(model, environment, run, task_id),
    }


def tune_model(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    hyperparameters: Mapping[str, Scalar] | None = None,
    instance_type: str | None = None,
) -> Request:
    """A tuning job over model.yaml's ranges; a hyperparameter given by the person is fixed rather than searched.

    Raises:
        RequestError: model.yaml has no ranges, or as for train_model.
    """
    task_id = "tune_model"
    tuning = require_tuning(model)
    chosen = chosen_hyperparameters(model, hyperparameters)
    searched = {name: bounds for name, bounds in tuning.ranges.items() if name not in (hyperparameters or {})}
    if not searched:
        raise RequestError(f"every hyperparameter that {model.name} tunes was given a value: nothing is left to tune")
    ranges: dict[str, list[dict[str, str]]] = {"IntegerParameterRanges": [], "ContinuousParameterRanges": []}
    for name, bounds in searched.items():
        whole = isinstance(bounds.min, int) and isinstance(bounds.max, int)
        ranges["IntegerParameterRanges" if whole else "ContinuousParameterRanges"].append(
            {
                "Name": name,
                "MinValue": str(bounds.min),
                "MaxValue": str(bounds.max),
                "ScalingType": bounds.scale.capitalize(),
            }
        )
    # A tuning job's definition has no entrypoint: its containers run the image's `train` program.
    definition = _training_definition(model, environment, run, task_id, instance_type)
    fixed = {name: value for name, value in chosen.items() if name not in searched}
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": tuning.strategy,
            "HyperParameterTuningJobObjective": {
                "Type": tuning.objective.direction.capitalize(),
                "MetricName": tuning.objective.metric,
            },
            "ResourceLimits": {
                "MaxNumberOfTrainingJobs": tuning.max_jobs,
                "MaxParallelTrainingJobs": tuning.max_parallel_jobs,
            },
            "ParameterRanges": {kind: found for kind, found in ranges.items() if found},
            "RandomSeed": int(chosen.get("seed", 0)),
        },
        "TrainingJobDefinition": {**definition, "StaticHyperParameters": _strings(fixed)},
        "Tags": _tags(model, environment, run, task_id),
    }


def model_package_group(model: ModelConfig, environment: MlEnvironment) -> Request:
    return {
        "ModelPackageGroupName": group_name(model),
        "ModelPackageGroupDescription": model.description,
        "Tags": _tag_list({**environment.tags, "model": model.name, "owner": model.owner}),
    }


def model_package(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    artifact: str,
    metadata: Mapping[str, str],
) -> Request:
    """A version of the model's package, pending approval. SageMaker takes its tags from the group.

    Args:
        artifact: S3 URI of model.tar.gz.
        metadata: lineage; at most 50 entries of 256 characters.
    """
    return {
        "ModelPackageGroupName": group_name(model),
        "ModelPackageDescription": f"{model.description} Trained by {run.dag_id}, run {run.run_id}."[:1024],
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [{"Image": environment.image_uri, "ModelDataUrl": artifact}],
            "SupportedContentTypes": ["text/csv", "application/json", "application/jsonlines"],
            "SupportedResponseMIMETypes": ["text/csv", "application/json", "application/jsonlines"],
            "SupportedRealtimeInferenceInstanceTypes": [model.serving.instance_type],
            "SupportedTransformInstanceTypes": [model.serving.instance_type],
        },
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {"ContentType": "application/json", "S3Uri": run.evaluation_statistics},
            },
        },
        "CustomerMetadataProperties": dict(metadata),
    }


def group_name(model: ModelConfig) -> str:
    """The model package group: the model's name in SageMaker's alphabet."""
    return model.name.replace("_", "-")


def require_tuning(model: ModelConfig) -> Tuning:
    if model.training.tuning is None:
        raise RequestError(
            f"models/{model.name}/model.yaml has no training.tuning: add ranges there, or run without tune"
        )
    return model.training.tuning


def chosen_hyperparameters(model: ModelConfig, given: Mapping[str, Scalar] | None) -> dict[str, Scalar]:
    """model.yaml's hyperparameters with the given ones before them.

    Raises:
        RequestError: an unknown name, or a value that is neither number, text nor truth value.
    """
    known = model.training.hyperparameters
    for name, value in (given or {}).items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(known)}."
            raise RequestError(f"{model.name} has no hyperparameter '{name}'. {hint}")
        if not isinstance(value, int | float | str | bool):
            raise RequestError(f"hyperparameter {name} is {value!r}; allowed is a number, a text or true/false")
    return {**known, **(given or {}), "model": model.name}


def _processing(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    task_id: str,
    *,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    arguments: list[str] | None = None,
) -> Request:
    """A processing job that runs ``python -m jobs.<task_id>``; each input and output is also the flag that names it."""
    folders = {name: f"{PROCESSING_ROOT}/input/{name}" for name in inputs} | {
        name: f"{PROCESSING_ROOT}/output/{name}" for name in outputs
    }
    flags = [part for name, folder in folders.items() for part in (f"--{name}", folder)]
    compute = model.processing
    request: Request = {
        "AppSpecification": {
            "ImageUri": environment.image_uri,
            "ContainerEntrypoint": ["python", "-m", f"jobs.{task_id}"],
            "ContainerArguments": ["--model", model.name, *flags, *(arguments or [])],
        },
        "ProcessingInputs": [
            _processing_input("code", _code(environment), f"{PROCESSING_ROOT}/code"),
            *(_processing_input(name, uri, folders[name]) for name, uri in inputs.items()),
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
            "ClusterConfig": _resources(environment, compute, environment.instance_types.get("processing")),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": compute.max_runtime_minutes * 60},
        "Environment": {"PYTHONPATH": f"{PROCESSING_ROOT}/code", **_job_environment(model, environment, run)},
        "RoleArn": environment.role_arn,
        "Tags": _tags(model, environment, run, task_id),
    }
    if environment.subnets:
        request["NetworkConfig"] = {"VpcConfig": _vpc(environment)}
    return request


def _code(environment: MlEnvironment) -> str:
    return f"s3://{environment.bucket}/{code_prefix(environment.code_hash)}"


def _processing_input(name: str, uri: str, folder: str) -> Request:
    return {
        "InputName": name,
        "S3Input": {"S3Uri": uri, "LocalPath": folder, "S3DataType": "S3Prefix", "S3InputMode": "File"},
    }


def _training_definition(
    model: ModelConfig, environment: MlEnvironment, run: Run, task_id: str, instance_type: str | None
) -> Request:
    """What a training job and the children of a tuning job have in common."""
    compute = model.training
    seconds = compute.max_runtime_minutes * 60
    metrics = {f"validation:{model.champion.metric}"} | ({compute.tuning.objective.metric} if compute.tuning else set())
    output = {"S3OutputPath": run.training_output(task_id)}
    if environment.kms_key_id:
        output["KmsKeyId"] = environment.kms_key_id
    definition: Request = {
        "AlgorithmSpecification": {
            "TrainingImage": environment.image_uri,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": f"{name}=([-+0-9.eE]+)"} for name in sorted(metrics)],
        },
        "InputDataConfig": [
            _channel("code", _code(environment)),
            _channel("train", f"{run.feature_split('train')}/"),
            _channel("validation", f"{run.feature_split('validation')}/"),
        ],
        "OutputDataConfig": output,
        "ResourceConfig": _resources(environment, compute, instance_type or environment.instance_types.get("training")),
        "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
        "Environment": {"PYTHONPATH": TRAINING_CODE, **_job_environment(model, environment, run)},
        "RoleArn": environment.role_arn,
    }
    if environment.spot_training:
        definition["EnableManagedSpotTraining"] = True
        definition["StoppingCondition"]["MaxWaitTimeInSeconds"] = 2 * seconds
        definition["CheckpointConfig"] = {"S3Uri": run.checkpoints(task_id)}
    if environment.subnets:
        definition["VpcConfig"] = _vpc(environment)
    return definition


def _channel(name: str, uri: str) -> Request:
    return {
        "ChannelName": name,
        "InputMode": "File",
        "DataSource": {
            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
        },
    }


def _resources(environment: MlEnvironment, compute: Compute, instance_type: str | None) -> Request:
    resources: Request = {
        "InstanceType": instance_type or compute.instance_type,
        "InstanceCount": compute.instance_count,
        "VolumeSizeInGB": compute.volume_gb,
    }
    return {**resources, "VolumeKmsKeyId": environment.kms_key_id} if environment.kms_key_id else resources


def _vpc(environment: MlEnvironment) -> Request:
    return {"Subnets": list(environment.subnets), "SecurityGroupIds": list(environment.security_group_ids)}


def _job_environment(model: ModelConfig, environment: MlEnvironment, run: Run) -> dict[str, str]:
    """What a job may know of where it runs; nothing in it is secret."""
    variables = {
        "AWS_DEFAULT_REGION": environment.region,
        "CODE_HASH": environment.code_hash,
        "RUN_ID": run.run_id[:256],
    }
    if environment.mlflow_tracking_uri:
        variables |= {"MLFLOW_TRACKING_URI": environment.mlflow_tracking_uri, "MLFLOW_EXPERIMENT_NAME": model.name}
    return variables


def _strings(hyperparameters: Mapping[str, Scalar]) -> dict[str, str]:
    """SageMaker takes hyperparameters as text; a text stays as it is, numbers and truth values are written as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in hyperparameters.items()}


def _tags(model: ModelConfig, environment: MlEnvironment, run: Run, task_id: str) -> list[dict[str, str]]:
    own = {
        "model": model.name,
        "owner": model.owner,
        "dag_id": run.dag_id,
        "run": run.slug,
        "task_id": task_id,
        "code_hash": environment.code_hash,
    }
    return _tag_list({**environment.tags, **own})


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value[:256]} for key, value in tags.items()]
