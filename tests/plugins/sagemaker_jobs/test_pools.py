from __future__ import annotations

from typing import Any

import pytest
from airflow.jobs.job import Job
from airflow.models.pool import Pool

import sagemaker_pools
from sagemaker_jobs.account import account


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    pools: dict[str, dict[str, Any]] = {}
    monkeypatch.setattr(Pool, "create_or_update_pool", lambda name, **fields: pools.update({name: fields}))
    return pools


def test_a_starting_scheduler_makes_the_pools(made: dict[str, dict[str, Any]]) -> None:
    sagemaker_pools.on_starting(Job.__new__(Job))
    assert {name: pool["slots"] for name, pool in made.items()} == {
        f"sagemaker_{kind}": slots for kind, slots in account().pools.items()
    }
    assert all(pool["include_deferred"] for pool in made.values())


def test_a_starting_task_does_not(made: dict[str, dict[str, Any]]) -> None:
    sagemaker_pools.on_starting(object())
    assert not made
