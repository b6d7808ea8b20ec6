"""Requests for the jobs of a training run: preparation of the data, training or tuning, evaluation, tracking."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from include.models.config import Compute, ModelConfig, Scalar, TimeSplit, Training, Tuning, nearest
from include.models.config.files import LINKS, MODEL_ARCHIVE, OUTPUT_ARCHIVE
from include.platform.environment import MlEnvironment
from include.platform.request_parts import (
    Request,
    RequestError,
    Source,
    code_uri,
    job_environment,
    processing,
    program,
    resources,
    role_of,
    tags_of,
    vpc,
)
from include.platform.run_folders import Run
from include.platform.storage import raw_prefix
from include.registry.versions import Version

TRAINING_CODE = "/opt/ml/input/data/code"
LONGEST_VARIABLE = 256  # of a processing job's environment


def prepare_data(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    data_from: str | None = None,
    data_to: str | None = None,
    must_learn: str | None = None,
) -> Request:
    """``data_from`` and ``data_to`` are ISO dates, the first and the last day to use; None leaves that end open.

    Args:
        must_learn: if monitoring started the training, the day that its training split must reach past.
    """
    return processing(
        model,
        environment,
        run,
        "prepare_data",
        inputs={"raw": _raw(model, environment), "earlier": run.checks},
        outputs=_prepared(run),
        arguments=[*_window(data_from, data_to), *_split(model, must_learn)],
        compute=_one(model),
    )


def cut_data(model: ModelConfig, environment: MlEnvironment, run: Run) -> Request:
    return processing(
        model,
        environment,
        run,
        "cut_data",
        inputs={"raw": _raw(model, environment)},
        outputs={"chunks": run.chunks},
        compute=_one(model),
    )


def prepare_shards(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    data_from: str | None = None,
    data_to: str | None = None,
) -> Request:
    """A job on ``processing.instance_count`` machines, which share the chunks."""
    return processing(
        model,
        environment,
        run,
        "prepare_shards",
        inputs={"chunks": Source(run.chunks, distribution="ShardedByS3Key")},
        outputs={"shards": run.shards},
        arguments=_window(data_from, data_to),
    )


def merge_shards(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    data_from: str | None = None,
    data_to: str | None = None,
    must_learn: str | None = None,
) -> Request:
    return processing(
        model,
        environment,
        run,
        "merge_shards",
        inputs={"shards": run.shards, "earlier": run.checks},
        outputs=_prepared(run),
        arguments=[*_window(data_from, data_to), *_split(model, must_learn)],
        compute=_one(model),
    )


def _raw(model: ModelConfig, environment: MlEnvironment) -> str:
    return f"s3://{environment.bucket}/{raw_prefix(model.name)}"


def _prepared(run: Run) -> dict[str, str]:
    """The outputs of a preparation, on one machine or several."""
    return {
        "validated": run.validated,
        "features": run.features,
        "raw-report": run.report("validate_raw_data"),
        "features-report": run.report("validate_features"),
        "preparation": run.report("prepare_data"),
        "checks": run.checks,
    }


def _window(data_from: str | None, data_to: str | None) -> list[str]:
    window = []
    if data_from:
        window += ["--data-from", data_from]
    if data_to:  # the job takes an exclusive end
        window += ["--data-to", (date.fromisoformat(data_to) + timedelta(days=1)).isoformat()]
    return window


def _split(model: ModelConfig, must_learn: str | None) -> list[str]:
    """The split arguments of a training that monitoring started."""
    if not must_learn or not model.monitoring:
        return []
    held_out = ",".join(f"{one:g}" for one in model.monitoring.retrain.held_out)
    return ["--held-out", held_out, "--must-learn", must_learn]


def _one(model: ModelConfig) -> Compute:
    """Model.yaml's ``processing`` compute, with one machine."""
    return model.processing.model_copy(update={"instance_count": 1})


def evaluate_model(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    artifact: str,
    production: Sequence[Version] = (),
    forced: bool = False,
    usual: bool = False,
    must_learn: str | None = None,
    links: Mapping[str, str] | None = None,
) -> Request:
    """``artifact``: the S3 URI of the candidate's model.tar.gz. ``production``: the version in production, and earlier
    ones. ``forced``: it is registered if it passes the gates alone. ``usual``: it is also compared with model.yaml's
    own hyperparameters. ``must_learn``: as in ``prepare_data``. ``links``: addresses for the report, by the keys of
    ``LINKS``."""
    training = artifact.removesuffix(MODEL_ARCHIVE) + OUTPUT_ARCHIVE
    inputs = {"artifact": artifact, "training": training, "features": run.features, "validated": run.validated}
    names = ["champion", *(f"earlier-{number}" for number in range(1, len(production)))]
    inputs |= {name: version.artifact for name, version in zip(names, production, strict=False)}
    versions = ",".join(str(version.version) for version in production)
    flags = [name for name, wanted in (("--forced", forced), ("--usual", usual)) if wanted]
    since = ["--since", must_learn] if must_learn and isinstance(model.split, TimeSplit) else []
    request = processing(
        model,
        environment,
        run,
        "evaluate_model",
        inputs=inputs,
        outputs={"evaluation": run.evaluation, **({"refit": run.refit} if model.split.refit else {})},
        arguments=[*(["--versions", versions] if versions else []), *flags, *since],
        compute=_one(model),
    )
    fitting = {LINKS[what]: address for what, address in (links or {}).items() if len(address) <= LONGEST_VARIABLE}
    return {**request, "Environment": request["Environment"] | fitting}


def train_model(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    hyperparameters: Mapping[str, Scalar] | None = None,
    instance_type: str | None = None,
) -> Request:
    """A training job; ``hyperparameters`` and ``instance_type`` override model.yaml's.

    Raises:
        RequestError: an unknown hyperparameter, or a value that is not a scalar.
    """
    task_id = "train_model"
    definition = _training_definition(model, environment, run, task_id, instance_type)
    definition["AlgorithmSpecification"] |= {"ContainerEntrypoint": program(TRAINING_CODE, "train_model")}
    return {
        **definition,
        "HyperParameters": _strings(chosen_hyperparameters(model, hyperparameters)),
        "Tags": tags_of(model, environment, run, task_id),
    }


def tune_model(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    hyperparameters: Mapping[str, Scalar] | None = None,
    instance_type: str | None = None,
) -> Request:
    """A tuning job over model.yaml's ranges; a hyperparameter set in the form is fixed rather than searched.

    Raises:
        RequestError: model.yaml has no ranges, or as for train_model.
    """
    task_id = "tune_model"
    tuning = require_tuning(model)
    chosen = chosen_hyperparameters(model, hyperparameters)
    searched = {name: bounds for name, bounds in tuning.ranges.items() if name not in (hyperparameters or {})}
    if not searched:
        raise RequestError(f"the form sets every hyperparameter that {model.name} tunes: nothing is left to tune")
    ranges: dict[str, list[Request]] = {
        f"{kind}ParameterRanges": [] for kind in ("Integer", "Continuous", "Categorical")
    }
    for name, bounds in searched.items():
        if bounds.values:
            ranges["CategoricalParameterRanges"].append({"Name": name, "Values": bounds.values})
            continue
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
            # train_model prints the objective as it goes; Hyperband stops hopeless children on its own
            "TrainingJobEarlyStoppingType": "Off" if tuning.strategy == "Hyperband" else "Auto",
            "RandomSeed": int(chosen.get("seed", 0)),
        },
        "TrainingJobDefinition": {**definition, "StaticHyperParameters": _strings(fixed)},
        "Tags": tags_of(model, environment, run, task_id),
    }


def track_model_version(
    model: ModelConfig, environment: MlEnvironment, run: Run, *, mlflow_run_id: str, model_package_arn: str
) -> Request:
    arguments = ["--run-id", mlflow_run_id, "--model-package", model_package_arn]
    return processing(model, environment, run, "track_model_version", inputs={}, outputs={}, arguments=arguments)


def require_tuning(model: ModelConfig) -> Tuning:
    if model.training.tuning is None:
        raise RequestError(
            f"models/{model.name}/model.yaml has no training.tuning: add ranges there, or run without tune"
        )
    return model.training.tuning


def chosen_hyperparameters(model: ModelConfig, given: Mapping[str, Scalar] | None) -> dict[str, Scalar]:
    """model.yaml's hyperparameters, overridden by the given ones.

    Raises:
        RequestError: an unknown name, or a value that the estimator does not accept.
    """
    known = model.hyperparameters
    for name, value in (given or {}).items():
        if name not in known:
            raise RequestError(f"{model.name} has no hyperparameter '{name}'. {nearest(name, known)}")
        if wrong := known[name].problem_with(value):
            raise RequestError(f"hyperparameter {name} {wrong}")
    typed = {name: known[name].typed(value) for name, value in (given or {}).items()}
    return {**model.training.hyperparameters, **typed, "model": model.name}


def _training_definition(
    model: ModelConfig, environment: MlEnvironment, run: Run, task_id: str, instance_type: str | None
) -> Request:
    """The common part of a training job and the children of a tuning job."""
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
            "MetricDefinitions": [
                {"Name": name, "Regex": f"{re.escape(name)}=([-+0-9.eE]+)"} for name in sorted(metrics)
            ],
        },
        "InputDataConfig": [
            _channel("code", code_uri(environment)),
            _channel("train", f"{run.feature_split('train')}/"),
            _channel("validation", f"{run.feature_split('validation')}/"),
        ],
        "OutputDataConfig": output,
        "ResourceConfig": _warm(
            environment,
            compute,
            resources(environment, compute, instance_type or environment.instance_types.get("training")),
        ),
        "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
        "Environment": job_environment(model, environment, run),
        "RoleArn": role_of(model, environment),
    }
    if environment.spot_training:
        definition["EnableManagedSpotTraining"] = True
        definition["StoppingCondition"]["MaxWaitTimeInSeconds"] = 2 * seconds
        definition["CheckpointConfig"] = {"S3Uri": run.checkpoints(task_id)}
    if environment.encrypt_traffic:
        definition["EnableInterContainerTrafficEncryption"] = True
    if environment.network_isolation:
        definition["EnableNetworkIsolation"] = True
    if environment.subnets:
        definition["VpcConfig"] = vpc(environment)
    return definition


def _warm(environment: MlEnvironment, training: Training, config: Request) -> Request:
    """Adds the time that instances are kept warm for the next job; SageMaker does not keep spot instances."""
    if training.keep_alive_minutes and not environment.spot_training:
        config["KeepAlivePeriodInSeconds"] = training.keep_alive_minutes * 60
    return config


def _channel(name: str, uri: str) -> Request:
    return {
        "ChannelName": name,
        "InputMode": "File",
        "DataSource": {
            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
        },
    }


def _strings(hyperparameters: Mapping[str, Scalar]) -> dict[str, str]:
    """Hyperparameters as SageMaker's strings: strings stay as they are, numbers and booleans are JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in hyperparameters.items()}
