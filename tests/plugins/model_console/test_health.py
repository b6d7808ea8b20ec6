"""What needs attention, according to Airflow and AWS."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from model_console.cloud import Cloud, Endpoint, Job
from model_console.health import Health, examine, project_of
from model_console.overview import Dags, Question
from tests.plugins.model_console.test_overview import DAGS, index

NOW = datetime(2026, 11, 29, 9, tzinfo=UTC)
SERVES = Endpoint("pumps-production", "InService", requests=10, probe="answered", tags={"project": "ml"})
QUESTION = Question("pumps", "deploy_pumps", "Promote 3?", "", "2026-11-29T04:00:00Z", "/form", "ada")


def found(cloud: Cloud | None = None, dags: Dags = DAGS, **changes: Any) -> Health:
    cloud = cloud or Cloud(endpoints=[SERVES])
    return examine(["pumps"], {"pumps": index(**changes)}, dags, cloud, project="ml", now=NOW)


def acts(health: Health) -> list[tuple[str, str]]:
    return [(finding.area, finding.subject) for finding in health.findings if finding.level == "act"]


def test_all_is_well() -> None:
    health = found()
    assert not health.needs_attention
    assert {finding.area for finding in health.findings} >= {"endpoints", "scored days", "monitoring"}


def own(**changes: Any) -> Cloud:
    return Cloud(endpoints=[replace(SERVES, **changes)])


@pytest.mark.parametrize(
    ("cloud", "dags", "expected"),
    [
        (Cloud(), DAGS, ("endpoints", "pumps-production")),
        (own(status="Failed", why="no memory"), DAGS, ("endpoints", "pumps-production")),
        (own(errors=2.0), DAGS, ("endpoints", "pumps-production")),
        (own(probe="ModelError"), DAGS, ("endpoints", "pumps-production")),
        (None, replace(DAGS, failed={"score_pumps": 2}), ("failing Dags", "score_pumps")),
        (None, replace(DAGS, failed={"backfill": 1}), ("failing Dags", "backfill")),
        (None, replace(DAGS, broken={"dags/score.py": "Traceback\nValueError: x"}), ("failing Dags", "dags/score.py")),
        (None, replace(DAGS, questions=[QUESTION]), ("approvals", "Promote 3?")),
        (
            Cloud(endpoints=[SERVES], alarms={"pumps-production-errors": "5xx"}),
            DAGS,
            ("alarms", "pumps-production-errors"),
        ),
        (Cloud(endpoints=[SERVES, Endpoint("mine", "InService")]), DAGS, ("unexpected resources", "mine")),
        (
            Cloud(endpoints=[SERVES], jobs=[Job("training", "t", {"dag_id": "train_gone", "project": "ml"})]),
            DAGS,
            ("unexpected resources", "t"),
        ),
    ],
)
def test_what_needs_attention(cloud: Cloud | None, dags: Dags, expected: tuple[str, str]) -> None:
    health = found(cloud, dags)
    assert acts(health) == [expected]
    assert health.needs_attention
    assert health.findings[0].level == "act", "it comes first"


@pytest.mark.parametrize(
    ("state", "level"), [("answers", "fine"), ("being changed", "note"), ("wrong answers", "act"), ("slow", "act")]
)
def test_the_last_probe_counts_unless_the_endpoint_is_being_changed(state: str, level: str) -> None:
    health = found(probe={"at": "2026-11-28T12:00:00+00:00", "state": state, "says": "x"})
    assert [one.level for one in health.of("endpoints") if one.subject == "probe of pumps-production"] == [level]


def test_what_is_somebody_elses_or_a_dags_is_not_unexpected() -> None:
    others = Endpoint("theirs", "InService", tags={"project": "other"})
    jobs = [Job("training", "t", {"dag_id": "train_pumps", "project": "ml"}), Job("transform", "o", {"project": "x"})]
    health = found(Cloud(endpoints=[SERVES, others], jobs=jobs, models=["pumps-1", "mine"]))
    assert not health.needs_attention
    assert [finding.level for finding in health.of("unexpected resources")] == ["note"]


def test_while_a_dag_file_is_broken_nobody_is_told_to_delete_what_may_be_its_own() -> None:
    stray = Cloud(endpoints=[SERVES, Endpoint("mills-production", "InService")])
    (found_,) = found(stray, replace(DAGS, broken={"dags/train.py": "x"})).of("unexpected resources")
    assert (found_.level, "delete" in found_.says) == ("note", False)


def test_days_that_come_late_and_are_not_watched() -> None:
    health = found(drift={"2026-11-01": {"verdict": "stable"}})
    assert acts(health) == [("monitoring", "pumps")]
    late = examine(["pumps"], {"pumps": index()}, DAGS, Cloud([SERVES]), project="ml", now=NOW.replace(month=12))
    assert ("scored days", "pumps") in acts(late)
    never = found(drift={})
    assert acts(never) == [("monitoring", "pumps")]


@pytest.mark.parametrize(("minutes", "level"), [(10, "fine"), (70, "act")])
def test_days_scored_just_now_are_about_to_be_watched(minutes: int, level: str) -> None:
    published = (NOW - timedelta(minutes=minutes)).isoformat()
    health = found(days={"2026-11-28": {**index()["days"]["2026-11-28"], "published_at": published}}, drift={})
    (monitoring,) = health.of("monitoring")
    assert monitoring.level == level, monitoring.says


def test_an_approval_behind_a_paused_dag_waits_forever() -> None:
    waits = Cloud(endpoints=[SERVES], queues={"pumps": 1})
    paused = replace(DAGS, by_id={**DAGS.by_id, "deploy_pumps": {"is_paused": True}})
    assert acts(found(waits, paused)) == [("queues", "approvals of pumps")]
    assert not found(waits).needs_attention


def test_a_full_pool_is_noted() -> None:
    pools = {"sagemaker_training": {"slots": 4, "open_slots": 0, "queued_slots": 3}}
    (pool,) = found(dags=replace(DAGS, pools=pools)).of("quota")
    assert (pool.level, pool.says) == ("note", "4 of 4 slots used, 3 tasks waiting")


def test_what_cannot_be_asked_needs_attention_and_is_not_a_missing_endpoint() -> None:
    health = found(Cloud(unknown=["endpoints: AccessDenied"]))
    assert health.needs_attention
    assert acts(health) == []


def test_the_project_is_in_the_buckets_name() -> None:
    assert project_of("ml-local-ml-123456789012") == "ml-local"
