"""Failures that say why, typed so that Airflow retries only what a retry can fix."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from sagemaker_jobs.kinds import Description, JobKind

if TYPE_CHECKING:
    from types_boto3_logs import CloudWatchLogsClient

log = logging.getLogger(__name__)

LOG_LINES = 20
ABSENT = ("ValidationException", "ResourceNotFound")
# errors that repeating the API call cannot fix
REFUSED = ("ValidationException", "AccessDeniedException", "AccessDenied", "UnrecognizedClientException")
THROTTLING = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException")
TRANSIENT = (
    *THROTTLING,
    "InternalFailure",
    "InternalServerError",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "RequestTimeout",
)
# the start of FailureReason, or the error code, when SageMaker has no capacity
NO_CAPACITY = ("CapacityError", "InsufficientCapacity")
# the account's own quota: only its own ending jobs make room
QUOTA = ("ResourceLimitExceeded",)
# likewise, when SageMaker rather than the job is at fault
SAGEMAKER_AT_FAULT = (*NO_CAPACITY, *QUOTA, "InternalServerError", "Throttling")


class JobFailed(AirflowFailException):
    """The job's program or data is at fault, or someone stopped it: no retry can help."""


class JobLost(AirflowException):
    """SageMaker failed internally, or lost track of the job: a retry finds it again or starts the next attempt."""


class NoCapacity(JobLost):
    """SageMaker had no capacity: a later retry may find some."""


class QuotaReached(JobLost):
    """The account's quota is used up: a retry helps only once its own jobs end."""


class Throttled(JobLost):
    """The whole account made too many calls: a later retry may get through."""


class RequestRefused(AirflowFailException):
    """SageMaker rejects the request itself: no retry can help."""


def failure_of(
    kind: JobKind, description: Description, pages: dict[str, str], log_lines: list[str]
) -> AirflowException:
    """The exception for a job that failed or was stopped, with the reason, links, and the end of the log."""
    reason = reason_of(kind, description)
    job = description[kind.name_field]
    lines = [f"SageMaker {kind.word} job {job} {kind.status(description).lower()}: {reason}"]
    lines += [f"  {'/'.join(names)}: {url}" for url, names in _by_address(pages).items()]
    lines += ["  last log lines:", *(f"    {line}" for line in log_lines)] if log_lines else []
    message = "\n".join(lines)
    if kind.status(description) == "Failed" and reason.startswith(SAGEMAKER_AT_FAULT):
        return _lost(reason, message)
    return JobFailed(message)


def _lost(reason: str, message: str) -> JobLost:
    if reason.startswith(NO_CAPACITY):
        return NoCapacity(message)
    if reason.startswith(QUOTA):
        return QuotaReached(
            f"{message}\n  The account's quota is reached. If it is 0, or no other job runs, waiting does not help: "
            "ask for more under Service Quotas > Amazon SageMaker, or make the pool in account.yaml smaller."
        )
    return Throttled(message) if reason.startswith("Throttling") else JobLost(message)


def _by_address(pages: dict[str, str]) -> dict[str, list[str]]:
    """Link names by address: the local SageMaker shows a job and its log on one page."""
    found: dict[str, list[str]] = {}
    for name, url in pages.items():
        found.setdefault(url, []).append(name)
    return found


def reason_of(kind: JobKind, description: Description) -> str:
    """The reason, in the words of SageMaker and of the job's program."""
    reasons = [description.get("ExitMessage"), description.get("FailureReason")]
    if kind.status(description) == "Stopped":
        reasons += [_stopped(description)]
    said = list(dict.fromkeys(reason.strip() for reason in reasons if reason and reason.strip()))
    return " | ".join(said) or "SageMaker gave no reason"


def _stopped(description: Description) -> str:
    if description.get("SecondaryStatus") == "MaxRuntimeExceeded":
        seconds = description.get("StoppingCondition", {}).get("MaxRuntimeInSeconds")
        return f"it ran longer than its limit of {seconds} s; raise max_runtime_minutes in model.yaml"
    return "someone or something stopped it; clear the task to start it again"


def last_log_lines(logs: CloudWatchLogsClient, group: str, **streams: Any) -> list[str]:
    """The end of a log in CloudWatch. If it cannot be read, a line says so.

    Args:
        logs: a boto3 client of CloudWatch Logs.
        streams: which streams of the group, as arguments of DescribeLogStreams.
    """
    try:
        lines = []
        for stream in logs.describe_log_streams(logGroupName=group, **streams)["logStreams"]:
            name = stream["logStreamName"]
            events = logs.get_log_events(logGroupName=group, logStreamName=name, limit=LOG_LINES, startFromHead=False)
            lines += [event["message"].rstrip() for event in events["events"]]
    except (ClientError, BotoCoreError) as error:
        return [f"(the log could not be read: {error})"]
    return lines[-LOG_LINES:]


def refused(action: str, error: ClientError) -> AirflowException:
    """The exception for a failed API call; its error code decides whether it is retried."""
    code = error.response.get("Error", {}).get("Code", "")
    message = f"SageMaker refused to {action}: {error}"
    if code in REFUSED:
        return RequestRefused(f"{message}. The request is in this task's log; fix it and clear the task.")
    if code in THROTTLING:
        return Throttled(message)
    return _lost(code, message)


def is_absent(error: ClientError) -> bool:
    """Whether a Describe call failed because the resource does not exist."""
    return error.response.get("Error", {}).get("Code") in ABSENT


def is_transient(error: Exception) -> bool:
    """Whether the same call may succeed later. A request that botocore itself rejects never does."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error.response.get("Error", {}).get("Code") in TRANSIENT or status >= 500
    return isinstance(error, BotoCoreError) and not isinstance(error, ParamValidationError)
