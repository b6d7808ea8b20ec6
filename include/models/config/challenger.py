"""A candidate beside production: the result of scoring the same days with both, and what labels showed afterwards.

Jobs write a file for each day; Airflow's side reads it for the promotion packet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import NotRequired, TypedDict

Z = 1.959964  # the 97.5 % quantile of the normal distribution
FEWEST_DAYS = 3  # with labels, needed for an interval
MEASURES = {  # how a difference is told, and the factor to its unit
    "accuracy": ("{by} points {word}", 100.0),
    "cost_per_1000": ("cost per 1,000 rows {word} by {by}", 1.0),
    "mse": ("mean squared error {word} by {by}", 1.0),
    "mae": ("mean absolute error {word} by {by}", 1.0),
}


class Change(TypedDict):
    """A row that the two predict differently: its key and both predictions, as text."""

    key: str
    production: str
    challenger: str


class Beside(TypedDict):
    """``challenger.json`` of a day. ``agreed``: the share of rows with the same label, None for a regression;
    ``apart``: the mean distance of a row's probabilities (or values), for the class where it is largest; ``changes``:
    the rows with the largest distances. ``failed``: why the challenger produced no scores; then nothing else is set."""

    rows: int
    agreed: float | None
    apart: float
    changes: list[Change]
    failed: NotRequired[str]


class Paired(TypedDict):
    """What labels showed about a challenger's day: the same measure of both versions on the same rows."""

    rows: int
    measure: str
    production: float
    challenger: float


def told_of_challenger(
    days: Mapping[str, Beside], labelled: Mapping[str, Paired], where: str = "beside production"
) -> list[str]:
    """Sentences for the promotion packet; none without a day."""
    scored = {day: one for day, one in days.items() if one["rows"]}
    failed = {day: one["failed"] for day, one in days.items() if "failed" in one}
    lost = (
        [f"On {_days(len(failed))} it produced no scores, last {max(failed)}: {failed[max(failed)]}"] if failed else []
    )
    if not scored:
        return lost
    rows = sum(one["rows"] for one in scored.values())
    period = f"{min(scored)} to {max(scored)}" if len(scored) > 1 else max(scored)
    said = f"{_days(len(scored))} {where} ({period}): "
    known = [one for day, one in sorted(labelled.items()) if day in scored and one["rows"]]
    said += _paired(known) if known else "no labels yet"
    of_labels = [(one["rows"], one["agreed"]) for one in scored.values() if one["agreed"] is not None]
    agreed = sum(count * share for count, share in of_labels) / rows
    apart = sum(one["rows"] * one["apart"] for one in scored.values()) / rows
    alike = f"{agreed:.1%} of {rows:,} rows have the same label" if of_labels else f"{rows:,} rows"
    newest = scored[max(scored)]["changes"]
    most = "; ".join(f"{one['key']}: {one['production']} to {one['challenger']}" for one in newest)
    changed = [f"Changed the most: {most}"] if most else []
    return [said, f"{alike}, predictions are {apart:.3g} apart on average", *changed, *lost]


def _paired(days: Sequence[Paired]) -> str:
    """The mean difference over all rows, and its uncertainty, with days as the independent units."""
    told, scale = MEASURES[days[0]["measure"]]
    better = 1 if days[0]["measure"] == "accuracy" else -1
    gains = [better * (one["challenger"] - one["production"]) for one in days]
    rows = [one["rows"] for one in days]
    gain = sum(count * each for count, each in zip(rows, gains, strict=True)) / sum(rows)
    found = told.format(by=f"{abs(scale * gain):.2g}", word="better" if gain >= 0 else "worse")
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
