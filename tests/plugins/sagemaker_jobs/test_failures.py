"""The messages of failures, and which failures are retried."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError
from botocore.stub import Stubber

from sagemaker_jobs.failures import (
    LOG_LINES,
    JobFailed,
    JobLost,
    NoCapacity,
    QuotaReached,
    RequestRefused,
    Throttled,
    failure_of,
    is_absent,
    is_transient,
    last_log_lines,
    reason_of,
    refused,
)
from sagemaker_jobs.kinds import PROCESSING, TRAINING

GROUP = "/aws/sagemaker/TrainingJobs"


def error(code: str | None, status: int = 400) -> ClientError:
    found = {} if code is None else {"Error": {"Code": code, "Message": "no"}}
    return ClientError({**found, "ResponseMetadata": {"HTTPStatusCode": status}}, "CreateTrainingJob")


def job(status: str = "Failed", **fields: Any) -> dict[str, Any]:
    return {"TrainingJobName": "train-1", "TrainingJobStatus": status, **fields}


def test_a_failure_is_told_line_by_line() -> None:
    pages = {"console": "https://console/1", "logs": "https://logs/1"}
    failure = failure_of(TRAINING, job(FailureReason="AlgorithmError: x"), pages, ["Traceback", "KeyError"])
    assert str(failure).splitlines() == [
        "SageMaker training job train-1 failed: AlgorithmError: x",
        "  console: https://console/1",
        "  logs: https://logs/1",
        "  last log lines:",
        "    Traceback",
        "    KeyError",
    ]


def test_a_page_that_is_console_and_log_is_named_once_and_an_empty_log_not_at_all() -> None:
    failure = failure_of(TRAINING, job(), {"console": "https://local/1", "logs": "https://local/1"}, [])
    assert str(failure).splitlines()[1:] == ["  console/logs: https://local/1"]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("CapacityError: none", NoCapacity),
        ("InsufficientCapacity: none", NoCapacity),
        ("ResourceLimitExceeded: quota", QuotaReached),
        ("Throttling: slow down", Throttled),
        ("InternalServerError: We encountered an internal error", JobLost),
        ("AlgorithmError: CapacityError of my own", JobFailed),
    ],
)
def test_what_is_sagemakers_fault_is_retried(reason: str, expected: type[Exception]) -> None:
    failure = failure_of(TRAINING, job(FailureReason=reason), {}, [])
    assert type(failure) is expected
    assert reason in str(failure)


def test_a_stopped_job_is_not_retried_whatever_its_reason() -> None:
    assert type(failure_of(TRAINING, job("Stopped", FailureReason="CapacityError: none"), {}, [])) is JobFailed


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        (job(), "SageMaker gave no reason"),
        (job(FailureReason="  "), "SageMaker gave no reason"),
        (job(FailureReason=" x\n"), "x"),
        (job(ExitMessage="own words", FailureReason="exit code 1"), "own words | exit code 1"),
        (job(ExitMessage="the same", FailureReason="the same"), "the same"),
        (job("Stopped"), "someone or something stopped it; clear the task to start it again"),
        (
            job("Stopped", ExitMessage="interrupted", SecondaryStatus="MaxRuntimeExceeded", StoppingCondition={}),
            "interrupted | it ran longer than its limit of None s; raise max_runtime_minutes in model.yaml",
        ),
    ],
)
def test_the_reason_is_what_sagemaker_and_the_program_say(description: dict[str, Any], reason: str) -> None:
    assert reason_of(TRAINING, description) == reason


def test_a_processing_jobs_reason_is_read_by_its_own_status() -> None:
    assert reason_of(PROCESSING, {"ProcessingJobStatus": "Failed", "ExitMessage": "x"}) == "x"


def test_the_ends_of_all_streams_are_read_and_cut_to_the_last_lines(logs: Stubber) -> None:
    streams = [{"logStreamName": name} for name in ("train-1/algo-1", "train-1/algo-2")]
    asked = {"logGroupName": GROUP, "logStreamNamePrefix": "train-1/", "limit": 5}
    logs.add_response("describe_log_streams", {"logStreams": streams}, asked)
    for stream, count in zip(streams, (LOG_LINES, 3), strict=True):
        number = stream["logStreamName"][-1]
        events = [{"message": f"  {number}: line {line}\n"} for line in range(count)]
        tail = {"logGroupName": GROUP, **stream, "limit": LOG_LINES, "startFromHead": False}
        logs.add_response("get_log_events", {"events": events}, tail)
    lines = last_log_lines(logs.client, GROUP, logStreamNamePrefix="train-1/", limit=5)
    assert lines == [
        *(f"  1: line {line}" for line in range(3, LOG_LINES)),
        *(f"  2: line {line}" for line in range(3)),
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ValidationException", RequestRefused),
        ("AccessDeniedException", RequestRefused),
        ("AccessDenied", RequestRefused),
        ("UnrecognizedClientException", RequestRefused),
        ("ThrottlingException", Throttled),
        ("RequestLimitExceeded", Throttled),
        ("TooManyRequestsException", Throttled),
        ("Throttling", Throttled),
        ("ResourceLimitExceeded", QuotaReached),
        ("InternalFailure", JobLost),
        (None, JobLost),
    ],
)
def test_a_refusal_says_what_was_asked_and_is_typed_by_its_code(code: str | None, expected: type[Exception]) -> None:
    failure = refused("create training job t", error(code))
    assert type(failure) is expected
    assert str(failure).startswith("SageMaker refused to create training job t: An error occurred")
    assert isinstance(failure, AirflowFailException) == ("clear the task" in str(failure))


@pytest.mark.parametrize(
    ("failure", "transient"),
    [
        (error("ThrottlingException"), True),
        (error("ServiceUnavailable"), True),
        (error("RequestTimeout"), True),
        (error("Whatever", 500), True),
        (error(None, 503), True),
        (error("ValidationException", 499), False),
        (error(None), False),
        (ClientError({}, "CreateTrainingJob"), False),
        (EndpointConnectionError(endpoint_url="x"), True),
        (ParamValidationError(report="x"), False),
        (ValueError("x"), False),
    ],
)
def test_only_what_passes_by_itself_is_transient(failure: Exception, transient: bool) -> None:
    assert is_transient(failure) is transient


def test_absent_is_what_sagemaker_calls_so() -> None:
    answers = {code: is_absent(error(code)) for code in ("ValidationException", "ResourceNotFound", "Throttling", None)}
    assert answers == {"ValidationException": True, "ResourceNotFound": True, "Throttling": False, None: False}
