"""Whether the values in a raw table's columns are faulty: missing, stuck, a code, in another unit or another column.
Pure; ``faults.py`` decides which days are examined together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log
from statistics import fmean, median, pstdev

from .fault import Fault
from .watching import SegmentColumn, SegmentCounts, Sums, TableCounts, deviation_of

FEWEST_ROWS = 30  # rows needed to judge a column by mean and deviation
FEWEST_STILL = 6  # identical values needed to call a column stuck
FEWEST_MISSING = 3  # values
MISSING_MORE = 0.02  # share of a column's rows, above 1.5 times the maximum of training's days
SEGMENT_MISSING_MORE = 0.5
CODE_MORE = 0.1  # likewise of rows with the lowest or the highest value
BEYOND = 2.0  # deviations from training's lowest or highest value
SAME_FACTOR = 0.25  # tolerance, in logarithms, for mean and deviation to have changed by the same factor
NARROW = 3.0  # times less than on any day of training: a deviation at which values hardly vary
FEWEST_NARROW = 12  # rows of a segment needed for it: fewer may resemble each other by chance
OTHER_UNIT = 0.35  # the smallest factor (in logarithms) that counts as another unit
FAR = 5.0  # deviations of the logarithms of daily means


def missing_values(
    name: str, counted: list[TableCounts], window: TableCounts, usual: list[TableCounts]
) -> Iterator[Fault]:
    """Columns that lack far more values than on any day of training; also on the last day, as a repaired feed has no
    fault any more."""
    rows = window["rows"]
    for column, missing in window["missing"].items():
        known = [one for one in usual if one["rows"] >= FEWEST_STILL and column in one["missing"]]
        shares = [one["missing"][column] / one["rows"] for one in known]
        if rows < FEWEST_STILL or not shares or missing < FEWEST_MISSING or not counted[-1]["missing"][column]:
            continue
        if missing / rows > 1.5 * max(shares) + MISSING_MORE:
            found = f"no value in {missing / rows:.1%} of {rows:,} rows; on no day of training was it more than"
            yield Fault(name, column, "missing", f"{found} {max(shares):.1%}", days=len(counted))


def codes(name: str, counted: list[TableCounts], window: TableCounts, usual: list[TableCounts]) -> Iterator[Fault]:
    """Columns in which one value stands for others: a code such as -999 or 0 where a value is missing, or the end of a
    sensor's range. It is the lowest or the highest value of many rows, also on the last day."""
    for column, sums in window["numbers"].items():
        last = counted[-1]["numbers"][column]
        known = [one["numbers"][column] for one in usual if one["numbers"][column][0] >= FEWEST_STILL]
        known = [one for one in known if len(one) == len(sums) == 7]  # versions from before had no more than five
        if not known or not sums[0] or sums[3] == sums[4]:
            continue
        spread = median(deviation_of(one) for one in known)
        below, above = min(one[3] for one in known) - sums[3], sums[4] - max(one[4] for one in known)
        for value, rows, place, beyond in ((sums[3], sums[5], 5, below), (sums[4], sums[6], 6, above)):
            share, usual_share = rows / sums[0], sorted(one[place] / one[0] for one in known)[-1 - len(known) // 100]
            if 0 < BEYOND * spread < beyond:
                is_code = rows >= FEWEST_MISSING and share > MISSING_MORE
            else:
                is_code = rows >= FEWEST_STILL and share > 1.5 * usual_share + CODE_MORE
            if is_code and last[0] and value in last[3:5]:
                found = f"{value:g} in {share:.1%} of {sums[0]:,.0f} rows with a value"
                found += ": a code for a missing value, or the end of the sensor's range"
                yield Fault(name, column, "code", found, days=len(counted))


def levels(name: str, window: TableCounts, usual: list[TableCounts], days: int) -> Iterator[Fault]:
    """Columns that are stuck, in another unit, or swapped."""
    outside: dict[str, tuple[float, float, SegmentColumn]] = {}
    beyond: dict[str, str | None] = {}
    for column, sums in window["numbers"].items():
        known = [one["numbers"][column] for one in usual if one["numbers"][column][0] >= FEWEST_STILL]
        if not known or sums[0] < FEWEST_STILL:
            continue
        newer = known[len(known) // 2 :]  # a column may have begun to vary during training
        if sums[3] == sums[4] and all(one[3] < one[4] for one in newer):
            found = f"the same value, {sums[3]:g}, in all {sums[0]:,.0f} rows with a value"
            yield Fault(name, column, "still", found, days=days)
        elif sums[0] >= FEWEST_ROWS and sums[3] < sums[4]:
            means, deviations = [one[1] / one[0] for one in known], [deviation_of(one) for one in known]
            own: SegmentColumn = {
                "missing": 0.0,
                "still": 0.0,
                "mean": (min(means), median(means), max(means)),
                "deviation": (min(deviations), median(deviations), max(deviations)),
            }
            mean, deviation = sums[1] / sums[0], deviation_of(sums)
            if _is_outside(mean, own) or _is_far(mean, means):
                outside[column], beyond[column] = (mean, deviation, own), _beyond(sums, known)
            elif _is_narrow(deviation, own):
                least = own["deviation"][0]
                found = f"hardly varies: its deviation is {deviation:.3g}, in training {least:.3g} or more"
                yield Fault(name, column, "still", found, days=days)
    like = {
        column: next((one for one in outside if one != column and _is_like(mean, deviation, outside[one][2])), "")
        for column, (mean, deviation, _) in outside.items()
    }
    for column, (mean, deviation, own) in outside.items():
        if like.get(like[column]):  # columns take each other's places, two or more of them
            before = f"its own mean was {own['mean'][1]:.4g}"
            found = f"its values (mean {mean:.4g}) look like those of {like[column]} in training; {before}"
            yield Fault(name, column, "swapped", found, days=days)
        elif told := _other_unit(mean, deviation, own) or beyond[column]:
            yield Fault(name, column, "unit", told, days=days)


def of_segments(
    name: str, column: str, own: SegmentColumn, segments: Mapping[str, SegmentCounts], days: int
) -> Iterator[Fault]:
    told: dict[str, list[str]] = {}
    for segment, one in segments.items():
        if what := _of_segment(one["rows"], one["numbers"][column], own):
            told.setdefault(what, []).append(segment)
    gone, still, units = told.pop("missing", []), told.pop("still", []), told
    if gone:
        yield Fault(name, column, "missing", f"no value of {len(gone)} of {len(segments)} segments", gone, days)
    if still:
        found = f"is stuck, or nearly so, in {len(still)} of {len(segments)} segments"
        yield Fault(name, column, "still", found, still, days)
    if units:
        what = max(units, key=lambda one: len(units[one]))
        some = sorted(segment for named in units.values() for segment in named)
        yield Fault(name, column, "unit", f"{what}, in {len(some)} of {len(segments)} segments", some, days)


def _of_segment(rows: int, sums: Sums, own: SegmentColumn) -> str | None:
    """What is wrong: "missing", "still", or the change of unit, in words."""
    if rows >= FEWEST_STILL and (rows - sums[0]) / rows > own["missing"] + SEGMENT_MISSING_MORE:
        return "missing"
    if sums[0] < FEWEST_STILL:
        return None
    if sums[3] == sums[4]:
        return "still" if own["still"] < 0.01 else None
    mean, deviation = sums[1] / sums[0], deviation_of(sums)
    if _is_outside(mean, own):
        return _other_unit(mean, deviation, own)
    return "still" if sums[0] >= FEWEST_NARROW and _is_narrow(deviation, own) else None


def _is_outside(mean: float, own: SegmentColumn) -> bool:
    low, _, high = own["mean"]
    span = max(high - low, own["deviation"][1] / 4)
    return not low - span <= mean <= high + span


def _is_far(mean: float, means: list[float]) -> bool:
    """As ``_is_outside``, for positive values, whose days may differ by factors."""
    if min(means) <= 0 or min(means) <= mean <= max(means):
        return False
    logs = [log(one) for one in means]
    return mean <= 0 or abs(log(mean) - fmean(logs)) > FAR * max(pstdev(logs), 0.1)


def _beyond(sums: Sums, known: list[Sums]) -> str | None:
    """In words, if all values lie beyond those of training by more than these differ; unless the column counts on, so
    that training's last day lies beyond the others too."""
    low, high = min(one[3] for one in known), max(one[4] for one in known)
    before = max((one[4] for one in known[:-1]), default=high)
    if low == high or known[-1][3] > before or not (sums[3] > 2 * high - low or sums[4] < 2 * low - high):
        return None
    return f"all values lie between {sums[3]:.4g} and {sums[4]:.4g}, in training between {low:.4g} and {high:.4g}"


def _is_narrow(deviation: float, own: SegmentColumn) -> bool:
    return deviation < own["deviation"][0] / NARROW


def _is_like(mean: float, deviation: float, other: SegmentColumn) -> bool:
    low, _, high = other["mean"]
    span = max(high - low, other["deviation"][1] / 4)
    usual = other["deviation"][1]
    return low - span <= mean <= high + span and usual > 0 and abs(log(deviation / usual)) < log(1.6)


def _other_unit(mean: float, deviation: float, own: SegmentColumn) -> str | None:
    """The change of unit, in words, if mean and deviation changed the way they do with a unit."""
    before, spread = own["mean"][1], own["deviation"][1]
    if spread <= 0 or deviation <= 0:
        return None
    wider = log(deviation / spread)
    low, _, high = own["mean"]
    if low * high > 0 and low <= -mean <= high and abs(wider) < SAME_FACTOR:
        return f"mean {mean:.4g}, before {before:.4g}: the opposite sign"
    if before and mean / before > 0:
        factor = log(mean / before)
        if abs(factor) > OTHER_UNIT and abs(factor - wider) < SAME_FACTOR:
            return f"about {mean / before:.3g} times what it was (mean {mean:.4g}, before {before:.4g}): another unit"
    span = max(own["mean"][2] - own["mean"][0], spread)
    for told, scale, offset in (
        ("°F for °C", 1.8, 32.0),
        ("°C for °F", 1 / 1.8, -32 / 1.8),
        ("K for °C", 1.0, 273.15),
        ("°C for K", 1.0, -273.15),
    ):
        if abs(mean - (scale * before + offset)) < scale * span and abs(wider - log(scale)) < SAME_FACTOR:
            return f"mean {mean:.4g}, before {before:.4g}, as {told}: another unit"
    if _is_narrow(deviation, own):  # as logarithms and standardised values do
        found = f"mean {mean:.4g}, before {before:.4g}; deviation {deviation:.3g}, before {spread:.3g}"
        return f"{found}: another scale"
    return None
