"""Job operators against stubbed clients: the calls, their order, and what follows from the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    TaskDeferred,
)
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from sagemaker_jobs import base
from sagemaker_jobs.base import redacted
from sagemaker_jobs.failures import JobFailed, JobLost, NoCapacity, RequestRefused
from sagemaker_jobs.training import TrainingJobOperator
from sagemaker_jobs.waiting import SHORT_WAIT_STEP

from .conftest import REQUEST, FakeTaskInstance, expect_absent, expect_creation, expect_job, name_of

Prepare = Callable[..., Any]
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:training-job"


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
    assert "41.0 min of ml.m5.large not paid for again" in log


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


def test_clearing_a_finished_task_runs_again(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
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
    with pytest.raises(expected, match=f"refused to create training job {name_of(ti)}: .*no") as failure:
        train.execute({"ti": ti})
    assert isinstance(failure.value, AirflowFailException) == (expected is RequestRefused)


def test_a_throttled_describe_is_not_an_absent_job(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
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
    asked = {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamNamePrefix": f"{name}/", "limit": 5}
    logs.add_response("describe_log_streams", {"logStreams": [stream]}, asked)
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


def test_each_kind_of_job_has_its_own_pool(train: Any) -> None:
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


def test_context_and_arguments_reach_the_request(prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    def request(context: Any, *, window: str) -> dict[str, Any]:
        return {**REQUEST, "Tags": [{"Key": context["ti"].run_id, "Value": window}]}

    name = name_of(ti)
    expect_absent(sagemaker, name)
    asked = {**REQUEST, "Tags": [{"Key": ti.run_id, "Value": "June"}], "TrainingJobName": name}
    sagemaker.add_response("create_training_job", {"TrainingJobArn": f"{ARN}/{name}"}, asked)
    expect_job(sagemaker, name, "Completed")
    train = TrainingJobOperator(task_id="train_model", request=request, request_kwargs={"window": "June"}, retries=2)
    assert prepare(train).execute({"ti": ti})["name"] == name


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A short wait of one second, in which only sleeping takes time."""
    slept: list[float] = []
    monkeypatch.setattr(base, "JOB_WAIT", 1.0)
    monkeypatch.setattr(base.time, "sleep", slept.append)
    monkeypatch.setattr(base.time, "monotonic", lambda: 100 + sum(slept))
    return slept


def test_a_job_of_seconds_is_awaited_without_a_deferral(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, clock: list[float]
) -> None:
    name = name_of(ti)
    expect_absent(sagemaker, name)
    expect_creation(sagemaker, name)
    expect_job(sagemaker, name, "InProgress")
    expect_job(sagemaker, name, "Completed")
    assert train.execute({"ti": ti})["status"] == "Completed"
    assert clock == [SHORT_WAIT_STEP]


def test_a_job_that_takes_longer_is_deferred_after_the_short_wait(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, clock: list[float]
) -> None:
    name = name_of(ti)
    expect_absent(sagemaker, name)
    expect_creation(sagemaker, name)
    expect_job(sagemaker, name, "InProgress")
    expect_absent(sagemaker, name)  # AWS's lists and descriptions lag behind: what was known counts
    expect_job(sagemaker, name, "InProgress")
    with pytest.raises(TaskDeferred):
        train.execute({"ti": ti})
    assert clock == [SHORT_WAIT_STEP] * 2


def test_the_trigger_asks_as_the_operator_does(prepare: Prepare, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    created = datetime.now(UTC) - timedelta(minutes=5)
    expect_job(sagemaker, name_of(ti), "InProgress", CreationTime=created)
    expect_absent(sagemaker, name_of(ti, 1, 2))
    own = {"aws_conn_id": "own", "region_name": "eu-west-1", "verify": False, "botocore_config": {"read_timeout": 5}}
    train = TrainingJobOperator(
        task_id="train_model", request=lambda context: REQUEST, retries=2, stop_on_kill=False, **own
    )
    with pytest.raises(TaskDeferred) as deferred:
        prepare(train).execute({"ti": ti})
    assert deferred.value.trigger.serialize()[1] == {
        "kind": "training",
        "job": name_of(ti),
        "since": created.timestamp(),
        "deadline": (created + timedelta(hours=2)).timestamp(),
        "stop_on_kill": False,
        **own,
    }


def test_a_job_beyond_its_own_limit_is_not_waited_for(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_job(sagemaker, name_of(ti), "InProgress", CreationTime=datetime.now(UTC) - timedelta(hours=2, minutes=1))
    expect_absent(sagemaker, name_of(ti, 1, 2))
    with pytest.raises(JobLost, match=f"{name_of(ti)} has outlived its own runtime limit, since 20"):
        train.execute({"ti": ti})


def test_what_is_created_and_not_found_is_retried(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_absent(sagemaker, name_of(ti))
    expect_creation(sagemaker, name_of(ti))
    expect_absent(sagemaker, name_of(ti))
    with pytest.raises(JobLost, match=f"{name_of(ti)} was created but cannot be found; a retry looks again"):
        train.execute({"ti": ti})


def test_a_task_resumed_without_an_event_is_retried(train: Any, ti: FakeTaskInstance) -> None:
    with pytest.raises(JobLost, match="resumed without an event; a retry finds the job again"):
        train.execute_complete({"ti": ti}, None)


def test_a_job_that_is_gone_is_started_again_by_a_retry(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_absent(sagemaker, name_of(ti))
    with pytest.raises(JobLost, match=rf"{name_of(ti)} is gone: no such job\. A retry starts it again"):
        train.execute_complete({"ti": ti}, {"event": "error", "job": name_of(ti), "message": "no such job"})


def test_a_job_that_cannot_be_described_goes_on_and_is_attached_to_by_a_retry(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    expect_job(sagemaker, name_of(ti), "InProgress")
    said = (
        rf"gave up waiting for .* {name_of(ti)}, which is InProgress: denied\. A retry attaches .*#/jobs/{name_of(ti)}"
    )
    with pytest.raises(JobLost, match=said):
        train.execute_complete({"ti": ti}, {"event": "error", "job": name_of(ti), "message": "denied"})


def test_a_job_that_ended_after_its_time_was_up_counts(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_job(sagemaker, name_of(ti), "Completed")
    result = train.execute_complete({"ti": ti}, {"event": "timeout", "job": name_of(ti), "message": "too long"})
    assert result["name"] == name_of(ti)
    assert ti.xcoms["sagemaker_links"]["console"].endswith(name_of(ti))


def test_of_three_generations_the_one_that_runs_is_found(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    ti.max_tries = 4  # the third generation
    expect_job(sagemaker, name_of(ti, 2), "Failed")
    expect_absent(sagemaker, name_of(ti, 2, 2))
    expect_job(sagemaker, name_of(ti, 1), "InProgress")
    expect_absent(sagemaker, name_of(ti, 1, 2))
    with pytest.raises(TaskDeferred) as deferred:
        train.execute({"ti": ti})
    assert deferred.value.trigger.job == name_of(ti, 1)


def test_what_is_not_paid_again_is_said_of_all_instances(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    two = {**REQUEST["ResourceConfig"], "InstanceCount": 2}
    expect_job(sagemaker, name_of(ti), "Completed", ResourceConfig=two)
    expect_absent(sagemaker, name_of(ti, 1, 2))
    train.execute({"ti": ti})
    assert "41.0 min of 2 x ml.m5.large not paid for again" in capsys.readouterr().out


def test_environments_are_hidden_wherever_they_are() -> None:
    request = {"Containers": [{"Image": "i", "Environment": {"KEY": "secret"}}], "Environment": "not a mapping"}
    assert redacted(request) == {
        "Containers": [{"Image": "i", "Environment": {"KEY": "***"}}],
        "Environment": "not a mapping",
    }
