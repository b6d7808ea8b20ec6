"""What make backfill does before it starts one."""

from __future__ import annotations

from typing import Any

import pytest

from include.laptop import backfill


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
