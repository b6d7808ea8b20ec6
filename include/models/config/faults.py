"""Whether a day's data is faulty, rather than the world having changed: compares its raw tables, as scoring counted
them, with those of the days that the version was trained on. Pure.

A fault is what no plausible world delivers: a dead or tripled feed, values missing or stuck, of a whole column or of
single machines, texts that are new or have vanished, swapped columns, another unit, another clock, a repeated day. Each
is checked in the day alone and in the last three days together, rare ones also in the last seven: what is inconclusive
on one day shows on the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from functools import reduce
from math import log, sqrt
from statistics import fmean, median, pstdev
from typing import Literal, TypedDict, cast

from .chance import probability
from .clock import SHIFTS, gains_of_shifts
from .drift_profile import DayProfile
from .watching import Reference, SegmentColumn, SegmentCounts, Sums, TableCounts

WINDOWS = (1, 3, 7)
FALSE_DAYS = 1e-3  # share of sound days that chance may call faulty, over all counts together
LESS, MORE = 0.7, 1.5  # times the usual, for counts that vary; smaller changes may be real
STEADY = 0.02  # deviation / mean below which a table's row count is considered fixed
STEADY_LESS = 0.97
FEWEST_ROWS = 30  # rows needed to judge a column by mean and deviation
FEWEST_STILL = 6  # identical values needed to call a column stuck
MISSING_MORE = 0.1  # share of a column's rows, above the maximum of training's days
SEGMENT_MISSING_MORE = 0.5
SAME_FACTOR = 0.25  # tolerance, in logarithms, for mean and deviation to have changed by the same factor
OTHER_UNIT = 0.35  # the smallest factor (in logarithms) that counts as another unit
UNUSED_HOUR = 0.005  # share of training's rows
SHOWN = 5

Kind = Literal[
    "volume",
    "history",
    "missing",
    "still",
    "absent",
    "new text",
    "vanished",
    "swapped",
    "unit",
    "clock",
    "repeated",
    "late labels",
    "refused",
]


class FaultJson(TypedDict):
    table: str
    column: str | None
    kind: Kind
    found: str
    segments: list[str]
    days: int


@dataclass(frozen=True)
class Fault:
    """What is wrong, in words; ``days``: the length of the window, up to the judged day, in which it shows."""

    table: str
    column: str | None
    kind: Kind
    found: str
    segments: Sequence[str] = field(default_factory=list)
    days: int = 1

    @property
    def where(self) -> str:
        return f"{self.table}.{self.column}" if self.column else self.table

    def __str__(self) -> str:
        some = ", ".join(self.segments[:SHOWN])
        more = f" and {len(self.segments) - SHOWN} more" if len(self.segments) > SHOWN else ""
        return f"{self.where}: {self.found}" + (f" ({some}{more})" if some else "")

    def as_json(self) -> FaultJson:
        return cast("FaultJson", asdict(self))


def faults_of(reference: Reference, day: str, profiles: Mapping[str, DayProfile]) -> list[Fault]:
    """The faults in the day's tables, alone or together with earlier days, shortest window first.

    Args:
        profiles: by day, including the day itself; all scored by the reference's version.
    """
    found: dict[tuple[str, str | None, Kind], Fault] = {}
    for days in WINDOWS:
        window = [(date.fromisoformat(day) - timedelta(days=back)).isoformat() for back in reversed(range(days))]
        counted = [one["tables"] for each in window if (one := profiles.get(each)) and one.get("tables")]
        if len(counted) < days:
            break
        for name in counted[-1]:
            if all(name in tables for tables in counted):
                usual = [tables[name] for tables in reference["days"].values() if name in tables]
                for fault in _of_table(reference, name, [tables[name] for tables in counted], usual):
                    found.setdefault((fault.table, fault.column, fault.kind), fault)
    return [*found.values()]


def _of_table(reference: Reference, name: str, counted: list[TableCounts], usual: list[TableCounts]) -> Iterator[Fault]:
    if not usual:
        return
    tables = next(iter(reference["days"].values())).values()
    level = FALSE_DAYS / len(WINDOWS) / sum(1 + sum(map(len, one["values"].values())) for one in tables)
    window = reduce(_together, counted)
    yield from _texts(reference, name, counted, usual, level)
    yield from _clock(name, counted, window, usual, level)
    if len(counted) > 3:  # longer windows are only for what is rare
        return
    if reference["timed"]:
        yield from _volume(name, counted, usual, level)
        yield from _history(name, counted)
        yield from _repeated(name, counted, usual)
    alone, known = len(counted) == 1, reference["segments"].get(name)
    told = set()
    if alone or counted[-1]["rows"] < FEWEST_ROWS:  # otherwise the day alone was judged already
        for fault in [*_missing(name, window, usual, len(counted)), *_levels(name, window, usual, len(counted))]:
            told.add(fault.column)
            yield fault
    if known is None:
        return
    if alone:
        yield from _absent(name, known["present"], window)
    last, all_of_them = counted[-1].get("segments", {}), window.get("segments", {})
    few = {key: one for key, one in all_of_them.items() if alone or (key in last and last[key]["rows"] < FEWEST_STILL)}
    for column, own in known["numbers"].items():
        if column not in told:
            yield from _segments(name, column, own, few, len(counted))


def _volume(name: str, counted: list[TableCounts], usual: list[TableCounts], level: float) -> Iterator[Fault]:
    rows, days = sum(one["rows"] for one in counted), [one["rows"] for one in usual]
    expected = fmean(days) * len(counted)
    if not expected:
        return
    steady = pstdev(days) < STEADY * fmean(days)
    unlikely = steady or probability(rows, days, len(counted)) < level
    outside = rows < expected * (STEADY_LESS if steady else LESS) or rows > expected * MORE
    if outside and unlikely and _still_so(counted[-1]["rows"], rows, expected, len(counted)):
        many = f"{rows:,} rows{_in(counted)}"
        yield Fault(name, None, "volume", f"{many}, where {expected:,.0f} are usual", days=len(counted))


def _history(name: str, counted: list[TableCounts]) -> Iterator[Fault]:
    """Checks tables that contain all rows up to the day."""
    own, before = (
        counted[-1]["total"],
        max((one["total"] for one in counted[:-1] if one["total"] > one["rows"]), default=0),
    )
    if own < 0.9 * before:
        yield Fault(name, None, "history", f"{own:,} rows in all, where there were {before:,} before")


def _clock(
    name: str, counted: list[TableCounts], window: TableCounts, usual: list[TableCounts], level: float
) -> Iterator[Fault]:
    hours, before = window["hours"], [sum(of) for of in zip(*(one["hours"] for one in usual), strict=True)]
    if not hours or not sum(before) or window["rows"] < FEWEST_STILL:
        return
    unused = [hour for hour, rows in enumerate(before) if rows < UNUSED_HOUR * sum(before)]
    wrong = sum(hours[hour] for hour in unused)
    if wrong > window["rows"] / 2:
        found = f"{wrong:,} of {window['rows']:,} rows lie at hours of the day that have hardly any in training"
        yield Fault(name, None, "clock", f"{found}: the clock or the time zone differs", days=len(counted))
    elif told := _shifted(counted, window["hours"], usual, before, level):
        yield Fault(name, None, "clock", told, days=len(counted))
    always = [hour for hour in range(len(hours)) if sum(one["hours"][hour] > 0 for one in usual) > 0.99 * len(usual)]
    empty = [hour for hour in always if not hours[hour]]
    full = [hour for hour in always if hours[hour]]
    if empty and full and (max(empty) < min(full) or min(empty) > max(full)):
        found = f"no row from {min(empty):02}:00 to {max(empty):02}:59, at one end of the day: the clock may be shifted"
        yield Fault(name, None, "clock", f"{found}, or the file is cut off", days=len(counted))


def _shifted(
    counted: list[TableCounts], hours: list[int], usual: list[TableCounts], before: list[int], level: float
) -> str | None:
    """The shift of the clock, in words, that makes the hours of the rows far likelier, also those of the last day; and
    more than it does in any window of training, as rows of an hour may come together."""
    gains = gains_of_shifts(hours, before)
    likeliest = max(gains, key=gains.__getitem__)
    if gains[likeliest] < log(SHIFTS / level) or gains_of_shifts(counted[-1]["hours"], before)[likeliest] < 0:
        return None
    every, length = [one["hours"] for one in usual], len(counted)
    starts = range(0, len(every) - length + 1, length)
    windows = ([sum(of) for of in zip(*every[start : start + length], strict=True)] for start in starts)
    if any(max(gains_of_shifts(one, before).values()) >= gains[likeliest] for one in windows):
        return None
    off, loses = likeliest
    off = off if loses else min(off, off - len(hours), key=abs)
    told = f"{abs(off)} hour{'s' if abs(off) > 1 else ''} {'ahead' if off > 0 else 'behind'}"
    return f"the hours of its {sum(hours):,} rows fit a clock that is {told}"


def _repeated(name: str, counted: list[TableCounts], usual: list[TableCounts]) -> Iterator[Fault]:
    digests = [one["digest"] for one in usual if one["rows"]]
    last = counted[-1]
    if last["rows"] < FEWEST_STILL or len(set(digests)) < len(digests) or last["total"] > last["rows"]:
        return
    for back, one in enumerate(reversed(counted[:-1]), 1):
        if one["digest"] == last["digest"]:
            which = "the day before" if back == 1 else f"{back} days before"
            yield Fault(name, None, "repeated", f"the same {last['rows']:,} rows as {which}, except for their times")


def _texts(
    reference: Reference, name: str, counted: list[TableCounts], usual: list[TableCounts], level: float
) -> Iterator[Fault]:
    for column in usual[-1]["values"]:
        if not all(column in one["values"] for one in [*counted, *usual]):
            continue
        values = reduce(_sum, (one["values"][column] for one in counted), dict[str, int]())
        known = reduce(_sum, (one["values"][column] for one in usual), dict[str, int]())
        rows, all_rows = sum(values.values()), sum(known.values())
        if new := sorted(values.keys() - known.keys()):
            many = sum(values[value] for value in new)
            if many >= 2 and any(value in counted[-1]["values"][column] for value in new):
                found = f"{many:,} rows with values unknown to training: {', '.join(new[:SHOWN])}"
                yield Fault(name, column, "new text", found, days=len(counted))
        if len(known) < 2:
            continue
        for value, many in known.items():
            days, now = [one["values"][column].get(value, 0) for one in usual], values.get(value, 0)
            expected = many / len(usual) * len(counted)
            if not reference["timed"]:  # the number of rows per day is unknown
                expected = many / all_rows * rows if all_rows else 0.0
                if not now and expected > 20:
                    yield Fault(name, column, "vanished", f"no row of '{value}', where {expected:,.0f} are usual")
            elif (
                (now < expected * LESS or now > expected * MORE)
                and _still_so(counted[-1]["values"][column].get(value, 0), now, expected, len(counted))
                and probability(now, days, len(counted)) < level
            ):
                kind: Kind = "volume" if now else "vanished"
                found = f"{now:,} rows of '{value}'{_in(counted)}, where {expected:,.1f} are usual"
                yield Fault(name, column, kind, found, days=len(counted))


def _missing(name: str, window: TableCounts, usual: list[TableCounts], days: int) -> Iterator[Fault]:
    rows = window["rows"]
    for column, missing in window["missing"].items():
        shares = [one["missing"][column] / one["rows"] for one in usual if one["rows"] >= FEWEST_STILL]
        if rows >= FEWEST_STILL and shares and missing / rows > 1.5 * max(shares) + MISSING_MORE:
            found = f"no value in {missing / rows:.1%} of {rows:,} rows; on no day of training was it more than"
            yield Fault(name, column, "missing", f"{found} {max(shares):.1%}", days=days)


def _levels(name: str, window: TableCounts, usual: list[TableCounts], days: int) -> Iterator[Fault]:
    """Columns that are stuck, in another unit, or swapped."""
    columns: dict[str, tuple[float, float, SegmentColumn]] = {}
    for column, sums in window["numbers"].items():
        known = [one["numbers"][column] for one in usual if one["numbers"][column][0] >= FEWEST_STILL]
        if not known or sums[0] < FEWEST_STILL:
            continue
        if sums[3] == sums[4] and all(one[3] < one[4] for one in known):
            found = f"the same value, {sums[3]:g}, in all {sums[0]:,.0f} rows with a value"
            yield Fault(name, column, "still", found, days=days)
        elif sums[0] >= FEWEST_ROWS and sums[3] < sums[4]:
            means, deviations = [one[1] / one[0] for one in known], [_deviation(one) for one in known]
            own: SegmentColumn = {
                "missing": 0.0,
                "still": 0.0,
                "mean": (min(means), median(means), max(means)),
                "deviation": (min(deviations), median(deviations), max(deviations)),
            }
            columns[column] = sums[1] / sums[0], _deviation(sums), own
    outside = {column: one for column, one in columns.items() if _is_outside(one[0], one[2])}
    for column, (mean, deviation, own) in outside.items():
        if other := next(
            (name for name in outside if name != column and _is_like(mean, deviation, outside[name][2])), None
        ):
            before = f"its own mean was {own['mean'][1]:.4g}"
            found = f"its values (mean {mean:.4g}) look like those of {other} in training; {before}"
            yield Fault(name, column, "swapped", found, days=days)
        elif told := _other_unit(mean, deviation, own):
            yield Fault(name, column, "unit", told, days=days)


def _segments(
    name: str, column: str, own: SegmentColumn, segments: Mapping[str, SegmentCounts], days: int
) -> Iterator[Fault]:
    gone, still, units = list[str](), list[str](), dict[str, list[str]]()
    for segment, one in segments.items():
        rows, sums = one["rows"], one["numbers"][column]
        missing = (rows - sums[0]) / rows if rows else 0.0
        if rows >= FEWEST_STILL and missing > own["missing"] + SEGMENT_MISSING_MORE:
            gone.append(segment)
        elif sums[0] >= FEWEST_STILL and sums[3] == sums[4]:
            if own["still"] < 0.01:
                still.append(segment)
        elif (
            sums[0] >= FEWEST_STILL
            and _is_outside(sums[1] / sums[0], own)
            and (told := _other_unit(sums[1] / sums[0], _deviation(sums), own))
        ):
            units.setdefault(told, []).append(segment)
    if gone:
        yield Fault(name, column, "missing", f"no value of {len(gone)} of {len(segments)} segments", gone, days)
    if still:
        yield Fault(name, column, "still", f"is stuck in {len(still)} of {len(segments)} segments", still, days)
    if units:
        told = max(units, key=lambda one: len(units[one]))
        some = sorted(segment for named in units.values() for segment in named)
        yield Fault(name, column, "unit", f"{told}, in {len(some)} of {len(segments)} segments", some, days)


def _absent(name: str, present: Sequence[str], window: TableCounts) -> Iterator[Fault]:
    absent = [segment for segment in present if segment not in window.get("segments", {})]
    if absent and window["rows"]:
        found = f"no rows for {len(absent)} of the {len(present)} segments that have some every day"
        yield Fault(name, None, "absent", found, absent)


def _is_outside(mean: float, own: SegmentColumn) -> bool:
    low, _, high = own["mean"]
    span = max(high - low, own["deviation"][1] / 4)
    return not low - span <= mean <= high + span


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
    return None


def _still_so(last: int, rows: int, expected: float, days: int) -> bool:
    """Whether the last day deviates in the same direction as the window: a repaired feed has no fault today."""
    return last < expected / days if rows < expected else last > expected / days


def _deviation(sums: Sums) -> float:
    return sqrt(max(0.0, sums[2] / sums[0] - (sums[1] / sums[0]) ** 2))


def _in(counted: Sequence[object]) -> str:
    return f" in {len(counted)} days" if len(counted) > 1 else ""


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _together(one: TableCounts, other: TableCounts) -> TableCounts:
    """The counts of two days together."""
    segments, more = one.get("segments", {}), other.get("segments", {})
    return {
        **other,
        "rows": one["rows"] + other["rows"],
        "hours": [a + b for a, b in zip(one["hours"], other["hours"], strict=True)],
        "missing": {name: count + other["missing"].get(name, 0) for name, count in one["missing"].items()},
        "numbers": {name: _add(sums, other["numbers"][name]) for name, sums in one["numbers"].items()},
        "segments": {name: _segment(segments.get(name), more.get(name)) for name in {**segments, **more}},
    }


def _segment(one: SegmentCounts | None, other: SegmentCounts | None) -> SegmentCounts:
    if one is None or other is None:
        return one or other or {"rows": 0, "numbers": {}}
    numbers = {name: _add(sums, other["numbers"][name]) for name, sums in one["numbers"].items()}
    return {"rows": one["rows"] + other["rows"], "numbers": numbers}


def _add(one: Sums, other: Sums) -> Sums:
    if not one[0] or not other[0]:
        return one if one[0] else other
    return [one[0] + other[0], one[1] + other[1], one[2] + other[2], min(one[3], other[3]), max(one[4], other[4])]
