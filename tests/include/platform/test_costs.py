"""The cost of jobs is recorded by month, each job once, and compared with a budget."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from include.models.config import Budget
from include.platform import costs
from include.platform.environment import EXAMPLE
from sagemaker_jobs.account import total_usd

if TYPE_CHECKING:
    from tests.include.local_aws import LocalS3

BUCKET = json.loads(EXAMPLE)["bucket"]
NOW = datetime(2026, 11, 29, tzinfo=UTC)
RESULT = {"name": "job-1", "kind": "training", "billable_seconds": 3600, "cost_usd": 0.115, "instance_type": "x"}


@pytest.fixture
def s3(ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch) -> LocalS3:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
    monkeypatch.setattr("include.platform.clients.s3_client", lambda _: ml_bucket)
    return ml_bucket


def context(result: Any, **changes: Any) -> Any:
    ti = SimpleNamespace(dag_id="train_x", run_id="r", task_id="g.train_model", map_index=-1)
    ti.xcom_pull = lambda task_ids, map_indexes: result
    return {"ti": ti, "task": SimpleNamespace(kind="training"), "params": {"model": "y"}, **changes}


def test_a_job_counts_once_and_in_its_month(s3: LocalS3) -> None:
    for ended in ("2026-11-28T10:00:00+00:00", "2026-11-28T10:00:00+00:00"):
        costs.record_job(context({**RESULT, "ended": ended}), "x")
    costs.record_job(context({**RESULT, "name": "job-2", "ended": "2026-10-31T23:59:59+00:00"}), "x")
    november = costs.spent(s3, BUCKET, "x", NOW)
    assert list(november) == ["job-1"]
    assert (november["job-1"]["task_id"], total_usd(job["usd"] for job in november.values())) == ("train_model", 0.115)
    assert list(costs.spent(s3, BUCKET, "x", NOW, months=2)) == ["job-2", "job-1"]


def test_a_job_that_failed_was_paid_for_too(s3: LocalS3) -> None:
    error = RuntimeError("failed")
    error.job = {**RESULT, "ended": "2026-11-28T10:00:00+00:00"}  # type: ignore[attr-defined]
    costs.record_job(context(None, exception=error))
    assert list(costs.spent(s3, BUCKET, "y", NOW)) == ["job-1"], "for the model that the form names"


def test_tasks_without_a_job_cost_nothing(s3: LocalS3) -> None:
    costs.record_job(context({"arn": "endpoint"}), "x")
    costs.record_job(context(RESULT, task=SimpleNamespace()), "x")
    assert not list(s3.objects)


@pytest.mark.parametrize(
    ("usd", "limit", "per_month", "why"),
    [
        (5.0, 20, None, None),
        (21.0, 20, None, "about 21.00 USD is above the budget of 20 USD"),
        (5.0, 20, 5.1, "about 5.00 USD on top of the 0.1150 USD of this month is above budget.per_month, 5.1 USD"),
        ("unknown", 0, 0, None),
    ],
)
def test_budgets(usd: float | str, limit: float, per_month: float | None, why: str | None) -> None:
    before: Any = {"job": {"usd": 0.115}}
    assert costs.above_budget(usd, limit, Budget(per_month=per_month), before) == why
