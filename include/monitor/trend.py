"""Performance over the last days for a page: a drawing without a script, and the same in numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from math import inf
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.registry.model_index import ModelIndex

DAYS = 60
WIDTH, HEIGHT = 720.0, 220.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 8.0, 18.0, 22.0  # margins of the drawing
LETTER, GAP = 6.0, 3.0  # about the width of a letter, and what is between a label and its line


@dataclass(frozen=True)
class Day:
    """The performance of a day's window, in one metric; None if unknown."""

    day: str
    version: int
    estimated: float | None
    realised: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Trend:
    """Days in order, the last of them the page's; days without values are left out. ``ends``: of the metric's range."""

    metric: str
    evaluated: float | None
    last: str
    days: Sequence[Day]
    ends: tuple[float, float] = (-inf, inf)

    @property
    def versions(self) -> list[tuple[str, int]]:
        """Each version with the first day that it scored."""
        return [(next(same).day, version) for version, same in groupby(self.days, lambda one: one.version)]

    @property
    def labels(self) -> list[tuple[float, str, str]]:
        """Where a version's label starts or ends, which of both, and its text. The newest stays if they collide."""
        found, free = list[tuple[float, str, str]](), WIDTH
        for day, version in reversed(self.versions):
            text, line = f"version {version}", self.x(day)
            left, right = line + GAP, line + GAP + LETTER * len(text)
            anchor = "start" if right <= WIDTH else "end"
            if anchor == "end":
                left, right = line - GAP - LETTER * len(text), line - GAP
            if right <= free:
                found.append((left if anchor == "start" else right, anchor, text))
                free = left
        return found

    @property
    def estimates_off(self) -> tuple[int, float] | None:
        """The days that have both, and by how much their estimates differed from what labels showed; None without."""
        off = [abs(d.estimated - d.realised) for d in self.days if d.estimated is not None and d.realised is not None]
        return (len(off), fmean(off)) if off else None

    @property
    def span(self) -> tuple[float, float]:
        """The smallest and the largest drawn value, with a margin within the metric's range."""
        values = [self.evaluated] if self.evaluated is not None else []
        for one in self.days:
            values += [value for value in (one.estimated, one.realised, *(one.interval or ())) if value is not None]
        low, high = min(values), max(values)
        margin = max((high - low) * 0.08, abs(high) * 0.005, 1e-6)
        return max(low - margin, self.ends[0]), min(high + margin, self.ends[1])

    def x(self, day: str) -> float:
        back = (date.fromisoformat(self.last) - date.fromisoformat(day)).days
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (1 - back / (DAYS - 1)), 1)

    def y(self, value: float) -> float:
        low, high = self.span
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)

    @property
    def estimated_lines(self) -> list[str]:
        return [self._line((one.day, one.estimated) for one in part) for part in self._unbroken("estimated")]

    @property
    def realised_lines(self) -> list[str]:
        return [self._line((one.day, one.realised) for one in part) for part in self._unbroken("realised")]

    @property
    def bands(self) -> list[str]:
        """Outlines of the 95 % intervals of realised values."""
        outlines = []
        for part in self._unbroken("interval"):
            ends = [(one.day, one.interval) for one in part if one.interval]
            above, below = [(day, end[1]) for day, end in ends], [(day, end[0]) for day, end in reversed(ends)]
            outlines.append(self._line([*above, *below]))
        return outlines

    @property
    def first(self) -> str:
        return (date.fromisoformat(self.last) - timedelta(days=DAYS - 1)).isoformat()

    def _line(self, points: Iterable[tuple[str, float | None]]) -> str:
        return " ".join(f"{self.x(day)},{self.y(value)}" for day, value in points if value is not None)

    def _unbroken(self, what: str) -> list[list[Day]]:
        """Consecutive days of one version that have the value."""
        parts: list[list[Day]] = []
        for one in self.days:
            if getattr(one, what) is None:
                continue
            before = parts[-1][-1] if parts else None
            passed = date.fromisoformat(one.day) - date.fromisoformat(before.day) if before else None
            if before and passed == timedelta(days=1) and before.version == one.version:
                parts[-1].append(one)
            else:
                parts.append([one])
        return parts


def trend_of(
    index: ModelIndex, last: str, metric: str, evaluated: float | None, ends: tuple[float, float] = (-inf, inf)
) -> Trend | None:
    """The days up to the last that have a value; None if none has.

    Args:
        ends: of the metric's range.
    """
    worth, first = index.get("performance", {}), (date.fromisoformat(last) - timedelta(days=DAYS - 1)).isoformat()
    days = []
    for day in sorted({*index["drift"], *worth}):
        watched, realised = index["drift"].get(day), worth.get(day)
        estimated = watched.get("estimated") if watched and watched.get("metric") == metric else None
        known = realised if realised and realised["metric"] == metric else None
        if first <= day <= last and (estimated is not None or (known and known["value"] is not None)):
            version = (known or watched or {"version": 0})["version"]
            value, interval = (known["value"], known["interval"]) if known else (None, None)
            days.append(Day(day, version, estimated, value, interval))
    return Trend(metric, evaluated, last, days, ends) if days else None
