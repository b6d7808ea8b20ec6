"""How the descriptions of each kind of job are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sagemaker_jobs.kinds import (
    ENDPOINT,
    PROCESSING,
    TRAINING,
    TRANSFORM,
    TUNING,
    JobKind,
    JobResult,
    compact,
    in_words,
    instances,
    longest_duration,
    running_minutes,
)

CREATED = datetime(2026, 11, 21, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 3}
DEFINITION = {"ResourceConfig": CLUSTER, "StoppingCondition": {"MaxRuntimeInSeconds": 3600}}


def tuning_job(most: int, parallel: int, **fields: Any) -> dict[str, Any]:
    limits = {"MaxNumberOfTrainingJobs": most, "MaxParallelTrainingJobs": parallel}
    return {
        "HyperParameterTuningJobName": "tune",
        "HyperParameterTuningJobArn": "arn:aws:sagemaker:us-east-1:123456789012:hyper-parameter-tuning-job/tune",
        "HyperParameterTuningJobStatus": "Completed",
        "HyperParameterTuningJobConfig": {"ResourceLimits": limits},
        "TrainingJobDefinition": DEFINITION,
        "CreationTime": CREATED,
        **fields,
    }


@pytest.mark.parametrize(
    ("limits", "longest"),
    [
        ({"MaxRuntimeInSeconds": 1800}, 0.5 * HOUR + HOUR),
        ({"MaxRuntimeInSeconds": 1800, "MaxWaitTimeInSeconds": 7200}, 2 * HOUR + HOUR),  # spot: waiting counts too
        ({}, 24 * HOUR + HOUR),
        (None, 24 * HOUR + HOUR),
    ],
    ids=["runtime", "wait for spot", "no limit", "no stopping condition"],
)
def test_a_job_may_take_its_limit_and_an_hour_of_overhead(limits: dict[str, int] | None, longest: timedelta) -> None:
    assert longest_duration({} if limits is None else {"StoppingCondition": limits}) == longest


@pytest.mark.parametrize(("most", "parallel", "rounds"), [(8, 2, 4), (9, 2, 5), (1, 4, 1)])
def test_a_tuning_job_may_take_the_rounds_of_its_training_jobs(most: int, parallel: int, rounds: int) -> None:
    assert longest_duration(tuning_job(most, parallel)) == rounds * (HOUR + HOUR)


@pytest.mark.parametrize(
    "description",
    [
        {"ResourceConfig": CLUSTER},
        {"TransformResources": CLUSTER},
        {"ProcessingResources": {"ClusterConfig": CLUSTER}},
        {"TrainingJobDefinition": DEFINITION},
    ],
    ids=lambda description: next(iter(description)),
)
def test_each_kind_says_its_instances_in_its_own_way(description: dict[str, Any]) -> None:
    assert instances(description) == ("ml.m5.large", 3)


def test_one_instance_is_meant_where_no_count_is_given() -> None:
    assert instances({"ResourceConfig": {"InstanceType": "ml.m5.large"}}) == ("ml.m5.large", 1)
    assert instances({}) == (None, 1)


@pytest.mark.parametrize("kind", [PROCESSING, TRAINING, TRANSFORM, TUNING], ids=lambda kind: kind.word)
def test_the_minutes_count_from_the_start_to_the_end(kind: JobKind) -> None:
    start = {PROCESSING: "Processing", TRAINING: "Training", TRANSFORM: "Transform"}
    ended = f"{start.get(kind, 'HyperParameterTuning')}EndTime"
    description = {"CreationTime": CREATED, ended: CREATED + timedelta(minutes=30)}
    assert running_minutes(kind, description) == 30
    if kind in start:
        description |= {f"{start[kind]}StartTime": CREATED + timedelta(minutes=10)}
        assert running_minutes(kind, description) == 20


def test_the_minutes_of_a_job_that_runs_count_until_now() -> None:
    assert running_minutes(TRAINING, {"CreationTime": datetime.now(UTC) - HOUR}) == pytest.approx(60, abs=0.5)


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped"])
def test_a_job_is_over_when_it_has_ended(status: str) -> None:
    assert TRAINING.is_over({"TrainingJobStatus": status})
    assert not TRAINING.is_over({"TrainingJobStatus": "Stopping"})


def test_an_endpoint_is_over_when_nothing_is_being_done_to_it() -> None:
    busy = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
    assert [status for status in busy if ENDPOINT.is_over({"EndpointStatus": status})] == []
    settled = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")
    assert [status for status in settled if not ENDPOINT.is_over({"EndpointStatus": status})] == []


def test_a_processing_jobs_result_says_what_it_read_and_wrote() -> None:
    east = CREATED.astimezone().replace(microsecond=900_000)  # boto3 answers in the machine's time zone
    description = {
        "ProcessingJobName": "clean",
        "ProcessingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:processing-job/clean",
        "ProcessingJobStatus": "Completed",
        "ProcessingResources": {"ClusterConfig": {**CLUSTER, "InstanceCount": 2}},
        "CreationTime": east,
        "ProcessingStartTime": east + timedelta(minutes=1),
        "ProcessingEndTime": east + timedelta(minutes=2, seconds=1),
        "ProcessingInputs": [
            {"InputName": "raw", "S3Input": {"S3Uri": "s3://bucket/raw"}},
            {"InputName": "table", "DatasetDefinition": {}},
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {"OutputName": "clean", "S3Output": {"S3Uri": "s3://bucket/clean"}},
                {"OutputName": "features", "FeatureStoreOutput": {}},
            ]
        },
    }
    found = compact(PROCESSING, description)
    assert found.pop("cost_usd") > 0
    assert found == {
        "name": "clean",
        "arn": description["ProcessingJobArn"],
        "kind": "processing",
        "status": "Completed",
        "instance_type": "ml.m5.large",
        "instance_count": 2,
        "billable_seconds": 122,
        "created": "2026-11-21T08:00:00+00:00",
        "started": "2026-11-21T08:01:00+00:00",
        "ended": "2026-11-21T08:02:01+00:00",
        "inputs": {"raw": "s3://bucket/raw"},
        "outputs": {"clean": "s3://bucket/clean"},
    }


def test_a_tuning_job_costs_the_seconds_of_its_training_jobs() -> None:
    found = compact(TUNING, tuning_job(8, 2, ConsumedResources={"RuntimeInSeconds": 480}))
    assert found["billable_seconds"] == 480


@pytest.mark.parametrize("times", [{}, {"TrainingStartTime": CREATED}, {"TrainingEndTime": CREATED}], ids=list)
def test_a_job_that_did_not_run_from_start_to_end_has_no_measured_cost(times: dict[str, datetime]) -> None:
    description = {
        "TrainingJobName": "t",
        "TrainingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/t",
        "TrainingJobStatus": "Stopped",
        "ResourceConfig": CLUSTER,
        "CreationTime": CREATED,
        **times,
    }
    found = compact(TRAINING, description)
    assert found["cost_usd"] == "unknown"
    assert "billable_seconds" not in found


def test_a_completed_jobs_log_says_time_price_metrics_and_where_to_look() -> None:
    result: JobResult = {
        "name": "evaluate-1",
        "instance_type": "ml.m5.large",
        "billable_seconds": 61,
        "cost_usd": 0.002,
        "report": "https://report",
        "result": {"metrics": {"pr_auc": 0.812345, "rows": 9, "undefined": None}},
    }
    assert in_words(result, {"console": "https://page", "logs": "https://log"}) == [
        "evaluate-1 completed: 61 billable seconds, 0.002 USD on ml.m5.large",
        "metrics: pr_auc 0.8123, rows 9",
        "console: https://page",
        "logs: https://log",
        "report: https://report",
    ]
    one_page = {"console": "https://page", "logs": "https://page"}
    assert in_words({"name": "x", "cost_usd": "unknown", "result": ["no verdict"]}, one_page) == [
        "x completed: unknown billable seconds, its price is not known",
        "console: https://page",
    ]
