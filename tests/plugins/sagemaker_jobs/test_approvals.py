"""The approvals trigger, against the local SageMaker's registry, events and queues."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from airflow.triggers.shared_stream import AdvanceItem, AdvanceOutcome

from include.deploy.approval_events import event_pattern, queue_name
from sagemaker_jobs import queues
from sagemaker_jobs.approvals import PackageApprovalTrigger
from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting
from tests.include.local_sagemaker.local_server import CREDENTIALS, IMAGE, until

PATIENCE = 60  # seconds
numbers = itertools.count()


@pytest.fixture(autouse=True)
def _environment(hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": hosting.url}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(queues, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(queues, "TROUBLE_SECONDS", 0.1)


@pytest.fixture
def group(hosting: Hosting) -> str:
    name = f"pumps-{next(numbers)}"
    hosting.sagemaker.create_model_package_group(ModelPackageGroupName=name)
    return name


def route(hosting: Hosting, group: str) -> str:
    """A queue and its rule; the queue's name."""
    name = queue_name("test", group)
    sqs, events = hosting.client("sqs"), hosting.client("events")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps(event_pattern(group)), State="ENABLED")
    events.put_targets(Rule=name, Targets=[{"Id": "airflow", "Arn": arn}])
    return name


def register(hosting: Hosting, group: str) -> str:
    container = {"Image": IMAGE, "ModelDataUrl": ARTIFACT}
    types = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
    arn: str = hosting.sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={"Containers": [container], **types},
    )["ModelPackageArn"]
    return arn


def approve(hosting: Hosting, arn: str, status: str = "Approved") -> None:
    hosting.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus=status)


async def events_of(queue: str, wanted: int, *, stored: bool) -> list[dict[str, Any]]:
    """What the trigger fires, driven as Airflow's manager drives it: it is told whether its events were stored."""
    trigger = PackageApprovalTrigger(queue=queue, aws_conn_id=None, region_name="us-east-1")
    producer = trigger.create_shared_stream_producer(trigger.serialize()[1])
    found: list[dict[str, Any]] = []
    handles: list[str] = []

    async def bodies() -> AsyncIterator[str]:
        async for body, handle in producer.open_stream():
            handles.append(handle)
            yield body

    async def read() -> None:
        async for event in trigger.filter_shared_stream(bodies()):
            found.append(event.payload)
            if len(found) == wanted:
                return

    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(read(), PATIENCE)
    outcome = AdvanceOutcome(acked=1 if stored else 0, failed=0 if stored else 1, rejected=0)
    await producer.advance([AdvanceItem(handle, outcome) for handle in handles])
    return found


def left(hosting: Hosting, queue: str) -> int:
    sqs = hosting.client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[name]) for name in names)


def test_approvals_come_in_order_and_nothing_else_comes(hosting: Hosting, group: str) -> None:
    queue = route(hosting, group)
    first, second, last, refused = (register(hosting, group) for _ in range(4))
    approve(hosting, refused, "Rejected")
    approve(hosting, first)
    approve(hosting, second)
    # what a deployment writes about an approved version must not start another deployment
    hosting.sagemaker.update_model_package(ModelPackageArn=first, CustomerMetadataProperties={"promotion_by": "me"})
    approve(hosting, last)
    found = asyncio.run(events_of(queue, 3, stored=True))
    assert [(event["model_package_arn"], event["version"]) for event in found] == [(first, 1), (second, 2), (last, 3)]
    assert left(hosting, queue) == 0


def test_an_approval_that_was_not_stored_stays_in_the_queue(hosting: Hosting, group: str) -> None:
    queue = route(hosting, group)
    approve(hosting, register(hosting, group))
    assert len(asyncio.run(events_of(queue, 1, stored=False))) == 1
    assert left(hosting, queue) == 1


def test_a_queue_that_is_not_there_yet_is_waited_for(
    hosting: Hosting, group: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def later() -> list[dict[str, Any]]:
        reading = asyncio.create_task(events_of(queue_name("test", group), 1, stored=True))
        await asyncio.to_thread(until, lambda: "cannot be read, looking again" in caplog.text)
        await asyncio.to_thread(route, hosting, group)
        await asyncio.to_thread(lambda: approve(hosting, register(hosting, group)))
        return await reading

    assert len(asyncio.run(later())) == 1


@pytest.mark.parametrize("body", ["", "{}", "[1]", '{"detail": {"ModelPackageArn": "x"}, "time": "t"}'])
def test_what_is_not_an_approval_is_refused(body: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        PackageApprovalTrigger.event_of(body)


def test_a_name_that_aws_would_refuse_is_refused_early() -> None:
    with pytest.raises(ValueError, match="64 are allowed"):
        queue_name("x" * 60, "pumps")
