"""Processing and validation jobs: their results and reports, against stubbed clients."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.sdk.exceptions import AirflowFailException
from botocore.response import StreamingBody
from botocore.stub import Stubber

from sagemaker_jobs.kinds import PROCESSING
from sagemaker_jobs.names import job_name
from sagemaker_jobs.processing import LARGEST_RESULT, ProcessingJobOperator, ValidationJobOperator, VerdictOperator

from .conftest import REQUEST, FakeTaskInstance

Prepare = Callable[..., Any]
VERDICT = {"Bucket": "bucket", "Key": "runs/1/report/validation.json"}


def expect_completed(sagemaker: Stubber, ti: FakeTaskInstance, output: str = "s3://bucket/runs/1/report") -> None:
    """The job is already Completed, without a second attempt."""
    now = datetime.now(UTC)
    name = job_name(PROCESSING, ti, 1)
    written = {"S3Uri": output, "LocalPath": "/opt/ml/processing/output/report", "S3UploadMode": "EndOfJob"}
    sagemaker.add_response(
        "describe_processing_job",
        {
            "ProcessingJobName": name,
            "ProcessingJobArn": f"arn:aws:sagemaker:eu-west-1:123456789012:processing-job/{name}",
            "ProcessingJobStatus": "Completed",
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": written}]},
            "ProcessingResources": {"ClusterConfig": REQUEST["ResourceConfig"]},
            "AppSpecification": {"ImageUri": "image"},
            "CreationTime": now - timedelta(seconds=30),
            "ProcessingStartTime": now - timedelta(seconds=20),
            "ProcessingEndTime": now,
        },
        {"ProcessingJobName": name},
    )
    second = {"ProcessingJobName": job_name(PROCESSING, ti, 1, 2)}
    sagemaker.add_client_error("describe_processing_job", "ValidationException", expected_params=second)


def expect_files(s3: Stubber, *there: int) -> None:
    """The verdict and the page, looked up in this order: 1 means that it exists."""
    for count in there:
        s3.add_response("list_objects_v2", {"KeyCount": count})


def expect_verdict(s3: Stubber, text: str, files: int = 2) -> None:
    expect_files(s3, *[1] * files)
    content = text.encode()
    s3.add_response("get_object", {"Body": StreamingBody(io.BytesIO(content), len(content))}, VERDICT)


@pytest.fixture
def validate(prepare: Prepare, s3: Stubber) -> Any:
    operator = ValidationJobOperator(
        task_id="validate_raw_data",
        retries=2,
        request=lambda context: {},
        result_file=("report", "validation.json"),
        report_file=("report", "validation.html"),
    )
    return prepare(operator, s3=s3.client)


@pytest.mark.parametrize("output", ["s3://bucket/runs/1/report", "s3://bucket/runs/1/report/"])
def test_a_verdict_that_passed_goes_on(
    validate: Any, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber, output: str
) -> None:
    expect_completed(sagemaker, ti, output)
    expect_verdict(s3, '{"passed": true, "summary": "5 tables, 876100 rows"}')
    result = validate.execute({"ti": ti})
    assert result["result"] == {"passed": True, "summary": "5 tables, 876100 rows"}
    assert result["billable_seconds"] == 20
    links = ti.xcoms["sagemaker_links"]
    assert links["console"].endswith(f"/processing-jobs/{job_name(PROCESSING, ti, 1)}")
    assert links["report"] == result["report"]
    assert links["report"].endswith("prefix=runs/1/report/validation.html")


def test_a_verdict_that_did_not_pass_fails_at_once(
    validate: Any, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber
) -> None:
    expect_completed(sagemaker, ti)
    summary = "PdM_telemetry.csv: column pressure is missing"
    expect_verdict(s3, json.dumps({"passed": False, "summary": summary}))
    with pytest.raises(AirflowFailException, match=rf"^{summary}\n  full report: https://.*validation\.html$"):
        validate.execute({"ti": ti})


@pytest.fixture
def decide(s3: Stubber, sagemaker: Stubber, monkeypatch: pytest.MonkeyPatch) -> VerdictOperator:
    operator = VerdictOperator(
        task_id="validate_raw_data",
        jobs=[None, {"outputs": {"report": "s3://bucket/runs/1/report"}}],
        verdict_file=("report", "validation.json"),
        report_file=("report", "validation.html"),
    )
    monkeypatch.setattr(AwsBaseHook, "conn", property(lambda hook: s3.client))
    monkeypatch.setattr(operator, "hook", SimpleNamespace(conn=sagemaker.client), raising=False)
    return operator


def test_a_verdict_of_an_earlier_job_is_a_separate_decision(
    decide: VerdictOperator, ti: FakeTaskInstance, s3: Stubber
) -> None:
    expect_verdict(s3, '{"passed": true, "summary": "5 tables"}', files=0)
    found = decide.execute({"ti": ti})
    assert (found["passed"], found["summary"]) == (True, "5 tables")
    assert ti.xcoms["sagemaker_links"]["report"] == found["report"]
    assert found["report"].endswith("prefix=runs/1/report/validation.html")


def test_a_verdict_of_an_earlier_job_that_did_not_pass_keeps_its_button(
    decide: VerdictOperator, ti: FakeTaskInstance, s3: Stubber
) -> None:
    expect_verdict(s3, '{"passed": false, "summary": "a column is missing"}', files=0)
    with pytest.raises(AirflowFailException, match=r"^a column is missing\n  full report: https://.*validation\.html$"):
        decide.execute({"ti": ti})
    assert ti.xcoms["sagemaker_links"]["report"].endswith("validation.html")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", r"s3://bucket/runs/1/report/validation\.json is not valid JSON"),
        (json.dumps("ü" * (LARGEST_RESULT // 2 - 1) + "x", ensure_ascii=False), f"may have {LARGEST_RESULT} bytes"),
    ],
    ids=["no JSON", "a byte too long"],
)
def test_a_result_that_cannot_be_used_says_so(
    validate: Any, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber, text: str, said: str
) -> None:
    expect_completed(sagemaker, ti)
    expect_verdict(s3, text)
    with pytest.raises(AirflowFailException, match=said):
        validate.execute({"ti": ti})


def test_a_result_that_is_not_there_says_so(
    validate: Any, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber
) -> None:
    expect_completed(sagemaker, ti)
    expect_files(s3, 1, 1)
    s3.add_client_error("get_object", "NoSuchKey", "not there", 404, expected_params=VERDICT)
    said = r"the job completed, but its result s3://bucket/runs/1/report/validation\.json cannot be read: .*not there"
    with pytest.raises(AirflowFailException, match=said):
        validate.execute({"ti": ti})


def test_the_largest_result_is_taken(prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber) -> None:
    expect_completed(sagemaker, ti)
    expect_verdict(s3, json.dumps("x" * (LARGEST_RESULT - 2)), files=1)
    operator = ProcessingJobOperator(
        task_id="validate_raw_data", retries=2, request=lambda context: {}, result_file=("report", "validation.json")
    )
    assert prepare(operator, s3=s3.client).execute({"ti": ti})["result"] == "x" * (LARGEST_RESULT - 2)


def test_the_run_that_a_result_names_in_mlflow_is_a_button(
    prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber
) -> None:
    page = "https://mlflow.example.com/#/experiments/1/runs/2"
    expect_completed(sagemaker, ti)
    expect_verdict(s3, json.dumps({"mlflow_page": page}), files=1)
    operator = ProcessingJobOperator(
        task_id="evaluate_model", retries=2, request=lambda context: {}, result_file=("report", "validation.json")
    )
    prepare(operator, s3=s3.client).execute({"ti": ti})
    links = ti.xcoms["sagemaker_links"]
    assert links["mlflow"] == page
    assert links["console"]


def test_without_a_result_file_nothing_is_read(prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_completed(sagemaker, ti)
    build = prepare(ProcessingJobOperator(task_id="build_features", retries=2, request=lambda context: {}))
    result = build.execute({"ti": ti})
    assert "result" not in result
    assert "report" not in result
    assert result["outputs"] == {"report": "s3://bucket/runs/1/report"}
