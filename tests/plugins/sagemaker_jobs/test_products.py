"""A completed job with missing output is started again, once, so that nothing continues from what a crash lost."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from sagemaker_jobs.failures import JobFailed
from sagemaker_jobs.kinds import PROCESSING
from sagemaker_jobs.names import job_name
from sagemaker_jobs.processing import ProcessingJobOperator, ValidationJobOperator
from sagemaker_jobs.products import absent, unanswered
from sagemaker_jobs.training import TrainingJobOperator

from .conftest import REQUEST, FakeTaskInstance, expect_absent, expect_creation, expect_job, name_of
from .test_processing import expect_completed

Prepare = Callable[..., Any]


@pytest.fixture
def train(prepare: Prepare, s3: Stubber) -> Any:
    operator = TrainingJobOperator(task_id="train_model", request=lambda context: REQUEST, retries=2)
    return prepare(operator, s3=s3.client)


def expect_artifact(s3: Stubber, name: str, *, there: bool) -> None:
    expected = {"Bucket": "bucket", "Prefix": f"out/{name}/output/model.tar.gz", "MaxKeys": 1}
    s3.add_response("list_objects_v2", {"KeyCount": int(there)}, expected)


def expect_attempts(sagemaker: Stubber, ti: FakeTaskInstance, *statuses: str) -> None:
    """In the order in which ``_last_attempt`` looks them up, to the first that does not exist."""
    for attempt, status in enumerate(statuses, 1):
        expect_job(sagemaker, name_of(ti, 1, attempt), status)
    expect_absent(sagemaker, name_of(ti, 1, len(statuses) + 1))


def test_a_job_without_its_output_is_started_again_and_says_so(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = name_of(ti), name_of(ti, 1, 2)
    expect_attempts(sagemaker, ti, "Completed")
    expect_artifact(s3, first, there=False)
    expect_attempts(sagemaker, ti, "Completed")
    expect_creation(sagemaker, second)
    expect_job(sagemaker, second, "Completed")
    expect_artifact(s3, second, there=True)
    assert train.execute({"ti": ti})["name"] == second
    said = f"{first} completed, but s3://bucket/out/{first}/output/model.tar.gz is missing; starting it again"
    assert said in capsys.readouterr().out


def test_it_is_waited_for_like_the_first_one(train: Any, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber) -> None:
    """The task that a trigger resumed may be the first to see a loss."""
    first, second = name_of(ti), name_of(ti, 1, 2)
    expect_job(sagemaker, first, "Completed")
    expect_artifact(s3, first, there=False)
    expect_attempts(sagemaker, ti, "Completed")
    expect_creation(sagemaker, second)
    expect_job(sagemaker, second, "InProgress")
    with pytest.raises(TaskDeferred) as deferred:
        train.execute_complete({"ti": ti}, {"event": "over", "job": first, "message": "Completed"})
    assert deferred.value.trigger.job == second


def test_a_job_that_leaves_nothing_twice_fails_for_good(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber
) -> None:
    first, second = name_of(ti), name_of(ti, 1, 2)
    expect_attempts(sagemaker, ti, "Completed", "Completed")
    expect_artifact(s3, second, there=False)
    expect_attempts(sagemaker, ti, "Completed", "Completed")
    expect_job(sagemaker, first, "Completed")
    with pytest.raises(
        JobFailed, match=f"{second} completed like {first} before it, and neither left s3://bucket/out/"
    ):
        train.execute({"ti": ti})


def test_an_attempt_that_failed_before_does_not_count(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber
) -> None:
    third = name_of(ti, 1, 3)
    expect_attempts(sagemaker, ti, "Failed", "Completed")
    expect_artifact(s3, name_of(ti, 1, 2), there=False)
    expect_attempts(sagemaker, ti, "Failed", "Completed")
    expect_job(sagemaker, name_of(ti), "Failed")
    expect_creation(sagemaker, third)
    expect_job(sagemaker, third, "Completed")
    expect_artifact(s3, third, there=True)
    assert train.execute({"ti": ti})["name"] == third


def test_of_a_job_from_before_the_task_was_cleared_the_next_generation_is_started(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber
) -> None:
    ti.max_tries = 3
    earlier, own = name_of(ti, 1), name_of(ti, 2)
    expect_job(sagemaker, earlier, "Completed")
    expect_artifact(s3, earlier, there=False)
    expect_absent(sagemaker, own)  # no job of this generation
    expect_attempts(sagemaker, ti, "Completed")  # no job of the previous generation runs
    expect_absent(sagemaker, own)
    expect_creation(sagemaker, own)
    expect_job(sagemaker, own, "Completed")
    expect_artifact(s3, own, there=True)
    event = {"event": "over", "job": earlier, "message": "Completed"}
    assert train.execute_complete({"ti": ti}, event)["name"] == own


def test_each_product_of_a_processing_job_is_looked_for(
    prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber
) -> None:
    names = ("metrics.json", "report.html", "evaluation.json")
    operator = ProcessingJobOperator(
        task_id="evaluate_model",
        request=lambda context: {},
        retries=2,
        result_file=("report", names[0]),
        report_file=("report", names[1]),
        products=[("report", names[2])],
    )
    expect_completed(sagemaker, ti)
    description = sagemaker.client.describe_processing_job(ProcessingJobName=job_name(PROCESSING, ti, 1))
    prepare(operator, s3=s3.client)
    for lost in names:
        for name in names[: max(2, names.index(lost) + 1)]:
            expected = {"Bucket": "bucket", "Prefix": f"runs/1/report/{name}", "MaxKeys": 1}
            s3.add_response("list_objects_v2", {"KeyCount": int(name != lost)}, expected)
        if lost == names[2]:
            s3.add_response("get_object", {"Body": StreamingBody(io.BytesIO(b"{}"), 2)})
        assert operator.missing(description) == [f"s3://bucket/runs/1/report/{lost}"]
    sagemaker._queue.clear()  # type: ignore[attr-defined] # of the second attempt nobody asks here


@pytest.mark.parametrize("passed", [True, False])
def test_a_validation_that_did_not_pass_leaves_no_tables(
    prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber, s3: Stubber, passed: bool
) -> None:
    operator = ValidationJobOperator(
        task_id="validate_raw_data",
        request=lambda context: {},
        result_file=("report", "validation.json"),
        products=[("report", "points.parquet")],
    )
    expect_completed(sagemaker, ti)
    description = sagemaker.client.describe_processing_job(ProcessingJobName=job_name(PROCESSING, ti, 1))
    for count in (1, 0):
        s3.add_response("list_objects_v2", {"KeyCount": count})
    content = json.dumps({"passed": passed, "summary": "."}).encode()
    s3.add_response("get_object", {"Body": StreamingBody(io.BytesIO(content), len(content))})
    lost = prepare(operator, s3=s3.client).missing(description)
    assert lost == (["s3://bucket/runs/1/report/points.parquet"] if passed else [])
    sagemaker._queue.clear()  # type: ignore[attr-defined]


def test_each_input_of_a_transform_has_its_answer(s3: Stubber) -> None:
    answered = {"Contents": [{"Key": f"out/{name}"} for name in ("a.csv.out", "c.csv.out")]}
    rows = {"Contents": [{"Key": f"in/{name}"} for name in ("a.csv", "b.csv", "c.csv")]}
    s3.add_response("list_objects_v2", answered, {"Bucket": "bucket", "Prefix": "out"})
    s3.add_response("list_objects_v2", rows, {"Bucket": "bucket", "Prefix": "in/"})
    assert unanswered(s3.client, "s3://bucket/in/", "s3://bucket/out") == ["b.csv"]


def test_what_this_role_may_not_see_is_not_called_lost(s3: Stubber) -> None:
    for _ in range(2):
        s3.add_client_error("list_objects_v2", "AccessDenied", "no", 403)
    assert absent(s3.client, ["s3://bucket/a"]) == []
    assert unanswered(s3.client, "s3://bucket/in/", "s3://bucket/out") == []
    s3.add_client_error("list_objects_v2", "SlowDown", "later", 503)
    with pytest.raises(ClientError):
        absent(s3.client, ["s3://bucket/a"])
    s3.add_client_error("list_objects_v2", "SlowDown", "later", 503)
    with pytest.raises(ClientError):
        unanswered(s3.client, "s3://bucket/in/", "s3://bucket/out")
