"""Requests to AWS; a kind of resource that cannot be read does not affect the others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from model_console.cloud import Aws, Clients, Cloud
from model_console.costs import Usage
from model_console.store import Store
from tests.plugins.model_console.test_app import FakeS3
from tests.plugins.model_console.test_costs import span
from tests.plugins.model_console.test_overview import index, version

REPORT = "s3://bucket/runs/train_pumps/1/evaluate/report.html"
GOLDEN = "runs/train_pumps/1/evaluate/golden_requests.json"


class FakeAws:
    """All services in one; operations in ``refused`` are denied."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.asked: list[bytes] = []
        self.serves = True

    def get_paginator(self, operation: str) -> Any:
        if operation in self.refused:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, operation)
        answers: dict[str, dict[str, Any]] = {
            "list_endpoints": {
                "Endpoints": [
                    {"EndpointName": "pumps-production", "EndpointStatus": "InService", "EndpointArn": "e"},
                    {"EndpointName": "mine", "EndpointStatus": "Failed", "EndpointArn": "m"},
                ]
            },
            "list_training_jobs": {"TrainingJobSummaries": [{"TrainingJobName": "t", "TrainingJobArn": "t"}]},
            "list_processing_jobs": {"ProcessingJobSummaries": []},
            "list_transform_jobs": {"TransformJobSummaries": []},
            "list_models": {"Models": [{"ModelName": "pumps-1"}]},
            "describe_alarms": {
                "MetricAlarms": [
                    {"AlarmName": "pumps-production-errors", "AlarmDescription": "5xx"},
                    {"AlarmName": "billing", "StateReason": "somebody else's"},
                ]
            },
        }
        pages = [answers[operation]]
        return type("Paginator", (), {"paginate": lambda self, **_: pages})()

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        return {"FailureReason": "no memory"} if EndpointName == "mine" else {}

    def list_tags(self, ResourceArn: str) -> dict[str, Any]:  # noqa: N803
        return {"Tags": [{"Key": "dag_id", "Value": "train_pumps"}]}

    def get_metric_data(self, MetricDataQueries: list[dict[str, Any]], **_: Any) -> dict[str, Any]:  # noqa: N803
        values = {"requests": [3.0, 4.0], "errors": [], "p99": [2000.0, 9000.0]}
        return {
            "MetricDataResults": [
                {"Id": query["Id"], "Values": values[query["Id"].partition("_")[0]]} for query in MetricDataQueries
            ]
        }

    def invoke_endpoint(self, Body: bytes, **_: Any) -> None:  # noqa: N803
        self.asked.append(Body)
        if not self.serves:
            raise ClientError({"Error": {"Code": "ModelError", "Message": "500"}}, "InvokeEndpoint")

    def get_queue_url(self, QueueName: str) -> dict[str, str]:  # noqa: N803
        if "mills" in QueueName:
            raise ClientError({"Error": {"Code": "QueueDoesNotExist"}}, "GetQueueUrl")
        return {"QueueUrl": QueueName}

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        return {"Attributes": {"ApproximateNumberOfMessages": "2"}}


@pytest.fixture
def fake() -> FakeAws:
    return FakeAws()


def ask(fake: FakeAws) -> Cloud:
    golden = json.dumps([{"features": {"age": 3}, "expected": 1}]).encode()
    pumps = index(versions=[version(2, "Approved", {"evaluation_report": REPORT})])
    store = Store(FakeS3({GOLDEN: golden}), "bucket")  # type: ignore[arg-type]
    return Aws(Clients(fake, fake, fake, fake), store).ask({"pumps": pumps}, ["pumps", "mills"])


def test_all_that_is_asked(fake: FakeAws) -> None:
    cloud = ask(fake)
    production, mine = cloud.endpoints
    assert (production.requests, production.errors, production.p99_ms) == (7, None, 9)
    assert production.probe == "answered"
    assert fake.asked == [b'{"age": 3}']
    assert (mine.status, mine.why, mine.probe) == ("Failed", "no memory", "")
    assert [job.name for job in cloud.jobs] == ["t"]
    assert cloud.alarms == {"pumps-production-errors": "5xx"}
    assert cloud.queues == {"pumps": 2}, "a model without a queue has none"
    assert cloud.unknown == []


def test_an_endpoint_that_does_not_answer(fake: FakeAws) -> None:
    fake.serves = False
    assert "ModelError" in ask(fake).endpoints[0].probe


def test_only_what_its_costs_depend_on_is_measured_and_a_refusal_is_no_zero(fake: FakeAws) -> None:
    fake.refused = {"get_metric_data"}
    aws = Aws(Clients(fake, fake, fake, fake), Store(FakeS3({}), "bucket"))  # type: ignore[arg-type]
    month = f"{datetime.now(UTC):%Y-%m}"
    began = f"{month}-01T00:00:00+00:00"
    assert aws.usage({"pumps": index(served=[span(began)])}, month) == Usage({}, {})
    assert aws.usage({"pumps": index(served=[span(began, most=4)])}, month) is None


def test_what_may_not_be_asked_is_named(fake: FakeAws) -> None:
    fake.refused = {"list_endpoints"}
    cloud = ask(fake)
    assert not cloud.endpoints
    assert [job.name for job in cloud.jobs] == ["t"]
    assert len(cloud.unknown) == 1
    assert cloud.unknown[0].startswith("endpoints: ")
