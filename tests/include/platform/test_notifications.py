from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks import sns

from include.platform.environment import EXAMPLE
from include.platform.notifications import notify, notify_failure

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ml"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    sent: list[tuple[str, str, str]] = []

    class Hook:
        def __init__(self, region_name: str) -> None:
            assert region_name == "eu-west-1"

        def publish_to_target(self, topic: str, message: str, subject: str) -> None:
            sent.append((topic, message, subject))

    monkeypatch.setattr(sns, "SnsHook", Hook)
    return sent


def with_topic(monkeypatch: pytest.MonkeyPatch, topic: str | None) -> None:
    facts: dict[str, Any] = json.loads(EXAMPLE)
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", json.dumps({**facts, "sns_topic_arn": topic}))


def test_goes_to_the_topic(monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, str, str]]) -> None:
    with_topic(monkeypatch, TOPIC)
    notify("two\nlines " + "x" * 200, "message")
    ((topic, message, subject),) = published
    assert (topic, message) == (TOPIC, "message")
    assert len(subject) == 100
    assert "\n" not in subject


def test_goes_to_the_log_where_no_topic_is_set(
    monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    with_topic(monkeypatch, None)
    with caplog.at_level(logging.INFO, logger="include.platform.notifications"):
        notify("subject", "message")
    assert published == []
    assert "subject" in caplog.text
    assert "message" in caplog.text


def test_a_failure_says_which_task_why_and_where(
    monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, str, str]]
) -> None:
    with_topic(monkeypatch, TOPIC)
    ti = SimpleNamespace(
        dag_id="train_x", task_id="train_model", run_id="manual__1", try_number=3, log_url="http://log"
    )
    task = SimpleNamespace(owner="pump-team")
    notify_failure({"ti": ti, "task": task, "exception": RuntimeError("column pressure is empty")})
    ((_, message, subject),) = published
    assert subject == "train_x: train_model failed"
    for part in ("manual__1", "try 3", "Owner: pump-team", "column pressure is empty", "http://log"):
        assert part in message


def test_a_failure_of_a_dag_for_all_models_says_which_model_and_whose(
    monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, str, str]]
) -> None:
    with_topic(monkeypatch, TOPIC)
    ti = SimpleNamespace(
        dag_id="rollback", task_id="test_production", run_id="manual__1", try_number=1, log_url="http://log"
    )
    given = {"ti": ti, "task": SimpleNamespace(owner="pump-team, valve-team"), "params": {"model": "valves"}}
    notify_failure(given, owners={"pumps": "pump-team", "valves": "valve-team"})
    ((_, message, subject),) = published
    assert subject == "rollback of valves: test_production failed"
    assert "Owner: valve-team." in message
