"""Job operators against stubbed clients: which calls are made, in which order, and what comes of the answers."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowTaskTerminated,
    AirflowTaskTimeout,
    TaskDeferralTimeout,
    TaskDeferred,
)
from botocore.exceptions import ClientError
from botocore.stub import ANY, Stubber

from sagemaker_jobs import operators
from sagemaker_jobs.failures import JobFailed, JobLost, NoCapacity, RequestRefused
from sagemaker_jobs.processing import ProcessingJobOperator, ValidationJobOperator
from sagemaker_jobs.registry import RegisterModelOperator
from sagemaker_jobs.training import TrainingJobOperator, TuningJobOperator

from .conftest import REQUEST, FakeTaskInstance, name_of, training_job

Prepare = Callable[..., Any]


@pytest.fixture
def ti() -> FakeTaskInstance:
    return FakeTaskInstance()


@pytest.fixture
def train(prepare: Prepare) -> TrainingJobOperator:
    return prepare(TrainingJobOperator(task_id="train_model", request=lambda context: REQUEST, retries=2))


def expect_absent(sagemaker: Stubber, name: str) -> None:
    sagemaker.add_client_error(
        "describe_training_job",
        "ValidationException",
        "Requested resource not found.",
        400,
        None,
        {"TrainingJobName": name},
    )


def expect_job(sagemaker: Stubber, name: str, status: str, **fields: Any) -> None:
    sagemaker.add_response("describe_training_job", training_job(name, status, **fields), {"TrainingJobName": name})


def expect_creation(sagemaker: Stubber, name: str) -> None:
    answer = {"TrainingJobArn": f"arn:aws:sagemaker:eu-west-1:123456789012:training-job/{name}"}
    sagemaker.add_response("create_training_job", answer, {**REQUEST, "TrainingJobName": name})


def test_absent_is_created_and_its_result_compact(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    name = name_of(ti)
    expect_absent(sagemaker, name)
    expect_creation(sagemaker, name)
    expect_job(sagemaker, name, "Completed", FinalMetricDataList=[{"MetricName": "validation:macro_f1", "Value": 0.5}])
    result = train.execute({"ti": ti})
    assert result["name"] == name
    assert result["artifact"] == f"s3://bucket/out/{name}/output/model.tar.gz"
    assert result["billable_seconds"] == 2460
    assert result["metrics"] == {"validation:macro_f1": pytest.approx(0.5)}
    assert datetime.fromisoformat(result["started"]).tzinfo
    assert len(json.dumps(result)) < 1000


def test_retry_attaches_to_a_running_job(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    ti.try_number = 2  # retries share max_tries, so the name is the same
    expect_job(sagemaker, name_of(ti), "InProgress")
    expect_absent(sagemaker, name_of(ti, 1, 2))
    with pytest.raises(TaskDeferred) as deferred:
        train.execute({"ti": ti})
    assert deferred.value.trigger.job == name_of(ti)
    log = capsys.readouterr().out
    assert f"re-attached to {name_of(ti)}" in log
    assert "41.0 min of ml.m5.large not paid again" in log


def test_a_job_that_finished_while_nobody_watched_is_taken(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    expect_job(sagemaker, name_of(ti), "Completed")
    expect_absent(sagemaker, name_of(ti, 1, 2))
    assert train.execute({"ti": ti})["name"] == name_of(ti)


@pytest.mark.parametrize("status", ["Failed", "Stopped", "Stopping"])
def test_after_a_failure_the_next_attempt_starts(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, status: str
) -> None:
    second = name_of(ti, 1, 2)
    expect_job(sagemaker, name_of(ti), status, FailureReason="CapacityError: none left")
    expect_absent(sagemaker, second)
    expect_creation(sagemaker, second)
    expect_job(sagemaker, second, "Completed")
    assert train.execute({"ti": ti})["name"] == second


def test_clearing_a_finished_task_runs_anew(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    ti.max_tries = 3  # Airflow: try number 1 + retries 2
    expect_job(sagemaker, name_of(ti), "Completed")
    expect_absent(sagemaker, name_of(ti, 1, 2))
    expect_absent(sagemaker, name_of(ti, 2))
    expect_creation(sagemaker, name_of(ti, 2))
    expect_job(sagemaker, name_of(ti, 2), "Completed")
    assert train.execute({"ti": ti})["name"] == name_of(ti, 2)


def test_clearing_a_task_whose_job_still_runs_attaches(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    ti.max_tries = 3
    expect_job(sagemaker, name_of(ti), "InProgress")
    expect_absent(sagemaker, name_of(ti, 1, 2))
    with pytest.raises(TaskDeferred) as deferred:
        train.execute({"ti": ti})
    assert deferred.value.trigger.job == name_of(ti)


def test_losing_the_race_to_create_attaches(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    name = name_of(ti)
    expect_absent(sagemaker, name)
    sagemaker.add_client_error("create_training_job", "ResourceInUse", "Training job names must be unique", 400)
    expect_job(sagemaker, name, "Completed")
    assert train.execute({"ti": ti})["name"] == name


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ValidationException", RequestRefused),
        ("AccessDeniedException", RequestRefused),
        ("ResourceLimitExceeded", JobLost),
    ],
)
def test_a_refused_request_is_retried_only_where_that_helps(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, code: str, expected: type[Exception]
) -> None:
    expect_absent(sagemaker, name_of(ti))
    sagemaker.add_client_error("create_training_job", code, "no", 400)
    with pytest.raises(expected) as failure:
        train.execute({"ti": ti})
    assert isinstance(failure.value, AirflowFailException) == (expected is RequestRefused)


def test_a_throttled_describe_is_no_absent_job(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    sagemaker.add_client_error("describe_training_job", "ThrottlingException", "Rate exceeded", 400)
    with pytest.raises(ClientError, match="Rate exceeded"):
        train.execute({"ti": ti})


def test_deferral_follows_the_jobs_own_limit(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    created = datetime.now(UTC)
    expect_job(sagemaker, name_of(ti), "InProgress", CreationTime=created)
    expect_absent(sagemaker, name_of(ti, 1, 2))
    with pytest.raises(TaskDeferred) as deferred:
        train.execute({"ti": ti})
    limit = timedelta(seconds=3600) + timedelta(hours=1)
    assert deferred.value.trigger.deadline == pytest.approx((created + limit).timestamp())
    assert deferred.value.timeout > limit
    assert deferred.value.method_name == "execute_complete"


def test_a_failure_says_why_and_where(train: Any, ti: FakeTaskInstance, sagemaker: Stubber, logs: Stubber) -> None:
    name = name_of(ti)
    expect_job(sagemaker, name, "Failed", FailureReason="AlgorithmError: column pressure is empty, exit code: 1")
    stream = {"logStreamName": f"{name}/algo-1-1"}
    logs.add_response("describe_log_streams", {"logStreams": [stream]})
    logs.add_response("get_log_events", {"events": [{"message": "Traceback\n"}, {"message": "KeyError: 'pressure'\n"}]})
    with pytest.raises(JobFailed) as failure:
        train.execute_complete({"ti": ti}, {"event": "over", "job": name, "message": "Failed"})
    message = str(failure.value)
    assert "column pressure is empty" in message
    assert f"sagemaker/home?region=eu-west-1#/jobs/{name}" in message
    assert "log-group/$252Faws$252Fsagemaker$252FTrainingJobs" in message
    assert "KeyError: 'pressure'" in message


def test_a_capacity_error_is_retried(train: Any, ti: FakeTaskInstance, sagemaker: Stubber, logs: Stubber) -> None:
    name = name_of(ti)
    expect_job(
        sagemaker, name, "Failed", FailureReason="CapacityError: Unable to provision requested ML compute capacity."
    )
    logs.add_client_error("describe_log_streams", "ResourceNotFoundException", "no such group")
    with pytest.raises(NoCapacity, match="the log could not be read"):
        train.execute_complete({"ti": ti}, {"event": "over", "job": name, "message": "Failed"})


def test_a_stopped_job_is_a_failure(train: Any, ti: FakeTaskInstance, sagemaker: Stubber, logs: Stubber) -> None:
    name = name_of(ti)
    expect_job(sagemaker, name, "Stopped", SecondaryStatus="MaxRuntimeExceeded")
    logs.add_response("describe_log_streams", {"logStreams": []})
    with pytest.raises(JobFailed, match="longer than its limit of 3600 s"):
        train.execute_complete({"ti": ti}, {"event": "over", "job": name, "message": "Stopped"})


def test_a_wait_that_was_given_up_stops_the_job_and_is_retried(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    expect_job(sagemaker, name_of(ti), "InProgress")
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    with pytest.raises(JobLost, match="It was stopped; a retry starts the next attempt"):
        train.execute_complete({"ti": ti}, {"event": "timeout", "job": name_of(ti), "message": "too long"})


def test_a_wait_that_was_given_up_leaves_the_job_by_policy(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    train.stop_on_kill = False
    expect_job(sagemaker, name_of(ti), "InProgress")
    with pytest.raises(JobLost, match="a retry attaches to it again"):
        train.execute_complete({"ti": ti}, {"event": "timeout", "job": name_of(ti), "message": "too long"})


def test_a_deferral_that_nobody_ends_stops_the_job(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_job(sagemaker, name_of(ti), "InProgress")
    expect_absent(sagemaker, name_of(ti, 1, 2))
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    with pytest.raises(JobLost, match="It was stopped") as failure:
        train.resume_execution("__fail__", {"error": "Trigger timeout"}, {"ti": ti})
    assert isinstance(failure.value.__cause__, TaskDeferralTimeout)


@pytest.mark.parametrize("state", ["failed", "success", "restarting", None])
def test_a_task_that_a_person_ended_stops_its_job(
    train: Any,
    ti: FakeTaskInstance,
    sagemaker: Stubber,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: str | None,
) -> None:
    monkeypatch.setattr(operators, "state_of", lambda task_instance: state)
    train._context, train._job = {"ti": ti}, name_of(ti)
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    train.on_kill()
    assert f"stopped {name_of(ti)}, as the task is {state or 'cleared'}" in capsys.readouterr().out


def test_a_worker_that_scales_in_leaves_the_job(
    train: Any, ti: FakeTaskInstance, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked_about: list[Any] = []
    monkeypatch.setattr(operators, "state_of", lambda task_instance: asked_about.append(task_instance) or "running")
    train._context, train._job = {"ti": ti}, name_of(ti)
    train.on_kill()
    assert asked_about == [ti]
    assert f"{name_of(ti)} goes on, and a retry finds it again" in capsys.readouterr().out
    assert not train._ended


def test_a_kill_leaves_the_job_by_policy(
    train: Any, ti: FakeTaskInstance, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(operators, "state_of", lambda task_instance: "failed")
    train._context, train._job, train.stop_on_kill = {"ti": ti}, name_of(ti), False
    train.on_kill()
    assert capsys.readouterr().out == ""
    assert not train._ended


def time_out() -> None:
    raise AirflowTaskTimeout


def test_a_task_that_timed_out_stops_its_job(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    train._context, train._job = {"ti": ti}, name_of(ti)
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    try:
        time_out()
    except AirflowTaskTimeout:
        train.on_kill()  # Airflow calls it where it catches the timeout


def test_a_job_whose_creation_is_on_its_way_is_stopped_too(
    train: Any,
    ti: FakeTaskInstance,
    sagemaker: Stubber,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(operators, "state_of", lambda task_instance: "failed")
    train._context, train._job = {"ti": ti}, name_of(ti)
    sagemaker.add_client_error("stop_training_job", "ValidationException", "not found", 400)
    expect_absent(sagemaker, name_of(ti))
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    train.on_kill()
    assert f"stopped {name_of(ti)}" in capsys.readouterr().out


def test_a_kill_before_the_job_is_created_keeps_it_from_being_created(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operators, "state_of", lambda task_instance: "failed")

    def killed_meanwhile(context: Any) -> dict[str, Any]:
        train.on_kill()
        return REQUEST

    train.request = killed_meanwhile
    expect_absent(sagemaker, name_of(ti))
    with pytest.raises(AirflowTaskTerminated):
        train.execute({"ti": ti})


def test_each_kind_of_job_has_a_pool_of_its_own(train: Any) -> None:
    assert train.pool == "sagemaker_training"
    other = TrainingJobOperator(task_id="t", request=lambda context: REQUEST, pool="gpu")
    assert other.pool == "gpu"


def test_the_request_is_logged_without_its_environment(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    expect_absent(sagemaker, name_of(ti))
    expect_creation(sagemaker, name_of(ti))
    expect_job(sagemaker, name_of(ti), "Completed")
    train.execute({"ti": ti})
    log = capsys.readouterr().out
    assert "SECRET" in log
    assert "hunter2" not in log
    assert "ml.m5.large" in log


def test_links_are_there_before_the_job_is_over(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_job(sagemaker, name_of(ti), "InProgress")
    expect_absent(sagemaker, name_of(ti, 1, 2))
    with pytest.raises(TaskDeferred):
        train.execute({"ti": ti})
    assert ti.xcoms["sagemaker_links"]["console"].endswith(name_of(ti))


class FakeS3:
    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - as boto3 spells it
        return {"Body": io.BytesIO(self.files[f"s3://{Bucket}/{Key}"].encode())}


def expect_processing(sagemaker: Stubber) -> None:
    """Completed already: found under whatever name, with no second attempt."""
    now = datetime.now(UTC)
    output = {
        "S3Uri": "s3://bucket/runs/1/report",
        "LocalPath": "/opt/ml/processing/output/report",
        "S3UploadMode": "EndOfJob",
    }
    sagemaker.add_response(
        "describe_processing_job",
        {
            "ProcessingJobName": "validate",
            "ProcessingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:processing-job/validate",
            "ProcessingJobStatus": "Completed",
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "report", "S3Output": output}]},
            "ProcessingResources": {"ClusterConfig": REQUEST["ResourceConfig"]},
            "AppSpecification": {"ImageUri": "image"},
            "CreationTime": now - timedelta(seconds=30),
            "ProcessingStartTime": now - timedelta(seconds=20),
            "ProcessingEndTime": now,
        },
        {"ProcessingJobName": ANY},
    )
    sagemaker.add_client_error("describe_processing_job", "ValidationException")


def validation(prepare: Prepare, verdict: str) -> Any:
    operator = ValidationJobOperator(
        task_id="validate_raw_data",
        retries=2,
        request=lambda context: {},
        result_file=("report", "validation.json"),
        report_file=("report", "validation.html"),
    )
    return prepare(operator, FakeS3({"s3://bucket/runs/1/report/validation.json": verdict}))


def test_a_verdict_that_passed_goes_on(prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_processing(sagemaker)
    result = validation(prepare, '{"passed": true, "summary": "5 tables, 876100 rows"}').execute({"ti": ti})
    assert result["result"]["passed"]
    assert result["billable_seconds"] == 20
    assert ti.xcoms["sagemaker_links"]["report"].endswith("prefix=runs/1/report/validation.html")


def test_a_verdict_that_did_not_pass_fails_at_once(prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_processing(sagemaker)
    summary = "PdM_telemetry.csv: column pressure is missing"
    operator = validation(prepare, json.dumps({"passed": False, "summary": summary}))
    with pytest.raises(AirflowFailException, match=summary) as failure:
        operator.execute({"ti": ti})
    assert "validation.html" in str(failure.value)


@pytest.mark.parametrize(("text", "said"), [("{", "is no JSON"), ('"' + "x" * 70_000 + '"', "may have 65536 bytes")])
def test_a_result_that_cannot_be_used_says_so(
    prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber, text: str, said: str
) -> None:
    expect_processing(sagemaker)
    with pytest.raises(AirflowFailException, match=said):
        validation(prepare, text).execute({"ti": ti})


def test_processing_without_result_file_reads_nothing(
    prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    expect_processing(sagemaker)
    result = prepare(ProcessingJobOperator(task_id="build_features", retries=2, request=lambda context: {})).execute(
        {"ti": ti}
    )
    assert "result" not in result
    assert result["outputs"] == {"report": "s3://bucket/runs/1/report"}


def tuning_job(**fields: Any) -> dict[str, Any]:
    counters = {"Completed": 0, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0}
    return {
        "HyperParameterTuningJobName": "tune",
        "HyperParameterTuningJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:hyper-parameter-tuning-job/tune",
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 8, "MaxParallelTrainingJobs": 2},
        },
        "HyperParameterTuningJobStatus": "Completed",
        "CreationTime": datetime.now(UTC),
        "TrainingJobStatusCounters": counters,
        "ObjectiveStatusCounters": {"Succeeded": 0, "Pending": 0, "Failed": 0},
        **fields,
    }


def test_tuning_hands_on_its_best_model(prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    best = {
        "TrainingJobName": "tune-003",
        "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/tune-003",
        "CreationTime": datetime.now(UTC),
        "TrainingJobStatus": "Completed",
        "TunedHyperParameters": {"learning_rate": "0.1"},
    }
    sagemaker.add_response("describe_hyper_parameter_tuning_job", tuning_job(BestTrainingJob=best))
    sagemaker.add_client_error("describe_hyper_parameter_tuning_job", "ResourceNotFound")
    expect_job(sagemaker, "tune-003", "Completed", HyperParameters={"learning_rate": "0.1"})
    tune = prepare(TuningJobOperator(task_id="tune_model", retries=2, request=lambda context: {}))
    result = tune.execute({"ti": ti})
    assert result["artifact"].endswith("/tune-003/output/model.tar.gz")
    assert result["hyperparameters"] == {"learning_rate": "0.1"}


GROUP = {"ModelPackageGroupName": "pumps"}
PACKAGE = {**GROUP, "ModelApprovalStatus": "PendingManualApproval"}
GROUP_ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/pumps"
PACKAGE_ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/pumps/7"


def test_registration_makes_the_group_and_is_idempotent(
    prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    operator = prepare(
        RegisterModelOperator(
            task_id="register_model", retries=2, group=lambda context: GROUP, request=lambda context: PACKAGE
        )
    )
    tokens = []
    sagemaker.client.meta.events.register(
        "provide-client-params.sagemaker.CreateModelPackage", lambda params, **_: tokens.append(params["ClientToken"])
    )
    sagemaker.add_client_error("describe_model_package_group", "ValidationException", "does not exist", 400)
    sagemaker.add_response("create_model_package_group", {"ModelPackageGroupArn": GROUP_ARN}, GROUP)
    sagemaker.add_response("create_model_package", {"ModelPackageArn": PACKAGE_ARN}, {**PACKAGE, "ClientToken": ANY})
    first = operator.execute({"ti": ti})
    group = {**GROUP, "ModelPackageGroupArn": GROUP_ARN, "CreationTime": datetime.now(UTC), "CreatedBy": {}}
    sagemaker.add_response("describe_model_package_group", {**group, "ModelPackageGroupStatus": "Completed"})
    sagemaker.add_response("create_model_package", {"ModelPackageArn": PACKAGE_ARN}, {**PACKAGE, "ClientToken": ANY})
    ti.try_number = 2
    assert operator.execute({"ti": ti}) == first
    assert first == {"arn": PACKAGE_ARN, "group": "pumps", "version": 7, "approval": "PendingManualApproval"}
    assert len(tokens) == 2
    assert len(set(tokens)) == 1
    assert len(tokens[0]) <= 36
