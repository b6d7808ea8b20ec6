"""How people are notified about a pending promotion."""

from __future__ import annotations

import json
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from include.deploy import approval_messages
from include.deploy.approval_messages import ApproverNotifier, Question, remind_approvers, reminders_due
from include.models.config import load_model, model_names
from include.platform.run_folders import Run

MODEL = load_model(model_names()[0])
QUESTION: Question = {
    "subject": "Shall version 3 replace version 2?",
    "packet": "http://packet",
    "form": "http://airflow/form",
    "asked_at": "2026-11-28T00:00:00+00:00",
    "ends_at": "2026-12-01T00:00:00+00:00",
    "decision": "s3://bucket/decision.json",
    "reminded": 0,
}


class World:
    """S3's objects by URI, and what people were told."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.told: list[tuple[str, str]] = []

    def delete_object(self, Bucket: str, Key: str) -> None:  # noqa: N803
        del self.objects[f"s3://{Bucket}/{Key}"]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    environment = SimpleNamespace(bucket="bucket")
    run = Run("bucket", "deploy_x", "run 1")
    replaced: dict[str, Any] = {
        "ml_environment": lambda: environment,
        "current_run": lambda _: (environment, run),
        "s3_client": lambda _: found,
        "read_json": lambda _, uri: found.objects.get(uri),
        "write_text": lambda _, uri, text: found.objects.update({uri: json.loads(text)}),
        "notify": lambda subject, message, **_: found.told.append((subject, message)),
        "now": lambda: datetime.fromisoformat("2026-11-28T00:00:00+00:00"),
    }
    for name, value in replaced.items():
        monkeypatch.setattr(approval_messages, name, value)
    return found


URI = f"s3://bucket/production/{MODEL.name}/question.json"


def test_people_are_told_what_is_asked_where_to_answer_and_what_happens_otherwise(world: World) -> None:
    packet = {"subject": QUESTION["subject"], "page": "http://packet"}
    ti = SimpleNamespace(xcom_pull=lambda **_: packet)
    task = SimpleNamespace(generate_link_to_ui=lambda **_: "http://airflow/form")
    ApproverNotifier(MODEL).notify({"ti": ti, "task": task})  # type: ignore[typeddict-item]
    ((subject, message),) = world.told
    assert subject == QUESTION["subject"]
    for part in ("http://airflow/form", "http://packet", "answer by 2026-", "counts as Reject"):
        assert part in message
    assert world.objects[URI]["reminded"] == 0


@pytest.mark.parametrize(
    ("at", "due"),
    [("2026-11-29T11:59", 0), ("2026-11-29T12:00", 1), ("2026-11-30T16:47", 1), ("2026-11-30T16:48", 2)],
)
def test_reminders_come_at_half_time_and_before_the_end(at: str, due: int) -> None:
    assert reminders_due(QUESTION, datetime.fromisoformat(f"{at}:00+00:00")) == due


def test_nobody_is_reminded_twice_of_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.objects[URI] = QUESTION
    monkeypatch.setattr(approval_messages, "now", lambda: datetime.fromisoformat("2026-11-29T13:00:00+00:00"))
    assert remind_approvers([MODEL], {}) == [MODEL.name]  # type: ignore[typeddict-item]
    assert remind_approvers([MODEL], {}) == []  # type: ignore[typeddict-item]
    assert [subject for subject, _ in world.told] == [f"Still waiting: {QUESTION['subject']}"]


@pytest.mark.parametrize("over", ["answered", "too late"])
def test_a_question_that_is_over_is_forgotten(world: World, over: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world.objects[URI] = QUESTION
    if over == "answered":
        world.objects[QUESTION["decision"]] = {"decision": "promoted"}
    else:
        monkeypatch.setattr(approval_messages, "now", lambda: datetime.fromisoformat(QUESTION["ends_at"]))
    assert remind_approvers([MODEL], {}) == []  # type: ignore[typeddict-item]
    assert URI not in world.objects
    assert world.told == []
