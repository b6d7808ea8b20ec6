"""What happens to a job when its task is killed, times out, or has waited long enough."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTerminated, AirflowTaskTimeout, TaskDeferralTimeout, TaskDeferred
from botocore.stub import Stubber

from sagemaker_jobs import base
from sagemaker_jobs.failures import JobLost

from .conftest import REQUEST, FakeTaskInstance, expect_absent, expect_creation, expect_job, name_of


def test_a_wait_that_was_given_up_stops_the_job_and_is_retried(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    expect_job(sagemaker, name_of(ti), "InProgress")
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    said = rf"job {name_of(ti)}: too long\. It was stopped; a retry starts the next attempt\. .*#/jobs/{name_of(ti)}$"
    with pytest.raises(JobLost, match=said):
        train.execute_complete({"ti": ti}, {"event": "timeout", "job": name_of(ti), "message": "too long"})


def test_a_wait_that_was_given_up_leaves_the_job_by_policy(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    train.stop_on_kill = False
    expect_job(sagemaker, name_of(ti), "InProgress")
    said = rf"job {name_of(ti)}: too long\. It continues; a retry attaches to it again\. .*#/jobs/{name_of(ti)}$"
    with pytest.raises(JobLost, match=said):
        train.execute_complete({"ti": ti}, {"event": "timeout", "job": name_of(ti), "message": "too long"})


def test_a_deferral_that_nobody_ends_stops_the_job(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_job(sagemaker, name_of(ti), "InProgress")
    expect_absent(sagemaker, name_of(ti, 1, 2))
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    with pytest.raises(JobLost, match=r"no triggerer watched it in time\. It was stopped") as failure:
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
    monkeypatch.setattr(base, "state_of", lambda task_instance: state)
    train._context, train._job = {"ti": ti}, name_of(ti)
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    train.on_kill()
    assert f"stopped {name_of(ti)}, as the task is {state or 'cleared'}" in capsys.readouterr().out


def test_a_worker_that_scales_in_leaves_the_job(
    train: Any, ti: FakeTaskInstance, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked_about: list[Any] = []
    monkeypatch.setattr(base, "state_of", lambda task_instance: asked_about.append(task_instance) or "running")
    train._context, train._job = {"ti": ti}, name_of(ti)
    train.on_kill()
    assert asked_about == [ti]
    assert f"{name_of(ti)} continues, and a retry finds it again" in capsys.readouterr().out
    assert not train._ended


def test_a_kill_leaves_the_job_by_policy(
    train: Any, ti: FakeTaskInstance, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(base, "state_of", lambda task_instance: "failed")
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
        train.on_kill()  # Airflow calls it when it catches the timeout


def test_a_job_whose_creation_is_on_its_way_is_stopped_too(
    train: Any,
    ti: FakeTaskInstance,
    sagemaker: Stubber,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(base, "state_of", lambda task_instance: "failed")
    train._context, train._job = {"ti": ti}, name_of(ti)
    sagemaker.add_client_error("stop_training_job", "ValidationException", "not found", 400)
    expect_absent(sagemaker, name_of(ti))
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    train.on_kill()
    assert f"stopped {name_of(ti)}" in capsys.readouterr().out


def test_a_kill_before_the_job_is_created_keeps_it_from_being_created(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "state_of", lambda task_instance: "failed")

    def killed_meanwhile(context: Any) -> dict[str, Any]:
        train.on_kill()
        return REQUEST

    train.request = killed_meanwhile
    expect_absent(sagemaker, name_of(ti))
    with pytest.raises(AirflowTaskTerminated, match=f"the task was ended; {name_of(ti)} is not started"):
        train.execute({"ti": ti})


def test_a_job_that_cannot_be_stopped_is_said_to_go_on(train: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_job(sagemaker, name_of(ti), "InProgress")
    sagemaker.add_client_error("stop_training_job", "AccessDeniedException", "not allowed", 400)
    said = rf"could not be stopped and continues: .*not allowed.*#/jobs/{name_of(ti)}$"
    with pytest.raises(JobLost, match=said):
        train.execute_complete({"ti": ti}, {"event": "timeout", "job": name_of(ti), "message": "too long"})


def test_a_deferral_of_a_cleared_task_stops_the_job_of_the_generation_before(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    ti.max_tries = 3  # cleared, and attached to the running job
    expect_absent(sagemaker, name_of(ti, 2))
    expect_job(sagemaker, name_of(ti), "InProgress")
    expect_absent(sagemaker, name_of(ti, 1, 2))
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    with pytest.raises(JobLost, match="It was stopped"):
        train.resume_execution("__fail__", {"error": "Trigger timeout"}, {"ti": ti})


def test_a_deferral_that_ends_after_its_job_stays_what_it_is(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    expect_job(sagemaker, name_of(ti), "Completed")
    expect_absent(sagemaker, name_of(ti, 1, 2))
    with pytest.raises(TaskDeferralTimeout):
        train.resume_execution("__fail__", {"error": "Trigger timeout"}, {"ti": ti})


def test_a_kill_while_the_job_is_awaited_stops_it(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``execute`` has to say which job that is."""
    monkeypatch.setattr(base, "state_of", lambda task_instance: "failed")
    monkeypatch.setattr(base, "JOB_WAIT", 60.0)
    monkeypatch.setattr(base.time, "sleep", lambda _: train.on_kill())
    expect_job(sagemaker, name_of(ti), "InProgress")
    expect_absent(sagemaker, name_of(ti, 1, 2))
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    expect_job(sagemaker, name_of(ti), "Stopped")
    monkeypatch.setattr(train, "_settle", lambda context, description: {"status": description["TrainingJobStatus"]})
    assert train.execute({"ti": ti}) == {"status": "Stopped"}


def test_a_kill_while_the_job_is_being_created_stops_it(
    train: Any, ti: FakeTaskInstance, sagemaker: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "state_of", lambda task_instance: "failed")
    expect_absent(sagemaker, name_of(ti))
    expect_creation(sagemaker, name_of(ti))
    sagemaker.add_response("stop_training_job", {}, {"TrainingJobName": name_of(ti)})
    expect_job(sagemaker, name_of(ti), "InProgress")
    created = "after-call.sagemaker.CreateTrainingJob"
    sagemaker.client.meta.events.register(created, lambda **_: train.on_kill(), unique_id="kill")
    try:
        with pytest.raises(TaskDeferred):
            train.execute({"ti": ti})
    finally:
        sagemaker.client.meta.events.unregister(created, unique_id="kill")


def test_a_kill_that_fails_says_that_the_job_may_go_on(
    train: Any, ti: FakeTaskInstance, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(task_instance: Any) -> str:
        raise ConnectionError("no API server")

    monkeypatch.setattr(base, "state_of", unreachable)
    train._context, train._job = {"ti": ti}, name_of(ti)
    train.on_kill()
    log = capsys.readouterr().out
    assert f"{name_of(ti)} could not be stopped and may go on" in log
    assert f"#/jobs/{name_of(ti)}" in log
    assert "no API server" in log


def test_a_kill_before_the_task_works_is_nothing(
    train: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(base, "state_of", lambda task_instance: "failed")
    train.on_kill()
    assert capsys.readouterr().out == ""
