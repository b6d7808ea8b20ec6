"""Operators for processing jobs, and for the verdicts that they write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerBaseOperator, SageMakerProcessingOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_jobs import links
from sagemaker_jobs.base import JobOperator
from sagemaker_jobs.kinds import PROCESSING, Description, JobResult, Json, compact
from sagemaker_jobs.products import absent

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker import SageMakerClient

LARGEST_RESULT = 64 * 1024  # bytes of JSON that fit into XCom


class ProcessingJobOperator(JobOperator, SageMakerProcessingOperator):
    """A processing job.

    Args:
        result_file: ``(output name, file name)`` of a small JSON file that the job writes; its content becomes the
            result's ``result``, and the address in its ``mlflow_page``, if it has one, a button.
        report_file: likewise, of an HTML report; it becomes a button and the result's ``report``.
        products: likewise, of further files that later tasks need. If the result is a verdict, they exist only if it
            passed.
    """

    kind = PROCESSING
    operator_extra_links = (links.ConsoleLink(), links.LogsLink(), links.ReportLink(), links.MlflowLink())

    def __init__(
        self,
        *,
        result_file: tuple[str, str] | None = None,
        report_file: tuple[str, str] | None = None,
        products: Sequence[tuple[str, str]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.result_file = result_file
        self.report_file = report_file
        self.products = tuple(products)

    def missing(self, description: Description) -> list[str]:
        s3 = self._client("s3")
        for_all = [self._uri(description, file) for file in (self.result_file, self.report_file) if file]
        if lost := absent(s3, for_all):
            return lost
        if lost := absent(s3, [self._uri(description, file) for file in self.products]):
            verdict = _read_json(s3, self._uri(description, self.result_file)) if self.result_file else {}
            return lost if verdict.get("passed", True) else []
        return []

    def _uri(self, description: Description, file: tuple[str, str]) -> str:
        return _output_uri(compact(self.kind, description), file)

    def result(self, context: Context, description: Description) -> JobResult:
        found = super().result(context, description)
        if self.report_file:
            found["report"] = links.file_page(_output_uri(found, self.report_file), self.client)
        if self.result_file:
            found["result"] = _read_json(self._client("s3"), _output_uri(found, self.result_file))
            if isinstance(found["result"], dict) and (page := found["result"].get("mlflow_page")):
                self._publish_links(context, found["name"], description, {"mlflow": page})
        return found

    def _publish_links(
        self, context: Context, name: str, description: Description, more: Mapping[str, str] | None = None
    ) -> None:
        pages = {**self._pages(name), **(more or {})}
        if self.report_file:
            pages["report"] = links.file_page(self._uri(description, self.report_file), self.client)
        context["ti"].xcom_push(key=links.XCOM_KEY, value=pages)


class ValidationJobOperator(ProcessingJobOperator):
    """A processing job whose result is a verdict, ``{"passed": bool, "summary": text}``. A job of several parts also
    writes ``seconds`` by part, which the log shows.

    Raises:
        AirflowFailException: the verdict failed; the message has its summary and a link to the report. Not retried.
    """

    def result(self, context: Context, description: Description) -> JobResult:
        found = super().result(context, description)
        for part, seconds in found["result"].get("seconds", {}).items():
            self.log.info("  %-20s %7.2f s", part, seconds)
        _require_passed(found["result"], found.get("report"))
        self.log.info("passed: %s", found["result"]["summary"])
        return found


class VerdictOperator(SageMakerBaseOperator):
    """Checks one of the verdicts, ``{"passed": bool, "summary": text}``, that an earlier job wrote.

    Returns the verdict, with the address of its report as ``report``. So the verdicts of one job appear as separate
    tasks, each with a button to its report.

    Args:
        jobs: the results of the jobs that may have written it, one of which has run.
        verdict_file: ``(output name, file name)`` of the verdict among the job's outputs.
        report_file: likewise, of its report.

    Raises:
        AirflowFailException: the verdict failed, as ``ValidationJobOperator``.
    """

    template_fields: Sequence[str] = ("aws_conn_id", "region_name", "jobs", "verify")
    operator_extra_links: Any = (links.ReportLink(),)

    def __init__(
        self, *, jobs: Any, verdict_file: tuple[str, str], report_file: tuple[str, str], **kwargs: Any
    ) -> None:
        super().__init__(config={}, **kwargs)
        self.jobs = jobs
        self.verdict_file = verdict_file
        self.report_file = report_file

    def execute(self, context: Context) -> Json:
        job: JobResult = next(job for job in self.jobs if job)
        report = links.file_page(_output_uri(job, self.report_file), cast("SageMakerClient", self.hook.conn))
        context["ti"].xcom_push(key=links.XCOM_KEY, value={"report": report})
        s3 = AwsBaseHook(client_type="s3", **self._hook_parameters).conn
        verdict: Json = _read_json(s3, _output_uri(job, self.verdict_file))
        _require_passed(verdict, report)
        self.log.info("passed: %s", verdict["summary"])
        return {**verdict, "report": report}


def _require_passed(verdict: Json, report: str | None) -> None:
    if not verdict["passed"]:
        raise AirflowFailException(f"{verdict['summary']}\n  full report: {report}")


def _read_json(s3: S3Client, uri: str) -> Any:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        text: str = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    except ClientError as error:
        raise AirflowFailException(
            f"the job completed, but its result {uri} cannot be read: {error}. If someone deleted it, clear the job's "
            "task: it is started again"
        ) from error
    if len(text.encode()) > LARGEST_RESULT:
        raise AirflowFailException(
            f"{uri} has {len(text)} characters; a result may have {LARGEST_RESULT} bytes at most"
        )
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise AirflowFailException(f"{uri} is not valid JSON: {error}") from error


def _output_uri(found: JobResult, file: tuple[str, str]) -> str:
    output, name = file
    return f"{found['outputs'][output].rstrip('/')}/{name}"
