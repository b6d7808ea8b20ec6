"""What make backfill does before and during a backfill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from rich.console import Console

from include.ops.local_stack import backfill
from include.ops.local_stack.arguments import ArgumentsError
from include.ops.local_stack.backfill import Asked
from include.ops.local_stack.command import under_way
from include.ops.local_stack.settings import Settings
from include.score.plan import PlanError, Preview

NO_DATA = {day: f"{day} cannot be scored: daily/x/date={day}/ lacks a.csv." for day in ("2015-06-01", "2015-06-02")}


class Api:
    """A run that is in progress for a few polls, and may ask a question."""

    def __init__(self, looks: int, asks: bool = False) -> None:
        self.looks, self.asks = looks, asks

    def run_state(self, dag_id: str, run_id: str) -> str:
        self.looks -= 1
        return "running" if self.looks >= 0 else "success"

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, str]]:
        return [{"task_id": "approve_cost", "state": "awaiting_input" if self.asks else "skipped"}]


def followed(monkeypatch: pytest.MonkeyPatch, api: Any, done: list[int], seconds: float) -> list[str]:
    """The screen's content, on a machine where each poll takes the given time."""
    now = [0.0]
    monkeypatch.setattr(backfill.time, "sleep", lambda _: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(backfill.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(backfill, "staged_days", lambda *_: done.pop(0))
    screen = StringIO()
    backfill.follow(api, Settings(Path(), 1, 2), "run", 4, Console(file=screen, width=200))
    return [line.strip() for line in screen.getvalue().splitlines()]


def test_a_backfill_is_followed_with_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    assert followed(monkeypatch, Api(4), [0, 1, 2, 4], seconds=2) == [
        "0 of 4 days scored",
        "1 of 4 days scored, about 6 s left",
        "2 of 4 days scored, about 4 s left",
        "all 4 days scored, publishing",
    ]


def test_it_is_never_silent_for_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = followed(monkeypatch, Api(30), [0] * 30, seconds=1)
    assert len(shown) >= 4, "thirty seconds in which no day ends"


def test_what_has_no_bar_says_that_it_goes_on() -> None:
    told: list[str] = []
    done = Event()

    def say(line: str) -> None:
        told.append(line)
        done.set()

    with under_way("cutting raw data into days", say, every=0.01):
        assert done.wait(10)
    assert told[0] == "  cutting raw data into days: 0 s so far"


def test_a_question_is_where_it_can_be_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    [line] = followed(monkeypatch, Api(1, asks=True), [0], seconds=1)
    assert line.endswith("/dags/backfill/runs/run/tasks/approve_cost/required_actions")


@pytest.fixture
def previewed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Preview, Asked], Any]:
    """``make backfill`` up to its first request to Airflow, for days with this status."""
    monkeypatch.setattr(backfill.stack, "up", lambda *_: None)
    monkeypatch.setattr(backfill, "seed_days", lambda *_: None)
    monkeypatch.setattr(backfill, "AirflowApi", lambda *_: pytest.fail("nothing may be started"))
    monkeypatch.setattr(backfill, "summary_of", lambda *given: given)
    monkeypatch.setattr(backfill, "list_partitions", lambda *_: ["2015-06-01"])
    monkeypatch.setattr(backfill, "newest_days", lambda *_: ("2015-01-01", "2015-12-31"))

    def carried_out(preview: Preview, asked: Asked) -> Any:
        monkeypatch.setattr(backfill, "planner", lambda *_: Planned(preview))
        return backfill.backfill(Settings(tmp_path, 1, 2), asked, Console(file=StringIO()))

    return carried_out


class Planned:
    def __init__(self, found: Preview) -> None:
        self.found = found

    def preview(self, *_: object, **__: object) -> Preview:
        return self.found


@pytest.mark.parametrize("dry_run", [False, True])
def test_days_that_cannot_be_scored_start_nothing(previewed: Callable[[Preview, Asked], Any], dry_run: bool) -> None:
    asked = Asked("electricity", "2015-06-01", "2015-06-02", "champion_at", force=False, dry_run=dry_run)
    words = r"^2015-06-01 to 2015-06-02 \(2 days\) cannot be scored: daily/x/date=<day>/ lacks a.csv$"
    with pytest.raises(PlanError, match=words):
        previewed(Preview({}, [], NO_DATA), asked)


def test_a_dry_run_finds_the_day_that_the_run_would_end_with(previewed: Callable[[Preview, Asked], Any]) -> None:
    found = Preview({}, ["2015-06-03"], NO_DATA)
    asked = Asked("electricity", "2015-06-01", "2015-06-03", "champion_at", force=False, dry_run=True)
    with pytest.raises(PlanError, match=r"^2 of 3 days cannot be scored; nothing was started$"):
        previewed(found, asked)
    assert previewed(found, replace(asked, dry_run=False)), "the others are scored, and the exit status shows it"
    assert previewed(Preview({}, ["2015-06-03"], {}), asked) is None


def test_days_past_the_end_of_the_data_are_not_days(previewed: Callable[[Preview, Asked], Any]) -> None:
    asked = Asked("electricity", "2016-06-01", "2016-06-03", "champion_at", force=False, dry_run=False)
    words = r"^no day from 2016-06-01 to 2016-06-03 has data \(there is data from 2015-01-01 to 2015-12-31\)$"
    with pytest.raises(PlanError, match=words):
        previewed(Preview({}, [], {}), asked)


@pytest.mark.parametrize(
    ("model", "first", "last", "version"),
    [
        ("electrcity", "2015-06-01", "2015-06-03", "champion_at"),
        ("electricity", "2015-06-03", "2015-06-01", "champion_at"),
        ("electricity", "2105-06-01", "2105-06-03", "champion_at"),
        ("electricity", "2015-06-01", "2015-06-03", "latest"),
    ],
)
def test_arguments_are_looked_at_before_the_stack_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str, first: str, last: str, version: str
) -> None:
    monkeypatch.setattr(backfill.stack, "up", lambda *_: pytest.fail("nothing may be started"))
    with pytest.raises(ArgumentsError):
        backfill.backfill(Settings(tmp_path, 1, 2), Asked(model, first, last, version, False, False), Console())
    monkeypatch.setenv("LAPTOP_HOME", str(tmp_path))
    assert backfill.main([f"--model={model}", f"--from={first}", f"--to={last}", f"--version={version}"]) == 1
