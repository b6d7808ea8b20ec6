from __future__ import annotations

import dataclasses
import re

import pytest

from sagemaker_jobs.kinds import KINDS, JobKind
from sagemaker_jobs.names import client_token, generation, job_name

from .conftest import FakeTaskInstance

LONG = FakeTaskInstance(dag_id="train_" + "a_very_long_model_name" * 5, task_id="validate_raw_data", run_id="x" * 250)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("ti", [FakeTaskInstance(), LONG, FakeTaskInstance(task_id="über.task__1")])
@pytest.mark.parametrize("attempt", [1, 2, 99])
def test_is_what_sagemaker_allows(kind: JobKind, ti: FakeTaskInstance, attempt: int) -> None:
    name = job_name(kind, ti, 1234, attempt)
    assert len(name) <= kind.longest_name
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", name)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "change",
    [{"dag_id": "train_pump"}, {"run_id": "manual__2"}, {"task_id": "tune_model"}, {"map_index": 0}],
    ids=lambda change: next(iter(change)),
)
def test_tells_tasks_apart(kind: JobKind, change: dict[str, str]) -> None:
    ti = FakeTaskInstance()
    assert job_name(kind, ti, 1) != job_name(kind, dataclasses.replace(ti, **change), 1)  # type: ignore[arg-type]


def test_tells_generations_attempts_and_environments_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    ti, kind = LONG, KINDS["tuning"]
    names = {job_name(kind, ti, 1), job_name(kind, ti, 2), job_name(kind, ti, 1, 2), job_name(kind, ti, 2, 2)}
    monkeypatch.setenv("AIRFLOW_ENV_NAME", "staging")
    names.add(job_name(kind, ti, 1))
    assert len(names) == 5


def test_a_retry_arrives_at_the_same_name() -> None:
    ti = FakeTaskInstance()
    again = dataclasses.replace(ti, try_number=3)
    assert job_name(KINDS["training"], ti, generation(ti, 2)) == job_name(
        KINDS["training"], again, generation(again, 2)
    )


def test_clearing_starts_a_new_generation() -> None:
    ti = FakeTaskInstance(max_tries=2)
    cleared = FakeTaskInstance(max_tries=1 + 2)  # Airflow: try number + retries
    assert (generation(ti, retries=2), generation(cleared, retries=2)) == (1, 2)


def test_names_and_tokens_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """With other names, a new release would lose track of every running job."""
    monkeypatch.delenv("AIRFLOW_ENV_NAME", raising=False)
    ti = FakeTaskInstance()
    assert job_name(KINDS["training"], ti, 1) == "train-model-train-pumps-ed8a653afb-1"
    assert job_name(KINDS["training"], ti, 2, 3) == "train-model-train-pumps-ed8a653afb-2-3"
    assert job_name(KINDS["tuning"], ti, 1) == "train-model-train-p-ed8a653afb-1"
    assert client_token(ti, 1) == "d950562ea194db74decaae33541608437e24"  # pragma: allowlist secret


def test_a_name_that_is_cut_at_a_hyphen_has_no_two_of_them() -> None:
    ti = FakeTaskInstance(task_id="a" * 48)  # the rest of the readable part ends with the following hyphen
    assert "--" not in job_name(KINDS["training"], ti, 1)
    assert job_name(KINDS["training"], ti, 1).startswith("a" * 48 + "-")
