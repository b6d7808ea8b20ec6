"""What make backfill does before it starts one, and while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from include.ops.local_stack import backfill
from include.ops.local_stack.arguments import ArgumentsError
from include.ops.local_stack.backfill import Asked
from include.ops.local_stack.settings import Settings
from include.score.plan import PlanError, Preview

NO_DATA = {day: f"{day} cannot be scored: daily/x/date={day}/ lacks a.csv." for day in ("2015-06-01", "2015-06-02")}


def test_a_backfill_waits_for_the_one_before_and_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [[7], [7], []]
    slept: list[float] = []
    said: list[str] = []
    monkeypatch.setattr(backfill.time, "sleep", slept.append)

    class Api:
        def backfills_under_way(self, dag_id: str) -> list[int]:
            return looks.pop(0)

    api: Any = Api()
    backfill.wait_for_earlier(api, "score_pumps", said.append)
    assert said == ["backfill 7 of score_pumps is not over: this one starts after it"]
    assert len(slept) == 2
    assert looks == []


def test_a_backfill_is_followed_until_no_run_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [3, 3, 1, 0]
    monkeypatch.setattr(backfill.time, "sleep", lambda _: looks.pop(0))

    class Api:
        def count_runs(self, dag_id: str, first: str, last: str, *states: str) -> int:
            return looks[0] if "running" in states else int(looks[0] < 3)

        def runs_between(self, dag_id: str, first: str, last: str) -> dict[str, dict[str, Any]]:
            assert looks == [0], "not before all have ended"
            return {first: {"state": "success"}, "2015-06-02": {"state": "success"}, last: {"state": "failed"}}

    screen = StringIO()
    api: Any = Api()
    states = backfill.follow(api, "score_pumps", ["2015-06-01", "2015-06-03", "2015-06-04"], Console(file=screen))
    assert states == {"2015-06-01": "success", "2015-06-04": "failed"}, (
        "of the days asked for, as far as they have a run"
    )
    shown = [line.strip() for line in screen.getvalue().splitlines()]
    assert shown == ["0 of 3 days, 0 failed", "2 of 3 days, 1 failed", "3 of 3 days, 1 failed"]


@pytest.fixture
def previewed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Preview, Asked], Any]:
    """``make backfill`` up to where it would ask Airflow, of days that the stack says this of."""
    monkeypatch.setattr(backfill.stack, "up", lambda *_: None)
    monkeypatch.setattr(backfill, "seed_days", lambda *_: None)
    monkeypatch.setattr(backfill, "AirflowApi", lambda *_: pytest.fail("nothing may be started"))
    monkeypatch.setattr(backfill, "summary_of", lambda *given: given)

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
        previewed(Preview([], [], NO_DATA, {}), asked)


def test_a_dry_run_finds_the_day_that_the_run_would_end_with(previewed: Callable[[Preview, Asked], Any]) -> None:
    found = Preview([], ["2015-06-03"], NO_DATA, {})
    asked = Asked("electricity", "2015-06-01", "2015-06-03", "champion_at", force=False, dry_run=True)
    with pytest.raises(PlanError, match="2015-06-01 to 2015-06-02"):
        previewed(found, asked)
    assert previewed(found, replace(asked, dry_run=False)), "the others are scored, and the exit status tells"
    assert previewed(Preview([], ["2015-06-03"], {}, {}), asked) is None


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
