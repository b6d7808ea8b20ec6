"""What every operator for SageMaker shares: the request is built by a function, and a job is run once, however often
workers die. The operators of each kind of job are in modules of their own, as subclasses of the Amazon provider's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerBaseOperator
from airflow.sdk import BaseOperatorLink, Context
from botocore.exceptions import ClientError

from sagemaker_jobs import links
from sagemaker_jobs.failures import JobLost, failure_of, is_absent, last_log_lines, reason_of, refused
from sagemaker_jobs.kinds import (
    Description,
    JobKind,
    compact,
    instances,
    longest_duration,
    running_minutes,
)
from sagemaker_jobs.names import generation, job_name
from sagemaker_jobs.triggers import JobTrigger
from sagemaker_jobs.waiting import SHORT_WAIT, SHORT_WAIT_STEP

Request = dict[str, Any]
RequestBuilder = Callable[..., Request]

# SageMaker throttles Describe calls of a whole account together
PATIENT_CLIENT = {"retries": {"mode": "standard", "max_attempts": 10}}


class RequestOperator(SageMakerBaseOperator):
    """A provider's operator whose request is built when the task runs, by a function.

    Args:
        request: called as ``request(context, **request_kwargs)``; returns the request without names and tokens.
        request_kwargs: templated; may hold XComArgs.
    """

    template_fields: Sequence[str] = ("aws_conn_id", "region_name", "request_kwargs", "verify")

    def __init__(
        self, *, request: RequestBuilder, request_kwargs: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        kwargs.setdefault("botocore_config", PATIENT_CLIENT)
        super().__init__(config={}, **kwargs)
        self.request = request
        self.request_kwargs = dict(request_kwargs or {})

    def _build_request(self, context: Context) -> Request:
        request = self.request(context, **self.request_kwargs)
        self.log.info("request: %s", json.dumps(redacted(request), indent=2, default=str))
        return request

    def _client(self, service: str) -> Any:
        """A boto3 client of another service, with the operator's own connection and region."""
        return AwsBaseHook(client_type=service, **self._hook_parameters).conn

    def _generation(self, context: Context) -> int:
        return generation(context["ti"], self.retries or 0)


class JobOperator(RequestOperator):
    """Runs a job to its end, once per generation of the task, however often workers die.

    Before anything is created the job is looked for by its name: absent, it is created; in progress, attached to;
    completed, its result is taken; failed or stopped, the next attempt starts. The wait is deferred but for its first
    seconds. Returns ``kinds.compact`` of the job.

    Raises:
        JobFailed: the job failed by its own fault or was stopped; not retried.
        JobLost: SageMaker had no capacity or failed; retried.
        RequestRefused: SageMaker refuses the request; not retried.
    """

    kind: ClassVar[JobKind]
    operator_extra_links: Sequence[BaseOperatorLink] = (links.ConsoleLink(), links.LogsLink())

    def execute(self, context: Context) -> dict[str, Any]:
        name, description = self._find_or_create(context)
        self._publish_links(context, name, description)
        description = self._wait_briefly(name, description)
        if not self.kind.is_over(description):
            self._defer(name, description)
        return self._settle(context, description)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        if event is None:
            raise JobLost("the task was resumed without an event; a retry finds the job again")
        name = event["job"]
        description = self._describe(name)
        if description is None:
            raise JobLost(
                f"SageMaker {self.kind.word} job {name} is gone: {event['message']}. A retry starts it again."
            )
        self._publish_links(context, name, description)
        if not self.kind.is_over(description):
            raise JobLost(
                f"gave up waiting for SageMaker {self.kind.word} job {name}, which is {self.kind.status(description)}: "
                f"{event['message']}. A retry attaches to it again. {self._pages(name)['console']}"
            )
        return self._settle(context, description)

    def result(self, context: Context, description: Description) -> dict[str, Any]:
        """What a completed job hands on; subclasses add to it."""
        return compact(self.kind, description)

    def _find_or_create(self, context: Context) -> tuple[str, Description]:
        current = self._generation(context)
        if running := self._running_before(context, current):
            return running
        attempt, last = self._last_attempt(context, current)
        if last is not None:
            name, status = last[self.kind.name_field], self.kind.status(last)
            if status == "Completed":
                self.log.info("%s completed while nobody watched; %s", name, self._saved(last))
                return name, last
            if status == "InProgress":
                self.log.info("re-attached to %s; %s", name, self._saved(last))
                return name, last
            self.log.warning("%s ended as %s (%s); starting the next attempt", name, status, reason_of(self.kind, last))
        return self._create(context, job_name(self.kind, context["ti"], current, attempt + 1))

    def _running_before(self, context: Context, current: int) -> tuple[str, Description] | None:
        """A job of an earlier generation that still runs: a task cleared meanwhile attaches rather than pay twice."""
        for earlier in range(current - 1, 0, -1):
            _, last = self._last_attempt(context, earlier)
            if last is not None and self.kind.status(last) == "InProgress":
                name = last[self.kind.name_field]
                self.log.info("re-attached to %s, started before the task was cleared; %s", name, self._saved(last))
                return name, last
        return None

    def _last_attempt(self, context: Context, of_generation: int) -> tuple[int, Description | None]:
        """The newest attempt of a generation and its description; 0 and None where there is none."""
        attempt, last = 0, None
        while True:
            name = job_name(self.kind, context["ti"], of_generation, attempt + 1)
            description = self._describe(name)
            if description is None:
                return attempt, last
            attempt, last = attempt + 1, description

    def _create(self, context: Context, name: str) -> tuple[str, Description]:
        request = {**self._build_request(context), self.kind.name_field: name}
        try:
            getattr(self.hook.conn, f"create_{self.kind.api}")(**request)
            self.log.info("created %s job %s", self.kind.word, name)
        except ClientError as error:
            # another process of this task, or an answer lost on its way, was quicker: the job is ours all the same
            if error.response.get("Error", {}).get("Code") != "ResourceInUse":
                raise refused(f"create {self.kind.word} job {name}", error) from error
            self.log.info("%s exists by now; attached to it", name)
        description = self._describe(name)
        if description is None:
            raise JobLost(f"SageMaker {self.kind.word} job {name} was created and cannot be found; a retry looks again")
        return name, description

    def _describe(self, name: str) -> Description | None:
        try:
            description: Description = getattr(self.hook.conn, f"describe_{self.kind.api}")(
                **{self.kind.name_field: name}
            )
        except ClientError as error:
            if is_absent(error):
                return None
            raise
        return description

    def _wait_briefly(self, name: str, description: Description) -> Description:
        until = time.monotonic() + SHORT_WAIT
        while not self.kind.is_over(description) and time.monotonic() < until:
            time.sleep(SHORT_WAIT_STEP)
            description = self._describe(name) or description
        return description

    def _defer(self, name: str, description: Description) -> None:
        created = description["CreationTime"]
        deadline = created + longest_duration(description)
        if deadline < datetime.now(UTC):
            raise JobLost(f"SageMaker {self.kind.word} job {name} has outlived its own runtime limit, since {deadline}")
        self.log.info("%s is %s; waiting deferred, until %s at most", name, self.kind.status(description), deadline)
        self.defer(
            trigger=JobTrigger(
                kind=self.kind.word,
                job=name,
                since=created.timestamp(),
                deadline=deadline.timestamp(),
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            # the trigger keeps the deadline and says why; this one is for a triggerer that is away
            timeout=deadline - datetime.now(UTC) + timedelta(minutes=10),
        )

    def _settle(self, context: Context, description: Description) -> dict[str, Any]:
        name, status = description[self.kind.name_field], self.kind.status(description)
        if status != "Completed":
            lines = last_log_lines(self.kind, name, self._client("logs"))
            raise failure_of(self.kind, description, self._pages(name), lines)
        result = self.result(context, description)
        self.log.info("%s completed: %s billable seconds", name, result.get("billable_seconds"))
        return result

    def _saved(self, description: Description) -> str:
        instance_type, count = instances(description)
        machines = f"{count} x {instance_type}" if count > 1 else instance_type or "its children"
        return f"{running_minutes(self.kind, description):.1f} min of {machines} not paid again"

    def _pages(self, name: str) -> dict[str, str]:
        return links.job_pages(self.kind, name, self.hook.conn)

    def _publish_links(self, context: Context, name: str, description: Description) -> None:
        context["ti"].xcom_push(key=links.XCOM_KEY, value=self._pages(name))


def redacted(value: Any) -> Any:
    """The request with the values of every Environment hidden: any of them may be a secret."""
    if isinstance(value, Mapping):
        return {
            key: dict.fromkeys(inner, "***") if key == "Environment" and isinstance(inner, Mapping) else redacted(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [redacted(inner) for inner in value]
    return value
