"""Transform jobs and their Models, against stubbed clients."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from sagemaker_jobs.failures import JobFailed, JobLost, RequestRefused
from sagemaker_jobs.hosting import content_name, ensure_model
from sagemaker_jobs.kinds import TRANSFORM
from sagemaker_jobs.names import job_name
from sagemaker_jobs.transform import TransformJobOperator

from .conftest import FakeTaskInstance

MODEL = {
    "ModelName": "pumps",
    "PrimaryContainer": {"Image": "image", "ModelDataUrl": "s3://bucket/job/output/model.tar.gz"},
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/ml-jobs",
    "Tags": [{"Key": "run", "Value": "monday"}],
}
NAME = content_name("pumps", MODEL)
REQUEST = {
    "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in/"}}},
    "TransformOutput": {"S3OutputPath": "s3://bucket/out"},
    "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 2},
}
MODEL_ARN = {"ModelArn": f"arn:aws:sagemaker:eu-west-1:123456789012:model/{NAME}"}


@pytest.fixture
def ti() -> FakeTaskInstance:
    return FakeTaskInstance(task_id="score")


@pytest.fixture
def score(prepare: Callable[..., Any]) -> TransformJobOperator:
    operator: TransformJobOperator = prepare(
        TransformJobOperator(
            task_id="score", request=lambda context: dict(REQUEST), model=lambda context: dict(MODEL), retries=2
        )
    )
    return operator


def expect_no_model(sagemaker: Stubber) -> None:
    sagemaker.add_client_error("describe_model", "ValidationException", "Could not find model", 400, None)


def expect_model(sagemaker: Stubber) -> None:
    answer = {**MODEL_ARN, "ModelName": NAME, "CreationTime": datetime.now(UTC)}
    sagemaker.add_response("describe_model", answer, {"ModelName": NAME})


def describe(sagemaker: Stubber, name: str, status: str, **fields: Any) -> None:
    began = datetime.now(UTC) - timedelta(minutes=10)
    answer = {
        "TransformJobName": name,
        "TransformJobArn": f"arn:aws:sagemaker:eu-west-1:123456789012:transform-job/{name}",
        "TransformJobStatus": status,
        "ModelName": NAME,
        "CreationTime": began,
        "TransformStartTime": began,
        **REQUEST,
        **({} if status == "InProgress" else {"TransformEndTime": began + timedelta(minutes=5)}),
        **fields,
    }
    sagemaker.add_response("describe_transform_job", answer, {"TransformJobName": name})


def expect_absent(sagemaker: Stubber, name: str) -> None:
    sagemaker.add_client_error(
        "describe_transform_job", "ValidationException", "not found", 400, None, {"TransformJobName": name}
    )


def expect_creation(sagemaker: Stubber, name: str) -> None:
    answer = {"TransformJobArn": f"arn:aws:sagemaker:eu-west-1:123456789012:transform-job/{name}"}
    sagemaker.add_response("create_transform_job", answer, {**REQUEST, "ModelName": NAME, "TransformJobName": name})


def test_a_job_gets_its_model_and_says_what_it_cost(score: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    name = job_name(TRANSFORM, ti, 1)
    expect_absent(sagemaker, name)
    expect_no_model(sagemaker)
    sagemaker.add_response("create_model", MODEL_ARN, {**MODEL, "ModelName": NAME})
    expect_creation(sagemaker, name)
    describe(sagemaker, name, "Completed")
    found = score.execute({"ti": ti})
    assert found["model_name"] == NAME
    assert found["output"] == "s3://bucket/out"
    assert (found["instance_type"], found["instance_count"]) == ("ml.m5.large", 2)
    assert found["billable_seconds"] == 2 * 5 * 60


def test_the_next_day_makes_no_second_model(score: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    name = job_name(TRANSFORM, ti, 1)
    expect_absent(sagemaker, name)
    expect_model(sagemaker)
    expect_creation(sagemaker, name)
    describe(sagemaker, name, "Completed")
    assert score.execute({"ti": ti})["name"] == name


def test_a_retry_takes_the_job_that_finished_meanwhile(score: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    ti.try_number = 2
    name = job_name(TRANSFORM, ti, 1)
    describe(sagemaker, name, "Completed")
    expect_absent(sagemaker, job_name(TRANSFORM, ti, 1, 2))
    assert score.execute({"ti": ti})["name"] == name


def test_a_failed_job_says_why(score: Any, ti: FakeTaskInstance, sagemaker: Stubber, logs: Stubber) -> None:
    name = job_name(TRANSFORM, ti, 1)
    expect_absent(sagemaker, name)
    expect_model(sagemaker)
    expect_creation(sagemaker, name)
    describe(sagemaker, name, "Failed", FailureReason="ClientError: See job logs for more information")
    logs.add_response("describe_log_streams", {"logStreams": [{"logStreamName": f"{name}/algo-1/data-log"}]})
    logs.add_response("get_log_events", {"events": [{"message": "line 7 has 3 values instead of 4"}]})
    with pytest.raises(JobFailed, match="3 values instead of 4"):
        score.execute({"ti": ti})


def test_another_task_was_quicker_to_make_the_model(sagemaker: Stubber) -> None:
    expect_no_model(sagemaker)
    sagemaker.add_client_error(
        "create_model", "ValidationException", f'Cannot create already existing model "{NAME}".', 400
    )
    assert ensure_model(sagemaker.client, MODEL) == NAME


@pytest.mark.parametrize(("code", "error"), [("ValidationException", RequestRefused), ("ThrottlingException", JobLost)])
def test_a_model_that_cannot_be_made_is_said_so(sagemaker: Stubber, code: str, error: type[Exception]) -> None:
    expect_no_model(sagemaker)
    sagemaker.add_client_error("create_model", code, "no", 400)
    with pytest.raises(error, match=f"refused to create the model {NAME}"):
        ensure_model(sagemaker.client, MODEL)


def test_a_name_is_of_the_content_alone() -> None:
    assert content_name("pumps", {**MODEL, "Tags": []}) == NAME
    other = {**MODEL, "PrimaryContainer": {"Image": "image", "ModelDataUrl": "s3://bucket/other/output/model.tar.gz"}}
    assert content_name("pumps", other) != NAME
    assert len(content_name("p" * 63, MODEL)) == 63
