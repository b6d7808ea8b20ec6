"""What a replay refuses before it trains anything, and how policies part; worlds and processes are stand-ins."""

from __future__ import annotations

import argparse
import re
from contextlib import nullcontext
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from include.models.config import load_model
from include.ops.local_stack.arguments import ArgumentsError
from include.ops.local_stack.settings import Settings
from include.ops.replay import __main__ as replay
from include.ops.replay.policy import Course
from include.platform.errors import PermanentError


class Empty:
    """A world that needs no local SageMaker."""

    def __init__(self, settings: Settings) -> None:
        self.running = nullcontext

    def client(self, service: str) -> Any:
        return type("S3", (), {"create_bucket": lambda self, Bucket: None})()  # noqa: N803 - boto3's name

    def use_code(self, code_hash: str) -> None:
        pass


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        ("1998-05-05", "1998-05-08", "1998-05-07 to 1998-05-08 (2 days) have none"),
        ("1990-01-01", "1990-01-03", "1990-01-01 to 1990-01-03 (3 days) have none"),
        ("1998-05-01", "1998-05-03", "1998-05-02 has none"),
    ],
)
def test_days_without_data_are_refused_before_a_version_is_trained(
    first: str, last: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "World", Empty)
    for name in ("upload_code", "seed", "seed_days"):
        monkeypatch.setattr(replay, name, lambda *_: "0123456789ab")
    monkeypatch.setattr(replay, "newest_days", lambda *_: ("1996-05-07", "1998-05-06"))
    there = ("1998-05-01", "1998-05-03", "1998-05-05", "1998-05-06")
    monkeypatch.setattr(replay, "list_partitions", lambda *_: {day: [] for day in there})
    given = load_model("electricity"), Settings(tmp_path, 0, 0)
    words = re.escape(f"{told}; the data begins on 1996-05-07 and ends on 1998-05-06")
    with pytest.raises(PermanentError, match=words):
        replay.start(*given, first, last, None, Console(quiet=True))


def test_each_part_goes_on_from_the_world_that_it_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[str], str]] = []

    def lived(home: Path, course: Course, *_: Any) -> Course:
        seen.append((home.name, course["policies"], course["next"]))
        parts = len(course["policies"]) == 3
        return {**course, "next": "1998-01-05", "parting": ["on_drift"] if parts else []}

    monkeypatch.setattr(replay, "lived", lived)
    policies = ["never", "weekly", "on_drift", "on_performance"]
    found = replay.every_life(tmp_path / "start", policies, "1998-01-01", [])
    assert sorted(course["policies"] for course in found) == [["never", "on_performance"], ["on_drift"], ["weekly"]]
    shared = "never+on_drift+on_performance"
    assert sorted(seen) == [
        (shared, ["never", "on_performance"], "1998-01-05"),
        (shared, ["on_drift"], "1998-01-05"),
        ("start", ["never", "on_drift", "on_performance"], "1998-01-01"),
        ("start", ["weekly"], "1998-01-01"),
    ]


def test_if_one_ends_early_the_others_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, started = Event(), Event()

    def lived(home: Path, course: Course, port: int, arguments: list[str], running: list[Any]) -> Course:
        if course["policies"] == ["weekly"]:
            assert started.wait(10)
            raise PermanentError("weekly ended early")
        running.append(SimpleNamespace(terminate=stopped.set))
        started.set()
        assert stopped.wait(10)
        return course

    monkeypatch.setattr(replay, "lived", lived)
    with pytest.raises(PermanentError, match="weekly ended early"):
        list(replay.every_life(tmp_path / "start", ["weekly", "never"], "1998-01-01", []))
    assert stopped.is_set()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": "electricty"}, "there is no model 'electricty'. Did you mean electricity?"),
        ({"first": "1998-05-09"}, "FROM=1998-05-09 is after TO=1998-05-08"),
        ({"policies": ["never", "yearly"]}, "POLICIES has 'yearly'; allowed are never, daily, weekly"),
        ({"policies": []}, "POLICIES is empty; allowed are never, daily, weekly"),
        ({"model": "machine_downtime"}, "machine_downtime/model.yaml has no section labels"),
    ],
)
def test_what_cannot_be_replayed_is_refused_at_once(tmp_path: Path, given: dict[str, Any], told: str) -> None:
    usual = {"model": "electricity", "first": "1998-05-05", "last": "1998-05-08", "policies": ["never"], "data": None}
    with pytest.raises(ArgumentsError, match=re.escape(told)):
        replay.replay(Settings(tmp_path, 0, 0), argparse.Namespace(**{**usual, **given}), Console(quiet=True))
