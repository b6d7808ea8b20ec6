from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import RetryAction
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError

from sagemaker_jobs.failures import JobLost, NoCapacity, Throttled, refused
from sagemaker_jobs.retries import LONGEST_DELAY, SageMakerRetryPolicy

CAPACITY = "SageMaker lacks capacity"
THROTTLED = "AWS throttles or does not answer"


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "CreateTrainingJob")


def decide(error: BaseException, try_number: int = 1, max_tries: int = 4) -> Any:
    context: Any = {"ti": SimpleNamespace(task=SimpleNamespace(retries=4))}
    return SageMakerRetryPolicy().evaluate(error, try_number, max_tries, context)


@pytest.mark.parametrize(
    ("error", "first"),
    [
        (NoCapacity("CapacityError: none left"), timedelta(minutes=5)),
        (refused("create", client_error("ResourceLimitExceeded")), timedelta(minutes=2)),
        (Throttled("slow down"), timedelta(minutes=1)),
        (refused("create", client_error("ThrottlingException")), timedelta(minutes=1)),
        (client_error("ThrottlingException"), timedelta(minutes=1)),
        (client_error("Whatever", 503), timedelta(minutes=1)),
        (EndpointConnectionError(endpoint_url="x"), timedelta(minutes=1)),
    ],
)
def test_what_passes_is_retried_later_and_later(error: BaseException, first: timedelta) -> None:
    reason = {5: CAPACITY, 2: "a quota of the account is reached", 1: THROTTLED}[int(first.total_seconds() / 60)]
    decisions = [decide(error, number) for number in (1, 2, 3)]
    assert [decision.action for decision in decisions] == [RetryAction.RETRY] * 3
    assert {decision.reason for decision in decisions} == {reason}
    for count, decision in enumerate(decisions):
        assert first * 2**count <= decision.retry_delay <= first * 2**count * 1.25


def test_a_quota_is_not_waited_for_for_an_hour() -> None:
    error = refused("create", client_error("ResourceLimitExceeded"))
    decision = decide(error, 4)
    assert decision.action is RetryAction.FAIL
    assert "waiting did not help" in decision.reason
    assert "Service Quotas" in str(error)


def test_the_delay_has_an_end_and_restarts_after_a_clear() -> None:
    assert decide(NoCapacity("x"), 12, 12 + 4).retry_delay <= timedelta(minutes=5) * 1.25
    assert decide(NoCapacity("x"), 12, 4).retry_delay <= LONGEST_DELAY * 1.25


def test_what_no_retry_can_fix_fails_at_once() -> None:
    decision = decide(client_error("AccessDeniedException"))
    assert decision.action is RetryAction.FAIL
    assert "AccessDeniedException" in decision.reason
    unknown = decide(ParamValidationError(report='Unknown parameter "ContainerEntrypoint"'))
    assert unknown.action is RetryAction.FAIL
    assert "ContainerEntrypoint" in unknown.reason


@pytest.mark.parametrize("error", [JobLost("lost"), ValueError("x")])
def test_the_rest_is_the_dags_to_say(error: Exception) -> None:
    assert decide(error).action is RetryAction.DEFAULT


def test_without_a_context_the_tries_are_counted_from_the_first() -> None:
    decision = SageMakerRetryPolicy().evaluate(NoCapacity("x"), 2, 4)
    assert timedelta(minutes=10) <= decision.retry_delay <= timedelta(minutes=12.5)


def test_a_task_without_retries_counts_all_its_tries() -> None:
    context: Any = {"ti": SimpleNamespace(task=SimpleNamespace(retries=None))}
    decision = SageMakerRetryPolicy().evaluate(NoCapacity("x"), 3, 2, context)
    assert timedelta(minutes=5) <= decision.retry_delay <= timedelta(minutes=6.25)


def test_the_policy_is_kept_with_its_delays() -> None:
    policy = SageMakerRetryPolicy(capacity=timedelta(minutes=2), throttling=timedelta(seconds=5))
    assert policy.serialize() == {"capacity": 120.0, "throttling": 5.0, "quota": 120.0}
