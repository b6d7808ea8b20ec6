"""Rows at all hours: the shape of their day reveals a shifted clock."""

from __future__ import annotations

import random

import pytest

from include.models.config.clock import SHIFTS, gains_of_shifts
from include.models.config.fault import Fault
from include.models.config.faults import _clock
from include.models.config.watching import TableCounts

HOURS = 24
SHARES = [0.3 if hour == 6 else 0.7 / 23 for hour in range(HOURS)]  # alarms at any hour, many when a shift begins


def day(chance: random.Random, off: int = 0, *, cut: bool = False, rows: int = 11) -> TableCounts:
    hours = [0] * HOURS
    for hour in chance.choices(range(HOURS), SHARES, k=rows):
        if not cut or 0 <= hour + off < HOURS:
            hours[(hour + off) % HOURS] += 1
    counts: TableCounts = {
        "rows": sum(hours),
        "total": sum(hours),
        "digest": 0,
        "hours": hours,
        "missing": {},
        "numbers": {},
        "values": {},
    }
    return counts


def found(days: list[TableCounts], usual: list[TableCounts], level: float = 1e-5) -> list[Fault]:
    hours = [sum(of) for of in zip(*(one["hours"] for one in days), strict=True)]
    return list(_clock("alarms", days, {**days[-1], "hours": hours, "rows": sum(hours)}, usual, level))


@pytest.mark.parametrize("cut", [True, False], ids=["rows past midnight are missing", "rows past midnight are there"])
@pytest.mark.parametrize(("off", "told"), [(5, "5 hours ahead"), (-7, "7 hours behind"), (1, "1 hour ahead")])
def test_rare_rows_betray_a_shifted_clock(off: int, told: str, *, cut: bool) -> None:
    chance = random.Random(off)  # noqa: S311 - test data
    usual = [day(chance) for _ in range(180)]
    weeks = [found([day(chance, off, cut=cut) for _ in range(7)], usual) for _ in range(20)]
    assert sum(bool(one) and told in str(one[0]) for one in weeks) >= 14, "eleven rows per day"
    repaired = [day(chance, off, cut=cut) for _ in range(6)] + [day(chance, rows=60)]
    assert found(repaired, usual) == []


def test_a_sound_clock_is_hardly_ever_suspected() -> None:
    chance, level = random.Random(1), 0.05  # noqa: S311 - test data
    usual = [day(chance) for _ in range(180)]
    assert sum(bool(found([day(chance) for _ in range(3)], usual, level)) for _ in range(400)) <= 400 * level
    before = [sum(of) for of in zip(*(one["hours"] for one in usual), strict=True)]
    gains = gains_of_shifts(day(chance, rows=5000)["hours"], before)
    assert len(gains) == SHIFTS
    assert max(gains.values()) < 0
