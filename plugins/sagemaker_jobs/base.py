"""What all SageMaker operators share: a function builds the request, and a job runs once, however often workers die.
The operators for each kind of job are in their own modules, as subclasses of the Amazon provider's."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerBaseOperator
from airflow.sdk import Context, RetryPolicy
from airflow.sdk.exceptions import AirflowTaskTerminated, AirflowTaskTimeout, TaskDeferralTimeout
from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_jobs import links
from sagemaker_jobs.account import pool_of
from sagemaker_jobs.failures import JobFailed, JobLost, failure_of, is_absent, last_log_lines, reason_of, refused
from sagemaker_jobs.kinds import (
    Description,
    JobKind,
    JobResult,
    Json,
    Request,
    compact,
    in_words,
    instances,
    longest_duration,
    running_minutes,
)
from sagemaker_jobs.names import generation, job_name
from sagemaker_jobs.retries import SageMakerRetryPolicy
from sagemaker_jobs.stopping import state_of, stop
from sagemaker_jobs.triggers import JobTrigger
from sagemaker_jobs.waiting import JOB_WAIT, SHORT_WAIT_STEP

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol as RuntimeTaskInstance
    from types_boto3_sagemaker import SageMakerClient

RequestBuilder = Callable[..., Request]

# SageMaker throttles the whole account; standard mode backs off exponentially, with jitter
PATIENT_CLIENT = {"retries": {"mode": "standard", "max_attempts": 10}}
KILL_SECONDS = 4.5  # Airflow kills a task's process five seconds after asking it to end


class RequestOperator(SageMakerBaseOperator):
    """A provider's operator whose request a function builds when the task runs.

    Args:
        request: called as ``request(context, **request_kwargs)``; returns the request without names and tokens.
        request_kwargs: templated; may hold XComArgs.
        retry_policy: which failures are retried, and when.
    """

    template_fields: Sequence[str] = ("aws_conn_id", "region_name", "request_kwargs", "verify")

    def __init__(
        self,
        *,
        request: RequestBuilder,
        request_kwargs: Json | None = None,
        retry_policy: RetryPolicy | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("botocore_config", PATIENT_CLIENT)
        super().__init__(config={}, retry_policy=retry_policy or SageMakerRetryPolicy(), **kwargs)
        self.request = request
        self.request_kwargs = dict(request_kwargs or {})

    def _build_request(self, context: Context) -> Request:
        request = self.request(context, **self.request_kwargs)
        self.log.info("::group::the request to SageMaker")  # Airflow's page of the log folds it
        self.log.info("%s", json.dumps(redacted(request), indent=2, default=str))
        self.log.info("::endgroup::")
        return request

    @property
    def client(self) -> SageMakerClient:
        """The boto3 SageMaker client, with the operator's connection and region."""
        return cast("SageMakerClient", self.hook.conn)

    def _client(self, service: str) -> Any:
        """A boto3 client of another service, with the operator's own connection and region."""
        return AwsBaseHook(client_type=service, **self._hook_parameters).conn

    def _generation(self, context: Context) -> int:
        return generation(context["ti"], self.retries or 0)


class JobOperator(RequestOperator):
    """Runs a job to its end, once per generation of the task, however often workers die.

    The job is looked up by its name first. If it is absent, it is created; in progress, attached to; completed, its
    result is taken; failed or stopped, the next attempt starts. A completed job whose output is missing is also started
    again, but only once: a job that leaves nothing the second time never will. All but the first seconds of the wait
    are deferred. Returns ``kinds.compact`` of the job.

    Args:
        stop_on_kill: stop the job when someone ends the task or its run, or when the task times out. The job continues,
            to be found again, when only a worker or a triggerer ends. If a task is ended while no triggerer runs, its
            job cannot be stopped and runs to its own limit.
        pool: by default one for each kind of job, see ``account.yaml``.

    Raises:
        JobFailed: the job itself failed, was stopped, or left no output twice; not retried.
        JobLost: SageMaker had no capacity or failed; retried.
        RequestRefused: SageMaker refuses the request; not retried.
    """

    kind: ClassVar[JobKind]
    # Any, because one of the provider's operators narrows the type to a link of its own
    operator_extra_links: Any = (links.ConsoleLink(), links.LogsLink())

    triggerer_may_be_away: ClassVar[timedelta] = timedelta(minutes=10)

    def __init__(self, *, stop_on_kill: bool = True, pool: str | None = None, **kwargs: Any) -> None:
        super().__init__(pool=pool or pool_of(self.kind.word), **kwargs)
        self.stop_on_kill = stop_on_kill
        self._context: Context | None = None
        self._job: str | None = None  # the job that this process waits for
        self._ended = False  # someone ended the task: nothing may be started any more

    def execute(self, context: Context) -> Json:
        self._context = context
        return self._run(context)

    def _run(self, context: Context) -> Json:
        return self._follow(context, *self._find_or_create(context))

    def _follow(self, context: Context, name: str, description: Description) -> Json:
        self._job = name
        self._publish_links(context, name, description)
        description = self._wait_briefly(name, description)
        if not self.kind.is_over(description):
            self._defer(name, description)
        return {**self._settle(context, description)}

    def execute_complete(self, context: Context, event: dict[str, str] | None = None) -> Json:
        if event is None:
            raise JobLost("the task was resumed without an event; a retry finds the job again")
        name = event["job"]
        description = self._describe(name)
        if description is None:
            raise JobLost(
                f"SageMaker {self.kind.word} job {name} is gone: {event['message']}. A retry starts it again."
            )
        self._publish_links(context, name, description)
        if event["event"] == "timeout" and not self.kind.is_over(description):
            raise self._outlived(name, event["message"])
        if not self.kind.is_over(description):
            raise JobLost(
                f"gave up waiting for SageMaker {self.kind.word} job {name}, which is {self.kind.status(description)}: "
                f"{event['message']}. A retry attaches to it again. {self._pages(name)['console']}"
            )
        return {**self._settle(context, description)}

    def resume_execution(self, next_method: str, next_kwargs: Json | None, context: Context) -> Any:
        """Airflow's way back into a deferred task; overridden only to stop a job that waited too long.

        The trigger keeps the deadline itself; this runs if the trigger was too late, or there was no triggerer.
        """
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout as error:
            if running := self._running(context, self._generation(context)):
                raise self._outlived(running[0], "no triggerer watched it in time") from error
            raise

    def on_kill(self) -> None:
        """Stop the job, unless the task continues elsewhere: Airflow calls this when a worker scales in, too.

        It runs in a signal handler, when the task may hold locks, so the work is done in a thread.
        """
        if not self.stop_on_kill or self._context is None:
            return
        timed_out = isinstance(sys.exception(), AirflowTaskTimeout)  # Airflow calls this where it catches that
        stopping = threading.Thread(target=self._stop_if_ended, args=(self._context["ti"], timed_out))
        stopping.start()
        stopping.join(KILL_SECONDS)

    def longest_duration(self, description: Description) -> timedelta:
        """How long after its creation the job is given up: by default, its own limits."""
        return longest_duration(description)

    def result(self, context: Context, description: Description) -> JobResult:
        """The result of a completed job; subclasses add to it."""
        return compact(self.kind, description)

    def missing(self, description: Description) -> list[str]:
        """URIs that a completed job should have written but did not; subclasses define them."""
        return []

    def _stop_if_ended(self, task_instance: RuntimeTaskInstance, timed_out: bool) -> None:
        try:
            state = "timed out" if timed_out else state_of(task_instance)
            if state == "running":
                self.log.info("this worker was asked to end; %s continues, and a retry finds it again", self._job)
                return
            self._ended = True
            if self._job and stop(self.kind, self._job, self.client, until=time.monotonic() + 3):
                self.log.warning("stopped %s, as the task is %s", self._job, state or "cleared")
        except Exception:
            # whatever the error, whoever ended the task must learn that the job may go on
            self.log.exception("%s could not be stopped and may go on: %s", self._job, self._pages(self._job or ""))

    def _outlived(self, name: str, why: str) -> JobLost:
        """Stops, if configured, a job that took too long. Returns the exception to raise."""
        message = f"gave up waiting for SageMaker {self.kind.word} job {name}: {why}. "
        if not self.stop_on_kill:
            return JobLost(f"{message}It continues; a retry attaches to it again. {self._pages(name)['console']}")
        try:
            stop(self.kind, name, self.client)
        except (ClientError, BotoCoreError) as error:
            return JobLost(f"{message}It could not be stopped and continues: {error}. {self._pages(name)['console']}")
        return JobLost(f"{message}It was stopped; a retry starts the next attempt. {self._pages(name)['console']}")

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

    def _running(self, context: Context, current: int) -> tuple[str, Description] | None:
        """The task's running job, of this generation or an earlier one."""
        _, last = self._last_attempt(context, current)
        if last is not None and self.kind.status(last) == "InProgress":
            return last[self.kind.name_field], last
        return self._running_before(context, current)

    def _running_before(self, context: Context, current: int) -> tuple[str, Description] | None:
        """A running job of an earlier generation: a task cleared meanwhile attaches to it instead of paying twice."""
        for earlier in range(current - 1, 0, -1):
            _, last = self._last_attempt(context, earlier)
            if last is not None and self.kind.status(last) == "InProgress":
                name = last[self.kind.name_field]
                self.log.info("re-attached to %s, started before the task was cleared; %s", name, self._saved(last))
                return name, last
        return None

    def _last_attempt(self, context: Context, of_generation: int) -> tuple[int, Description | None]:
        """The newest attempt of a generation and its description; 0 and None if there is none."""
        attempt, last = 0, None
        while True:
            name = job_name(self.kind, context["ti"], of_generation, attempt + 1)
            description = self._describe(name)
            if description is None:
                return attempt, last
            attempt, last = attempt + 1, description

    def _create(self, context: Context, name: str) -> tuple[str, Description]:
        request = {**self._build_request(context), self.kind.name_field: name}
        self._job = name  # from here on a kill has something to stop
        if self._ended:
            raise AirflowTaskTerminated(f"the task was ended; {name} is not started")
        try:
            getattr(self.client, f"create_{self.kind.api}")(**request)
            self.log.info("created %s job %s: %s", self.kind.word, name, self._pages(name)["console"])
        except ClientError as error:
            # another process of this task was quicker, or the answer was lost: the job is ours anyway
            if error.response.get("Error", {}).get("Code") != "ResourceInUse":
                raise refused(f"create {self.kind.word} job {name}", error) from error
            self.log.info("%s exists already; attached to it", name)
        description = self._describe(name)
        if description is None:
            raise JobLost(f"SageMaker {self.kind.word} job {name} was created but cannot be found; a retry looks again")
        return name, description

    def _describe(self, name: str) -> Description | None:
        try:
            description: Description = getattr(self.client, f"describe_{self.kind.api}")(**{self.kind.name_field: name})
        except ClientError as error:
            if is_absent(error):
                return None
            raise
        return description

    def _wait_briefly(self, name: str, description: Description) -> Description:
        until = time.monotonic() + JOB_WAIT
        while not self.kind.is_over(description) and time.monotonic() < until:
            time.sleep(SHORT_WAIT_STEP)
            description = self._describe(name) or description
        return description

    def _defer(self, name: str, description: Description) -> None:
        created = description["CreationTime"]
        deadline = created + self.longest_duration(description)
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
                stop_on_kill=self.stop_on_kill,
            ),
            method_name="execute_complete",
            # the trigger keeps the deadline and reports it; this one is for when no triggerer runs
            timeout=deadline - datetime.now(UTC) + self.triggerer_may_be_away,
        )

    def _settle(self, context: Context, description: Description) -> Json | JobResult:
        name, status = description[self.kind.name_field], self.kind.status(description)
        if status != "Completed":
            lines = last_log_lines(self._client("logs"), self.kind.log_group, logStreamNamePrefix=f"{name}/", limit=5)
            failure = failure_of(self.kind, description, self._pages(name), lines)
            failure.job = compact(self.kind, description)  # type: ignore[attr-defined] # it was paid for, too
            raise failure
        if lost := self.missing(description):
            return self._start_again(context, name, lost)
        result = self.result(context, description)
        for line in in_words(result, self._pages(name)):
            self.log.info("%s", line)
        return result

    def _start_again(self, context: Context, name: str, lost: list[str]) -> Json:
        """Starts the next attempt of a job that completed without its output.

        Raises:
            JobFailed: this happened twice in a row.
        """
        current = self._generation(context)
        attempt, last = self._last_attempt(context, current)
        before = self._describe(job_name(self.kind, context["ti"], current, attempt - 1)) if attempt > 1 else None
        if before is not None and self.kind.status(before) == "Completed":
            raise JobFailed(
                f"SageMaker {self.kind.word} job {name} completed like {before[self.kind.name_field]} before it, and "
                f"neither left {', '.join(lost)}. Check whether its program writes that, and whether something deletes "
                "it (a lifecycle rule of the bucket, someone); then clear the task."
            )
        self.log.warning("%s completed, but %s is missing; starting it again", name, ", ".join(lost))
        if last is None or last[self.kind.name_field] != name:
            return self._run(context)  # it was started before the task was cleared
        return self._follow(context, *self._create(context, job_name(self.kind, context["ti"], current, attempt + 1)))

    def _saved(self, description: Description) -> str:
        instance_type, count = instances(description)
        machines = f"{count} x {instance_type}" if count > 1 else instance_type or "its children"
        return f"{running_minutes(self.kind, description):.1f} min of {machines} not paid for again"

    def _pages(self, name: str) -> dict[str, str]:
        return links.job_pages(self.kind, name, self.client)

    def _publish_links(self, context: Context, name: str, description: Description) -> None:
        context["ti"].xcom_push(key=links.XCOM_KEY, value=self._pages(name))


def redacted(value: object) -> object:
    """The request with all Environment values masked: any of them may be a secret."""
    if isinstance(value, Mapping):
        return {
            key: dict.fromkeys(inner, "***") if key == "Environment" and isinstance(inner, Mapping) else redacted(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [redacted(inner) for inner in value]
    return value
