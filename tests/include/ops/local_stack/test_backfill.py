"""What make backfill does before it starts one, and while it goes on."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from include.ops.local_stack import backfill


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
