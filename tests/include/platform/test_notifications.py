from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks import sns

from include.platform import messages
from include.platform.environment import EXAMPLE
from include.platform.notifications import chat_body, notify, notify_failure

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


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> list[messages.Group]:
    """The messages that the console shows."""
    groups: list[messages.Group] = []

    def record(_: object, bucket: str, message: messages.Group, *, always: bool) -> int | None:
        groups[:], before = messages.added(groups, message, always=always)
        return before

    monkeypatch.setattr(messages, "record", record)
    monkeypatch.setattr("include.platform.clients.s3_client", lambda _: None)
    return groups


def with_topic(monkeypatch: pytest.MonkeyPatch, topic: str | None, **more: str) -> None:
    facts: dict[str, Any] = json.loads(EXAMPLE)
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", json.dumps({**facts, "sns_topic_arn": topic, **more}))


def test_ten_failing_days_are_one_message_and_all_of_them_are_in_the_console(
    monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, str, str]], kept: list[messages.Group]
) -> None:
    with_topic(monkeypatch, TOPIC)
    for day in range(10):
        ti = SimpleNamespace(dag_id="score_x", task_id="plan_day", run_id=f"day {day}", try_number=1, log_url="")
        notify_failure({"ti": ti, "task": SimpleNamespace(owner="pump-team"), "exception": RuntimeError("no file")})
    assert len(published) == 1
    (group,) = kept
    assert (group["count"], group["dag_id"], group["subject"]) == (10, "score_x", "score_x: plan_day failed")
    assert "day 9" in group["message"], "the newest"
    group["sent_at"] = "2026-01-01T00:00:00+00:00"
    notify("score_x: plan_day failed", "again", group="score_x: plan_day failed")
    assert "9 more of this kind came since the last message." in published[-1][1]


def test_a_chat_is_told_by_its_webhook_and_may_be_away(
    monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    with_topic(monkeypatch, TOPIC, chat_connection="ml_chat")
    webhook = {"conn_type": "http", "password": "http://127.0.0.1:1/secret"}  # pragma: allowlist secret
    monkeypatch.setenv("AIRFLOW_CONN_ML_CHAT", json.dumps(webhook))
    notify("subject", "message")
    assert len(published) == 1
    assert "the chat of connection 'ml_chat' could not be notified" in caplog.text
    assert "secret" not in caplog.text


def test_each_chat_gets_what_it_takes() -> None:
    assert chat_body("https://hooks.slack.com/services/x", "line", "text") == {"text": "*line*\ntext"}
    (card,) = chat_body("https://acme.webhook.office.com/x", "line", "text")["attachments"]
    assert [block["text"] for block in card["content"]["body"]] == ["line", "text"]


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


def test_a_failed_tasks_log_ends_with_a_sentence_and_where_to_look(
    monkeypatch: pytest.MonkeyPatch, published: list[tuple[str, str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    with_topic(monkeypatch, TOPIC)
    ti = SimpleNamespace(dag_id="train_x", task_id="g.train_model", run_id="1", try_number=1, log_url="http://a/dags/b")
    failed: Any = {"ti": ti, "task": SimpleNamespace(owner="a"), "exception": RuntimeError("no rows.\n  more")}
    last = "train_x: g.train_model failed: no rows. What to do: http://a/models/runbook/train_x#train_model"
    notify_failure(failed)
    assert caplog.messages[-1] == last
    monkeypatch.delenv("AIRFLOW_VAR_ML_ENVIRONMENT")
    with pytest.raises(Exception, match="ml_environment"):
        notify_failure(failed)
    assert caplog.messages[-1] == last, "even where nobody can be told"


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
