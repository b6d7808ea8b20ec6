"""Operators for processing jobs."""

from __future__ import annotations

import json
from typing import Any

from airflow.providers.amazon.aws.operators.sagemaker import SageMakerProcessingOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_jobs import links
from sagemaker_jobs.base import JobOperator
from sagemaker_jobs.kinds import PROCESSING, Description, JobResult, compact

LARGEST_RESULT = 64 * 1024  # bytes of JSON that may go into XCom


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

    def result(self, context: Context, description: Description) -> JobResult:
        found = super().result(context, description)
        if self.report_file:
            found["report"] = links.file_page(_output_uri(found, self.report_file), self.client)
        if self.result_file:
            found["result"] = self._read_json(_output_uri(found, self.result_file))
        return found

    def _publish_links(self, context: Context, name: str, description: Description) -> None:
        pages = self._pages(name)
        if self.report_file:
            uri = _output_uri(compact(self.kind, description), self.report_file)
            pages["report"] = links.file_page(uri, self.client)
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
    """A processing job whose result is a verdict, ``{"passed": bool, "summary": text}``; of a job of several parts it
    has ``seconds``, by part, which the log shows.

    Raises:
        AirflowFailException: it did not pass: the verdict's summary and where the whole page is. No retry can help.
    """

    def result(self, context: Context, description: Description) -> JobResult:
        found = super().result(context, description)
        verdict = found["result"]
        for part, seconds in verdict.get("seconds", {}).items():
            self.log.info("  %-20s %7.2f s", part, seconds)
        if not verdict["passed"]:
            raise AirflowFailException(f"{verdict['summary']}\n  whole report: {found.get('report')}")
        self.log.info("passed: %s", verdict["summary"])
        return found


def _output_uri(found: JobResult, file: tuple[str, str]) -> str:
    output, name = file
    return f"{found['outputs'][output].rstrip('/')}/{name}"
