"""Whether a table's rows lie at the hours of another clock. Pure; only the standard library."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

UNSEEN = 0.5  # rows of training, for an hour that had none
Shift = tuple[int, bool]  # hours, and whether rows that pass midnight are missing from the day's file
SHIFTS = 3 * 23  # that are tried, of a day of 24 hours


def gains_of_shifts(hours: Sequence[int], usual: Sequence[int]) -> dict[Shift, float]:
    """For each shift of the clock, the logarithm of how many times as likely it makes the rows as training's own hours
    do. Rows that pass midnight come in the same file, or, by a later or an earlier clock, are missing from it.

    Of independent rows of a sound clock, the largest exceeds c with a probability of at most ``SHIFTS * exp(-c)``: the
    mean of a likelihood ratio is 1 (Markov's inequality).

    Args:
        hours: rows by hour of the day.
        usual: training's.
    """
    count, gains = len(hours), dict[Shift, float]()
    rows = sum(usual) + UNSEEN * count
    own, lost = [log((many + UNSEEN) / rows) for many in usual], log(UNSEEN / rows)
    for shift in range(1, count):
        moved = [own[hour - shift] for hour in range(count)]

        def gain(chances: Sequence[float]) -> float:
            return sum(many * (chances[hour] - own[hour]) for hour, many in enumerate(hours))

        gains[shift, False] = gain(moved)
        for first, last in ((shift, count), (0, shift)):
            inside = range(first, last)
            left = log(sum(usual[hour - shift] + UNSEEN for hour in inside) / rows)
            gains[shift if first else shift - count, True] = gain(
                [moved[hour] - left if hour in inside else lost for hour in range(count)]
            )
    return gains
