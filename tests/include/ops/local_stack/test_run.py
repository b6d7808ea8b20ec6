"""What make run says, according to Airflow's API."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
from rich.console import Console

from include.ops.local_stack import run
from include.ops.local_stack.processes import ProcessError

STARTED = "2026-11-21T10:00:00.000000Z"


class FakeApi:
    """A run with steps that change between polls."""

    def __init__(self, looks: list[dict[str, str]], import_errors: dict[str, str] | None = None) -> None:
        self._looks = looks
        self._look = -1
        self._errors = import_errors or {}

    def task_ids(self, dag_id: str) -> list[str]:
        return list(self._looks[-1])

    def run_state(self, dag_id: str, run_id: str) -> str:
        self._look = min(self._look + 1, len(self._looks) - 1)
        states = set(self._looks[self._look].values())
        return "failed" if "failed" in states else "success" if states == {"success"} else "running"

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        ended = {"success": "2026-11-21T10:00:12.340000Z", "failed": "2026-11-21T10:00:12.340000Z"}
        return [
            {
                "task_id": task_id,
                "state": state,
                "start_date": STARTED if state in ended else None,
                "end_date": ended.get(state),
                "try_number": 1,
            }
            for task_id, state in self._looks[self._look].items()
        ]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        return None

    def failure_reason(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        return "PdM_telemetry.csv lacks the column pressure"

    def dag_ids(self) -> list[str]:
        return ["train_good"]

    def import_errors(self) -> dict[str, str]:
        return self._errors


def text_of(api: FakeApi, *, terminal: bool) -> tuple[str, str]:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100)
    state = run.follow(api, "train_good", "r", console)  # type: ignore[arg-type]
    return state, screen.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_every_step_is_shown_as_it_changes(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run.time, "sleep", lambda seconds: None)
    looks = [{"build_features": "running"}, {"build_features": "deferred"}, {"build_features": "success"}]
    state, text = text_of(FakeApi(looks), terminal=terminal)
    assert state == "success"
    assert "build_features" in text
    assert "success" in text
    assert "12.3" in text


def test_a_log_file_is_never_silent_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(run.time, "sleep", lambda seconds: now.append(now[-1] + 4))
    monkeypatch.setattr(run.time, "monotonic", lambda: now[-1])
    looks = [{"plan": "success", "train_model": "running"}] * 9 + [{"plan": "success", "train_model": "success"}]
    _, text = text_of(FakeApi(looks), terminal=False)
    lines = [line.split()[:2] for line in text.splitlines()]
    assert lines.count(["plan", "success"]) == 1
    assert lines.count(["train_model", "running"]) == 3  # at 0, 12 and 24 seconds of 36


def test_a_failed_run_is_summed_up_with_its_reason() -> None:
    api = FakeApi([{"validate_raw_data": "failed", "train_model": "upstream_failed"}])
    outcome = run.outcome_of(api, "train_good", "r", "failed", 12.34)  # type: ignore[arg-type]
    assert outcome.summary == {
        "dag_id": "train_good",
        "run_id": "r",
        "state": "failed",
        "model_package_arn": None,
        "metrics": {},
        "tracking": None,
        "suspicion": [],
        "gates": [],
        "steps": [
            {"task_id": "validate_raw_data", "state": "failed", "seconds": 12.3},
            {"task_id": "train_model", "state": "upstream_failed", "seconds": 0.0},
        ],
        "total_seconds": 12.3,
        "costs": None,
    }
    assert outcome.reasons == {"validate_raw_data": "PdM_telemetry.csv lacks the column pressure"}


def test_what_mlflow_lacks_of_a_run_is_in_its_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_links", lambda *_: [])
    outcome = run.outcome_of(FakeApi([{"train_model": "success"}]), "train_good", "r", "success", 1)  # type: ignore[arg-type]
    told = dataclasses.replace(outcome, summary={**outcome.summary, "tracking": "the metric f1[a] was refused"})
    text = io.StringIO()
    run.show(told, Any, Console(file=text, width=200))  # type: ignore[arg-type]
    assert "MLflow lacks part of it: the metric f1[a] was refused" in text.getvalue()


def test_another_models_import_error_does_not_stop_a_dag_that_is_there() -> None:
    api = FakeApi([{}], {"broken_models.py": "ConfigError: models/bad/model.yaml ..."})
    run.require_dag(api, "train_good")  # type: ignore[arg-type]
    with pytest.raises(ProcessError, match=r"models/bad/model\.yaml"):
        run.require_dag(api, "train_bad")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        ({"state": "success", "model_package_arn": "arn", "steps": []}, "make promote MODEL=pumps"),
        (
            {
                "state": "success",
                "model_package_arn": None,
                "steps": [{"task_id": "reject_model", "state": "success"}],
            },
            "look at the evaluation report: it says which gates were missed, and by how much",
        ),
        ({"state": "failed", "model_package_arn": None, "steps": []}, ""),
    ],
)
def test_what_comes_next_is_said(summary: dict[str, Any], said: str) -> None:
    assert run.Outcome({"dag_id": "train_pumps", **summary}, {}).next_step == said
