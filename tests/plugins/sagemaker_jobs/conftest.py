from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from sagemaker_jobs import base
from sagemaker_jobs.kinds import TRAINING
from sagemaker_jobs.names import job_name
from sagemaker_jobs.training import TrainingJobOperator
from tests.include.local_sagemaker.conftest import hosting

__all__ = ["hosting"]  # a local SageMaker with serving processes, for tests that need more than canned answers

REGION = {"region_name": "eu-west-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
REQUEST = {
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "RoleArn": "arn:aws:iam::123456789012:role/ml-jobs",
    "Environment": {"SECRET": "hunter2"},
}


@dataclass
class FakeTaskInstance:
    """The part of Airflow's task instance that operators use; ``max_tries`` changes as Airflow changes it."""

    dag_id: str = "train_pumps"
    run_id: str = "manual__2026-11-21T08:20:15.123456+00:00"
    task_id: str = "train_model"
    map_index: int = -1
    max_tries: int = 2
    try_number: int = 1
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


@pytest.fixture
def ti() -> FakeTaskInstance:
    return FakeTaskInstance()


@pytest.fixture(scope="session")
def sagemaker_client() -> Any:
    return boto3.client("sagemaker", **REGION)


class Everything:
    """An S3 in which every object exists; ``test_products`` is about lost ones."""

    def list_objects_v2(self, **_: Any) -> dict[str, Any]:
        return {"KeyCount": 1}

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [{}])


class Answers(Stubber):
    """Answers in the given order; ``asked`` lists the operations called, with their parameters."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.asked: list[tuple[str, dict[str, Any]]] = []


@contextmanager
def answering(client: Any) -> Iterator[Answers]:
    """A call that was not expected fails the test at its end too: the code that made it may have caught what the stub
    raised."""
    unexpected: list[str] = []

    def look(model: Any, params: dict[str, Any], **_: Any) -> None:
        stubber.asked.append((model.name, params))
        with suppress(AssertionError):
            stubber.assert_no_pending_responses()
            unexpected.append(model.name)

    with Answers(client) as stubber:
        client.meta.events.register("provide-client-params", look)
        yield stubber
        client.meta.events.unregister("provide-client-params", look)
        stubber.assert_no_pending_responses()
        assert not unexpected, f"calls without an answer: {unexpected}"


@pytest.fixture
def sagemaker(sagemaker_client: Any) -> Iterator[Answers]:
    with answering(sagemaker_client) as stubber:
        yield stubber


@pytest.fixture
def logs() -> Iterator[Stubber]:
    with answering(boto3.client("logs", **REGION)) as stubber:
        yield stubber


@pytest.fixture
def s3() -> Iterator[Stubber]:
    with answering(boto3.client("s3", **REGION)) as stubber:
        yield stubber


@pytest.fixture
def prepare(sagemaker: Stubber, logs: Stubber, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Gives an operator the stubbed clients."""
    monkeypatch.setattr(base, "JOB_WAIT", 0.0)

    def prepared(operator: Any, **clients: Any) -> Any:
        operator.__dict__["hook"] = SimpleNamespace(conn=sagemaker.client)
        operator.__dict__["_client"] = {"logs": logs.client, "s3": Everything(), **clients}.__getitem__
        return operator

    return prepared


@pytest.fixture
def train(prepare: Callable[..., Any]) -> Any:
    return prepare(TrainingJobOperator(task_id="train_model", request=lambda context: REQUEST, retries=2))


def name_of(ti: FakeTaskInstance, generation: int = 1, attempt: int = 1) -> str:
    return job_name(TRAINING, ti, generation, attempt)


def training_job(name: str, status: str, **fields: Any) -> dict[str, Any]:
    """A DescribeTrainingJob answer."""
    began = datetime.now(UTC) - timedelta(minutes=41)
    answer: dict[str, Any] = {
        "TrainingJobName": name,
        "TrainingJobArn": f"arn:aws:sagemaker:eu-west-1:123456789012:training-job/{name}",
        "TrainingJobStatus": status,
        "SecondaryStatus": "Training" if status == "InProgress" else status,
        "ModelArtifacts": {"S3ModelArtifacts": f"s3://bucket/out/{name}/output/model.tar.gz"},
        "AlgorithmSpecification": REQUEST["AlgorithmSpecification"],
        "ResourceConfig": REQUEST["ResourceConfig"],
        "StoppingCondition": REQUEST["StoppingCondition"],
        "CreationTime": began,
        "TrainingStartTime": began,
    }
    if status != "InProgress":
        answer |= {"TrainingEndTime": datetime.now(UTC), "BillableTimeInSeconds": 2460}
    return answer | fields


def expect_absent(sagemaker: Stubber, name: str) -> None:
    sagemaker.add_client_error(
        "describe_training_job",
        "ValidationException",
        "Requested resource not found.",
        400,
        None,
        {"TrainingJobName": name},
    )


def expect_job(sagemaker: Stubber, name: str, status: str, **fields: Any) -> None:
    sagemaker.add_response("describe_training_job", training_job(name, status, **fields), {"TrainingJobName": name})


def expect_creation(sagemaker: Stubber, name: str) -> None:
    answer = {"TrainingJobArn": f"arn:aws:sagemaker:eu-west-1:123456789012:training-job/{name}"}
    sagemaker.add_response("create_training_job", answer, {**REQUEST, "TrainingJobName": name})
