"""Whether a task is still active, and stopping its job if not."""

from __future__ import annotations

import time
from typing import Any

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from sagemaker_jobs import stopping
from sagemaker_jobs.kinds import TRAINING
from sagemaker_jobs.stopping import state_of, stop

from .conftest import FakeTaskInstance, expect_absent, expect_job

NAME = {"TrainingJobName": "train-1"}


@pytest.mark.parametrize(("map_index", "key"), [(-1, "train_model"), (None, "train_model"), (0, "train_model_0")])
def test_the_state_is_asked_of_airflow_for_this_very_task(
    monkeypatch: pytest.MonkeyPatch, map_index: int | None, key: str
) -> None:
    ti = FakeTaskInstance(map_index=map_index)  # type: ignore[arg-type]
    asked: list[dict[str, Any]] = []

    def states(**question: Any) -> dict[str, dict[str, str]]:
        asked.append(question)
        return {ti.run_id: {key: "deferred"}, "another run": {key: "failed"}}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", states)
    assert state_of(ti) == "deferred"
    assert asked == [{"dag_id": ti.dag_id, "task_ids": [ti.task_id], "run_ids": [ti.run_id], "map_index": ti.map_index}]


@pytest.mark.parametrize("answer", [{}, {FakeTaskInstance().run_id: {}}], ids=["run deleted", "task cleared"])
def test_a_task_that_is_not_there_has_no_state(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> None:
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", lambda **_: answer)
    assert state_of(FakeTaskInstance()) is None


def expect_nothing_to_stop(sagemaker: Stubber) -> None:
    sagemaker.add_client_error("stop_training_job", "ValidationException", "not found", 400, None, NAME)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time passes only by sleeping."""
    slept: list[float] = []
    monkeypatch.setattr(stopping.time, "sleep", slept.append)
    monkeypatch.setattr(stopping.time, "monotonic", lambda: sum(slept))
    return slept


def test_a_running_job_is_stopped(sagemaker: Stubber) -> None:
    sagemaker.add_response("stop_training_job", {}, NAME)
    assert stop(TRAINING, "train-1", sagemaker.client)


def test_there_is_nothing_to_stop_of_a_job_that_is_not_there(sagemaker: Stubber, slept: list[float]) -> None:
    expect_nothing_to_stop(sagemaker)
    assert not stop(TRAINING, "train-1", sagemaker.client)
    assert slept == []


def test_there_is_nothing_to_stop_of_a_job_that_is_over(sagemaker: Stubber, slept: list[float]) -> None:
    expect_nothing_to_stop(sagemaker)
    expect_job(sagemaker, "train-1", "Completed")
    assert not stop(TRAINING, "train-1", sagemaker.client, until=60)
    assert slept == []


def test_a_job_that_may_be_on_its_way_is_asked_for_until_time_is_up(sagemaker: Stubber, slept: list[float]) -> None:
    for _ in range(2):  # at 0 s and 0.3 s
        expect_nothing_to_stop(sagemaker)
        expect_absent(sagemaker, "train-1")
    expect_nothing_to_stop(sagemaker)  # at 0.6 s
    assert not stop(TRAINING, "train-1", sagemaker.client, until=0.5)
    assert slept == [0.3, 0.3]


@pytest.mark.parametrize("operation", ["stop_training_job", "describe_training_job"])
def test_any_other_failure_is_the_callers(sagemaker: Stubber, operation: str) -> None:
    if operation == "describe_training_job":
        expect_nothing_to_stop(sagemaker)
    sagemaker.add_client_error(operation, "AccessDeniedException", "not allowed", 400)
    with pytest.raises(ClientError, match="not allowed"):
        stop(TRAINING, "train-1", sagemaker.client, until=time.monotonic() + 5)
