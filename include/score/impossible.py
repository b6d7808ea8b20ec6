"""Summaries of days that cannot be scored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
MOST_RANGES = 3


def in_one_sentence(impossible: Mapping[str, str]) -> str:
    """Why days cannot be scored: each reason once, cut to its first sentence, with its days.

    Args:
        impossible: the reason of each day, as in ``Planner.preview``; at least one.
    """
    days: dict[str, list[str]] = {}
    for day, reason in impossible.items():
        days.setdefault(ISO_DAY.sub("<day>", reason), []).append(day)
    return "; ".join(f"{ranges(same)} cannot be scored: {_first_sentence(reason)}" for reason, same in days.items())


def _first_sentence(reason: str) -> str:
    reason = reason.removeprefix("<day> cannot be scored: ")
    return re.split(r"\.\s", reason, maxsplit=1)[0].removesuffix(".")


def ranges(days: Iterable[str]) -> str:
    """Consecutive days as ranges: ``2015-06-01 to 2015-06-03, 2015-06-07 (4 days)``."""
    found: list[list[date]] = []
    for day in sorted(map(date.fromisoformat, days)):
        if found and day - found[-1][-1] == timedelta(days=1):
            found[-1].append(day)
        else:
            found.append([day])
    shown = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in found[:MOST_RANGES]]
    more = ["and others"] if len(found) > MOST_RANGES else []
    count = sum(map(len, found))
    return ", ".join(shown + more) + (f" ({count:,} days)" if count > 1 else "")
