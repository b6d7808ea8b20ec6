"""Operators for SageMaker jobs and model packages: thin subclasses of the Amazon provider's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerBaseOperator,
    SageMakerProcessingOperator,
    SageMakerTrainingOperator,
    SageMakerTuningOperator,
)
from airflow.sdk import BaseOperatorLink, Context
from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_jobs import links
from sagemaker_jobs.failures import JobLost, failure_of, is_absent, last_log_lines, reason_of, refused
from sagemaker_jobs.kinds import (
    PROCESSING,
    TRAINING,
    TUNING,
    Description,
    JobKind,
    compact,
    instances,
    longest_duration,
    running_minutes,
)
from sagemaker_jobs.names import client_token, generation, job_name
from sagemaker_jobs.triggers import JobTrigger
from sagemaker_jobs.waiting import SHORT_WAIT, SHORT_WAIT_STEP

Request = dict[str, Any]
RequestBuilder = Callable[..., Request]

LARGEST_RESULT = 64 * 1024  # bytes of JSON that may go into XCom
# SageMaker throttles Describe calls of a whole account together
PATIENT_CLIENT = {"retries": {"mode": "standard", "max_attempts": 10}}


class _SageMakerOperator(SageMakerBaseOperator):
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


class JobOperator(_SageMakerOperator):
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


class ProcessingJobOperator(JobOperator, SageMakerProcessingOperator):
    """A processing job.

    Args:
        result_file: ``(output name, file name)`` of a small JSON file that the job writes; its content becomes the
            result's ``result``.
        report_file: likewise, of a page for people; it becomes a button and the result's ``report``.
    """

    kind = PROCESSING
    operator_extra_links = (links.ConsoleLink(), links.LogsLink(), links.ReportLink())

    def __init__(
        self,
        *,
        result_file: tuple[str, str] | None = None,
        report_file: tuple[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.result_file = result_file
        self.report_file = report_file

    def result(self, context: Context, description: Description) -> dict[str, Any]:
        found = super().result(context, description)
        if self.report_file:
            found["report"] = links.file_page(_output_uri(found, self.report_file), self.hook.conn)
        if self.result_file:
            found["result"] = self._read_json(_output_uri(found, self.result_file))
        return found

    def _publish_links(self, context: Context, name: str, description: Description) -> None:
        pages = self._pages(name)
        if self.report_file:
            uri = _output_uri(compact(self.kind, description), self.report_file)
            pages["report"] = links.file_page(uri, self.hook.conn)
        context["ti"].xcom_push(key=links.XCOM_KEY, value=pages)

    def _read_json(self, uri: str) -> Any:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            text: str = self._client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        except ClientError as error:
            raise AirflowFailException(f"the job completed, but its result {uri} cannot be read: {error}") from error
        if len(text.encode()) > LARGEST_RESULT:
            raise AirflowFailException(f"{uri} has {len(text)} characters; a result may have {LARGEST_RESULT} bytes")
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise AirflowFailException(f"{uri} is no JSON: {error}") from error


class ValidationJobOperator(ProcessingJobOperator):
    """A processing job whose result is a verdict, ``{"passed": bool, "summary": text}``.

    Raises:
        AirflowFailException: it did not pass: the verdict's summary and where the whole page is. No retry can help.
    """

    def result(self, context: Context, description: Description) -> dict[str, Any]:
        found = super().result(context, description)
        verdict = found["result"]
        if not verdict["passed"]:
            raise AirflowFailException(f"{verdict['summary']}\n  whole report: {found.get('report')}")
        self.log.info("passed: %s", verdict["summary"])
        return found


class TrainingJobOperator(JobOperator, SageMakerTrainingOperator):
    """A training job; the result's ``artifact`` is its model.tar.gz."""

    kind = TRAINING


class TuningJobOperator(JobOperator, SageMakerTuningOperator):
    """A tuning job; the result is that of its best training job, with ``best_training_job`` and ``hyperparameters``."""

    kind = TUNING

    def result(self, context: Context, description: Description) -> dict[str, Any]:
        found = super().result(context, description)
        best = description.get("BestTrainingJob")
        if not best:
            raise AirflowFailException(f"tuning job {found['name']} completed, but none of its training jobs did")
        training = self.hook.conn.describe_training_job(TrainingJobName=best["TrainingJobName"])
        return {
            **found,
            "best_training_job": best["TrainingJobName"],
            "hyperparameters": training["HyperParameters"],
            **{name: value for name, value in compact(TRAINING, training).items() if name in ("artifact", "metrics")},
        }


class RegisterModelOperator(_SageMakerOperator):
    """Registers a model package; makes its group first where there is none. Retries find the same version again.

    Returns ``{"arn", "group", "version", "approval"}``; the same goes with the events of the task's outlets.

    Args:
        group: like ``request``, for the group: ``group(context)``.

    Raises:
        RequestRefused: SageMaker refuses the request; not retried.
    """

    def __init__(self, *, group: RequestBuilder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = group

    def execute(self, context: Context) -> dict[str, Any]:
        request = self._build_request(context)
        group = self.group(context)
        client = self.hook.conn
        try:
            self._ensure_group(client, group)
            arn = client.create_model_package(
                **request,
                ClientToken=client_token(context["ti"], self._generation(context)),
            )["ModelPackageArn"]
        except ClientError as error:
            raise refused(f"register a version of {group['ModelPackageGroupName']}", error) from error
        version = int(arn.rsplit("/", 1)[1])
        self.log.info("registered %s as version %d", arn, version)
        registered = {
            "arn": arn,
            "group": group["ModelPackageGroupName"],
            "version": version,
            "approval": request["ModelApprovalStatus"],
        }
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = registered
        return registered

    def _ensure_group(self, client: Any, group: Request) -> None:
        try:
            client.describe_model_package_group(ModelPackageGroupName=group["ModelPackageGroupName"])
        except ClientError as error:
            if not is_absent(error):
                raise
            client.create_model_package_group(**group)
            self.log.info("created model package group %s", group["ModelPackageGroupName"])


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


def _output_uri(found: Mapping[str, Any], file: tuple[str, str]) -> str:
    output, name = file
    return f"{found['outputs'][output].rstrip('/')}/{name}"
