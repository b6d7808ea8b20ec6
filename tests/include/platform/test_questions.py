"""A task that waits for an answer notifies people."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from include.platform import questions


def test_people_are_told_the_question_where_to_answer_and_what_happens_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(questions, "notify", lambda subject, message, group: told.append((subject, message, group)))
    task = SimpleNamespace(subject="Retire pumps?", body="Removed: x", generate_link_to_ui=lambda **_: "http://form")
    context: Any = {"task": task, "ti": SimpleNamespace(run_id="one")}
    questions.QuestionNotifier("Without an answer everything stays.").notify(context)
    message = "Removed: x\n\nAnswer: http://form\n\nWithout an answer everything stays."
    assert told == [("Retire pumps?", message, "Retire pumps? one")]
