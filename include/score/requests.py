"""Requests for the jobs that score a day: one for everything or, for a large day, validation of its raw data, features,
batch transform, and validation of the scores."""

from __future__ import annotations

from typing import Literal

from include.models.config import Compute, ModelConfig
from include.platform.environment import MlEnvironment
from include.platform.request_parts import (
    Request,
    Source,
    endpoint_name,
    job_environment,
    processing,
    resources,
    tags_of,
)
from include.platform.run_folders import BatchRun, DayRun

CONCURRENT_TRANSFORMS = 4


def score_day(
    model: ModelConfig,
    environment: MlEnvironment,
    run: DayRun,
    *,
    day: str,
    artifact: str,
    reference: str | None = None,
    challenger: str | None = None,
) -> Request:
    """All steps in one job. ``artifact`` as for ``build_features``; ``reference``: the S3 URI of the version's
    ``reference.json``; ``challenger``: the artifact of a candidate."""
    beside = {"beside": run.challenger} if challenger else {}
    return processing(
        model,
        environment,
        run,
        "score_day",
        inputs={
            "partitions": Source(run.day_inputs, data_type="ManifestFile"),
            "artifact": artifact,
            "earlier": run.checks,
            **_if_given("reference", reference),
            **_if_given("challenger", challenger),
        },
        outputs={
            "scores": run.staged_scores("score_day"),
            "report": run.report("score_day"),
            "checks": run.checks,
            **beside,
        },
        arguments=["--day", day],
        compute=_one(model),
    )


def score_batch(
    model: ModelConfig, environment: MlEnvironment, run: BatchRun, *, artifact: str, reference: str | None = None
) -> Request:
    """Many days of one version, in one job; each day is uploaded as soon as it is scored."""
    return processing(
        model,
        environment,
        run,
        "score_batch",
        inputs={
            "partitions": Source(run.batch_inputs, data_type="ManifestFile"),
            "artifact": artifact,
            "plan": run.batch_files,
            **_if_given("reference", reference),
        },
        outputs={"days": run.days},
        compute=_one(model),
        upload="Continuous",
    )


def score_file(
    model: ModelConfig,
    environment: MlEnvironment,
    run: DayRun,
    *,
    file: str,
    artifact: str,
    answers: Literal["artifact", "endpoint", "later"],
) -> Request:
    """Scores an inbox file. ``file``: the S3 URI of SageMaker's manifest of it."""
    arguments = ["--answers", answers]
    return processing(
        model,
        environment,
        run,
        "score_file",
        inputs={"file": Source(file, data_type="ManifestFile"), "artifact": artifact},
        outputs={
            "features": run.day_features,
            "scores": run.staged_scores("score_file"),
            "report": run.report("score_file"),
        },
        arguments=[*arguments, "--endpoint", endpoint_name(model, "production")]
        if answers == "endpoint"
        else arguments,
        compute=_one(model),
    )


def validate_input(
    model: ModelConfig, environment: MlEnvironment, run: DayRun, *, day: str, reference: str | None = None
) -> Request:
    return processing(
        model,
        environment,
        run,
        "validate_input",
        inputs={
            "partitions": Source(run.day_inputs, data_type="ManifestFile"),
            "earlier": run.checks,
            **_if_given("reference", reference),
        },
        outputs={"validated": run.day_chunks, "report": run.report("validate_input"), "checks": run.checks},
        arguments=["--day", day],
        compute=_one(model),
    )


def build_features(
    model: ModelConfig, environment: MlEnvironment, run: DayRun, *, day: str, artifact: str, chunks: int
) -> Request:
    """``artifact`` is the S3 URI of the version's model.tar.gz: it defines the features and their order."""
    scoring = model.daily_scoring
    return processing(
        model,
        environment,
        run,
        "build_features",
        inputs={
            "validated": Source(run.day_chunks, distribution="ShardedByS3Key"),
            "artifact": artifact,
        },
        outputs={"features": run.day_features},
        arguments=["--day", day],
        compute=scoring.model_copy(update={"instance_count": min(scoring.instance_count, chunks)}),
    )


def score(model: ModelConfig, environment: MlEnvironment, run: DayRun, *, shards: int) -> Request:
    """A transform job over the day's rows: the model gets the columns after the key; the key is joined to its
    prediction."""
    scoring = model.daily_scoring
    key, answer = len(model.data.key), 1 + len(_classes(model)) + bool(model.explain)
    columns = [*range(key), *range(-answer, 0)]
    output = {"S3OutputPath": run.predictions, "Accept": "text/csv", "AssembleWith": "Line"}
    compute = resources(environment, scoring, environment.instance_types.get("processing"))
    return {
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": run.day_rows}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {**output, "KmsKeyId": environment.kms_key_id} if environment.kms_key_id else output,
        "DataProcessing": {
            "InputFilter": f"$[{key}:]",
            "JoinSource": "Input",
            "OutputFilter": f"$[{','.join(map(str, columns))}]",
        },
        "BatchStrategy": "MultiRecord",
        "MaxConcurrentTransforms": min(CONCURRENT_TRANSFORMS, 100 // scoring.max_payload_mb),
        "MaxPayloadInMB": scoring.max_payload_mb,
        "TransformResources": {
            "InstanceType": compute["InstanceType"],
            "InstanceCount": min(scoring.instance_count, shards),
            **({"VolumeKmsKeyId": environment.kms_key_id} if environment.kms_key_id else {}),
        },
        "Environment": job_environment(model, environment, run) | ({"EXPLAIN": "true"} if model.explain else {}),
        "Tags": tags_of(model, environment, run, "score"),
    }


def validate_scores(model: ModelConfig, environment: MlEnvironment, run: DayRun, *, rows: bool) -> Request:
    """``rows``: whether the day has any; without rows there are no predictions to read."""
    inputs = {"shards": run.day_shards}
    return processing(
        model,
        environment,
        run,
        "validate_scores",
        inputs={**inputs, "predictions": f"{run.predictions}/"} if rows else inputs,
        outputs={"scores": run.staged_scores("validate_scores"), "report": run.report("validate_scores")},
        compute=_one(model),
    )


def _classes(model: ModelConfig) -> list[str]:
    return [] if model.problem == "regression" else list(model.data.classes or [])


def _if_given(name: str, uri: str | None) -> dict[str, str]:
    return {name: uri} if uri else {}


def _one(model: ModelConfig) -> Compute:
    """Model.yaml's ``scoring`` compute, with one machine."""
    return model.daily_scoring.model_copy(update={"instance_count": 1})
