"""A candidate beside production: what scoring the same days with both told, and what labels said of it afterwards.

Written by jobs, a file for each day; read by Airflow's side for the promotion packet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import NotRequired, TypedDict

Z = 1.959964  # of a normal distribution, 97.5 %
FEWEST_DAYS = 3  # with labels, from which on an interval is told
MEASURES = {  # unit, and how many of it a difference of 1 is
    "accuracy": ("points", 100.0),
    "cost_per_1000": ("of cost per 1,000 rows", 1.0),
    "mse": ("of mean squared error", 1.0),
    "mae": ("of mean absolute error", 1.0),
}


class Change(TypedDict):
    """A row that the two answer differently: its key and both answers, as text."""

    key: str
    production: str
    challenger: str


class Beside(TypedDict):
    """``challenger.json`` of a day. ``agreed``: the share of rows with the same label, None of a regression; ``apart``:
    how far a row's probabilities (its values) are from each other on average, the largest of its classes; ``changes``:
    the rows where they are furthest. ``failed``: why the challenger gave no scores, and then nothing else."""

    rows: int
    agreed: float | None
    apart: float
    changes: list[Change]
    failed: NotRequired[str]


class Paired(TypedDict):
    """What labels said of a challenger's day: the same measure of both on the same rows."""

    rows: int
    measure: str
    production: float
    challenger: float


def told_of_challenger(days: Mapping[str, Beside], labelled: Mapping[str, Paired]) -> list[str]:
    """Sentences for the promotion packet, from what is known by day; none without a day."""
    scored = {day: one for day, one in days.items() if one["rows"]}
    failed = {day: one["failed"] for day, one in days.items() if "failed" in one}
    lost = [f"On {_days(len(failed))} it gave no scores, last {max(failed)}: {failed[max(failed)]}"] if failed else []
    if not scored:
        return lost
    rows = sum(one["rows"] for one in scored.values())
    said = f"{_days(len(scored))} beside production ({min(scored)} to {max(scored)}): "
    known = [one for day, one in sorted(labelled.items()) if day in scored and one["rows"]]
    said += _paired(known) if known else "no labels yet"
    of_labels = [(one["rows"], one["agreed"]) for one in scored.values() if one["agreed"] is not None]
    agreed = sum(count * share for count, share in of_labels) / rows
    apart = sum(one["rows"] * one["apart"] for one in scored.values()) / rows
    alike = f"{agreed:.1%} of {rows:,} rows have the same label" if of_labels else f"{rows:,} rows"
    newest = scored[max(scored)]["changes"]
    most = "; ".join(f"{one['key']}: {one['production']} to {one['challenger']}" for one in newest)
    changed = [f"Changed the most: {most}"] if most else []
    return [said, f"{alike}, answers are {apart:.3g} apart on average", *changed, *lost]


def _paired(days: Sequence[Paired]) -> str:
    """The mean difference of all rows, and how sure it is: days are what is independent."""
    unit, scale = MEASURES[days[0]["measure"]]
    better = 1 if days[0]["measure"] == "accuracy" else -1
    gains = [better * (one["challenger"] - one["production"]) for one in days]
    rows = [one["rows"] for one in days]
    gain = sum(count * each for count, each in zip(rows, gains, strict=True)) / sum(rows)
    found = f"{abs(scale * gain):.2g} {unit} {'better' if gain >= 0 else 'worse'}"
    on = f"on {sum(rows):,} rows of {_days(len(days))} with labels"
    if len(days) < FEWEST_DAYS:
        return f"{found} {on}: too few for an interval"
    free = len(days) - 1
    spread = sum((count * (each - gain)) ** 2 for count, each in zip(rows, gains, strict=True))
    off = _quantile(free) * sqrt(spread * len(days) / free) / sum(rows)
    return f"{found}, 95 % {scale * (gain - off):.2g} to {scale * (gain + off):.2g} (above 0 is better), {on}"


def _quantile(free: int) -> float:
    """97.5 % of Student's t (Abramowitz, Stegun, "Handbook of Mathematical Functions", 26.7.5); 1 % off at 3."""
    terms = (
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
    )
    return Z + sum(term / float(free) ** power for power, term in enumerate(terms, 1))


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
