"""Runs in MLflow: any name is tracked; a refused entry loses only itself, and is reported."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from include.jobs.mlflow import tracking
from include.jobs.mlflow.names import entries

HOSTILE = {
    "f1_<=50K": 0.1,
    "f1_>50K": 0.2,
    "recall, of (a)=b": 0.3,
    "ł/ó": 0.4,
    "x" * 400: 0.5,
    "../up": 0.6,
    "plain": 0.7,
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


def test_metrics_and_parameters_of_any_name_are_tracked(store: Any, tmp_path: Path) -> None:
    problems: list[str] = []
    started = tracking.start_run("an experiment", {"depth, <max>": "x" * 9000, "a": 1}, {"run": "r"}, time.time())
    run_id = tracking.wait_for(started, 120, problems)
    assert run_id, problems
    file = tmp_path / "report (1).html"
    file.write_text("x")
    tracking.wait_for(tracking.log(run_id, HOSTILE, [file], first=True), 120, problems)
    assert problems == []
    run = store.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert sorted(run.data.metrics.values()) == sorted(HOSTILE.values())
    assert run.data.metrics["plain"] == 0.7
    assert len(run.data.params) == 2


def test_what_is_refused_costs_itself_alone_and_is_said(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tracking, "entries", dict)  # no translation of names
    run_id = tracking.wait_for(tracking.start_run("an experiment", {}, {}, time.time()), 120)
    problems: list[str] = []
    tracking.wait_for(
        tracking.log(run_id, {"good": 1.0, "bad,<name>": 2.0}, [tmp_path / "gone"], first=True), 120, problems
    )
    run = store.get_run(run_id)
    assert run.data.metrics == {"good": 1.0}
    assert run.info.status == "FAILED", "it does not stay RUNNING forever"
    assert "bad,<name>" in problems[0]
    assert "gone" in problems[0]
    assert "WARNING: MLflow tracking" in capsys.readouterr().err
    later: list[str] = []
    tracking.wait_for(tracking.log(run_id, {"test_f1": 1.0}, []), 120, later)
    assert "what the training job could not add" in later[0]
    assert store.get_run(run_id).data.metrics["test_f1"] == 1.0


def test_a_job_that_dies_before_it_tracks_leaves_no_run_that_seems_to_run(store: Any) -> None:
    run_id = tracking.wait_for(tracking.start_run("an experiment", {"a": 1}, {}, time.time()), 120)
    run = store.get_run(run_id)
    assert (run.info.status, run.data.params) == ("FAILED", {"a": "1"})
    assert run.info.end_time
    tracking.wait_for(tracking.log(run_id, {"f1": 1.0}, [], first=True), 120)
    assert store.get_run(run_id).info.status == "FINISHED"


def test_a_run_whose_job_or_server_died_at_once_is_ended_by_the_next_job(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr("mlflow.MlflowClient.set_terminated", lambda *_: 1 / 0)
        assert tracking.wait_for(tracking.start_run("pumps", {}, {"model": "pumps"}, time.time()), 120) is None
    experiment = store.get_experiment_by_name("pumps").experiment_id
    by_hand = store.create_run(experiment).info.run_id
    (left,) = store.search_runs([experiment], "tags.model = 'pumps'")
    assert left.info.status == "RUNNING"
    problems: list[str] = []
    tracking.wait_for(tracking.prepare("pumps"), 120, problems)
    assert problems == []
    assert store.get_run(left.info.run_id).info.status == "FAILED"
    assert store.get_run(by_hand).info.status == "RUNNING", "it does not belong to a job"


def test_names_that_become_the_same_are_numbered() -> None:
    assert entries({"f1_<=50K": 1, "f1_>50K": 2, "f1_50K": 3}) == {"f1__50K": 1, "f1__50K_2": 2, "f1_50K": 3}
