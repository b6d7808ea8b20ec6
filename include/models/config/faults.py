"""Whether a day's data is faulty, rather than the world having changed: compares its raw tables, as scoring counted
them, with those of the days that the version was trained on. Pure.

A fault is what no plausible world delivers: a dead or tripled feed, values missing or stuck, of a whole column or of
single machines, codes in place of values, texts that are new or have vanished, swapped columns, another unit or scale,
another clock, a repeated day. Each is checked in the day alone and in the last three days together, rows and texts also
in the last seven: what is inconclusive on one day shows on the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import reduce
from math import log
from statistics import fmean, pstdev

from . import wording
from .chance import probability
from .clock import SHIFTS, gains_of_shifts
from .drift_profile import DayProfile
from .fault import SHOWN, Fault, Kind
from .faulty_values import FEWEST_ROWS, FEWEST_STILL, codes, levels, missing_values, of_segments
from .watching import Reference, SegmentCounts, SegmentReference, TableCounts, Texts, add_sums

WINDOWS = (1, 3, 7)
FALSE_DAYS = 1e-3  # share of sound days that chance may call faulty, over all counts together
LESS, MORE = 0.7, 1.5  # times the usual, for counts that vary; smaller changes may be real
STEADY = 0.02  # deviation / mean below which a table's row count is considered fixed
STEADY_LESS = 0.98
FEWEST_OF_WEEK = 10  # rows expected in a window, for an empty one to say something
FEWEST_OF_TEXT = 20  # likewise of a text's rows, for none to say something
OFTEN_ALONE = 0.1  # share of training's days with a text that no other has, above which a column is no category
FEWEST_WHOLE, ALWAYS = 20, 0.99  # training's days with as many rows, and the share of them that is always
UNUSED_HOUR = 0.005  # share of training's rows


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
                seen = sum(one["rows"] for one in usual) if day > max(reference["days"], default=day) else 0
                for fault in _of_table(reference, name, [tables[name] for tables in counted], usual, seen):
                    found.setdefault((fault.table, fault.column, fault.kind), fault)
    for fault in _repeated(reference, day, profiles):
        found[fault.table, None, fault.kind] = fault
    return [*found.values()]


def _of_table(
    reference: Reference, name: str, counted: list[TableCounts], usual: list[TableCounts], seen: int
) -> Iterator[Fault]:
    """``seen``: the rows that training had, if the day comes after its days."""
    if not usual:
        return
    tables = next(iter(reference["days"].values())).values()
    level = FALSE_DAYS / len(WINDOWS) / sum(1 + sum(map(len, one["values"].values())) for one in tables)
    window = reduce(_together, counted)
    yield from _texts(reference, name, counted, usual, level)
    yield from _clock(name, counted, window, usual, level)
    if reference["timed"]:
        yield from _volume(name, counted, usual, level)
        yield from _history(name, counted, seen)
    elif len(counted) == 3 and not window["rows"]:  # training does not tell how many rows a day has
        yield Fault(name, None, "volume", "no row in 3 days", days=3)
    if len(counted) <= 3:  # longer windows are only for what is rare
        yield from _of_columns(reference["segments"].get(name), name, counted, window, usual)


def _of_columns(
    known: SegmentReference | None,
    name: str,
    counted: list[TableCounts],
    window: TableCounts,
    usual: list[TableCounts],
) -> Iterator[Fault]:
    alone, days, told = len(counted) == 1, len(counted), set[str | None]()
    yield from codes(name, counted, window, usual)
    if alone:
        yield from _ends_of_day(name, window, usual)
    if alone or counted[-1]["rows"] < FEWEST_ROWS:  # otherwise the day alone was judged already
        for fault in [*missing_values(name, counted, window, usual), *levels(name, window, usual, days)]:
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
            yield from of_segments(name, column, own, few, days)


def _volume(name: str, counted: list[TableCounts], usual: list[TableCounts], level: float) -> Iterator[Fault]:
    rows, days = sum(one["rows"] for one in counted), [one["rows"] for one in usual]
    expected = fmean(days) * len(counted)
    if not expected:
        return
    ended = _has_ended([one["rows"] for one in counted], level)
    if ended and not any(_has_ended(days[start : start + 7], level) for start in range(len(days))):
        yield Fault(name, None, "volume", "no row in 3 days, after days that had some", days=3)
    steady = pstdev(days) < STEADY * fmean(days)
    unlikely = steady or probability(rows, days, len(counted)) < level or _never_empty(rows, days, len(counted))
    fewest = min(expected * STEADY_LESS, min(days) * len(counted)) if steady else expected * LESS
    outside = rows < fewest or rows > expected * MORE
    if outside and unlikely and _still_so(counted[-1]["rows"], rows, expected, len(counted)):
        many = f"{wording.counted(rows, 'row')}{_in(counted)}"
        yield Fault(name, None, "volume", f"{many}, where {expected:,.0f} are usual", days=len(counted))


def _has_ended(days: list[int], level: float) -> bool:
    """Whether a week's last three days are empty, after four with too many rows for that."""
    return len(days) == 7 and not any(days[4:]) and sum(days[:4]) > 4 * log(1 / level)


def _never_empty(rows: int, days: list[int], number: int) -> bool:
    """Whether there is no row in a week, and never was such a week in training, though its days may differ widely."""
    starts = range(len(days) - number + 1)
    often = number > 3 and fmean(days) * number >= FEWEST_OF_WEEK
    return often and not rows and all(sum(days[start : start + number]) for start in starts)


def _history(name: str, counted: list[TableCounts], seen: int) -> Iterator[Fault]:
    """Checks tables that contain all rows up to the day."""
    own, last = counted[-1]["total"], counted[-1]["rows"]
    earlier = [one["total"] for one in counted[:-1] if one["total"] > one["rows"]]
    before = max([*earlier, seen if earlier or own > last else 0], default=0)
    if own < 0.9 * before:
        yield Fault(name, None, "history", f"{wording.counted(own, 'row')} in all, where there were {before:,} before")


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


def _ends_of_day(name: str, day: TableCounts, usual: list[TableCounts]) -> Iterator[Fault]:
    """Columns that tell the time of day, as their values at its ends are always the same: where rows' times are made of
    their positions, only these show that a file begins too late, or runs backwards."""
    whole = [one.get("ends", {}) for one in usual if one["rows"] == day["rows"]]
    for column, pair in day.get("ends", {}).items():
        known = whole[-1].get(column) if len(whole) >= FEWEST_WHOLE else None
        if known and known != pair and sum(one.get(column) == known for one in whole) >= ALWAYS * len(whole):
            found = "begins with {:g} and ends with {:g}, where all days begin with {:g} and end with {:g}"
            told = f"{found.format(*pair, *known)}: the file may begin too late, or have other columns"
            yield Fault(name, column, "clock", told)


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
    told = f"{wording.counted(abs(off), 'hour')} {'ahead' if off > 0 else 'behind'}"
    return f"the hours of its {sum(hours):,} rows fit a clock that is {told}"


def _repeated(reference: Reference, day: str, profiles: Mapping[str, DayProfile]) -> Iterator[Fault]:
    tables = {each: one.get("tables") or {} for each, one in profiles.items()}
    for name, last in tables.get(day, {}).items():
        usual = [one for of_day in reference["days"].values() if (one := of_day.get(name)) and one["rows"]]
        differ = len({one["digest"] for one in usual}) == len(usual) > 0
        if last["rows"] < FEWEST_STILL or not differ or last["total"] > last["rows"]:
            continue
        same = [each for each in tables if each < day and _digest(tables[each].get(name)) == last["digest"]]
        if same:
            found = f"the same {last['rows']:,} rows as {max(same)}"
            yield Fault(name, None, "repeated", f"{found}, except for their times" if last["hours"] else found)


def _digest(counts: TableCounts | None) -> int | None:
    return counts["digest"] if counts else None


def _texts(
    reference: Reference, name: str, counted: list[TableCounts], usual: list[TableCounts], level: float
) -> Iterator[Fault]:
    for column in usual[-1]["values"]:
        if not all(column in one["values"] for one in usual):
            continue
        before, last = [one["values"][column] for one in usual], counted[-1]["values"].get(column)
        if last is None:
            if len(counted) == 1 and column in counted[-1]["missing"] and _is_category(before):
                yield Fault(name, column, "new text", "far more different values than in training")
        elif all(column in one["values"] for one in counted):
            yield from _of_texts(name, column, [one["values"][column] for one in counted], before)
            if reference["timed"]:  # otherwise the number of rows per day is unknown
                yield from _numbers_of_texts(name, column, [one["values"][column] for one in counted], before, level)


def _of_texts(name: str, column: str, counted: list[Texts], usual: list[Texts]) -> Iterator[Fault]:
    values, known, days = reduce(_sum, counted), reduce(_sum, usual), len(counted)
    if new := sorted(values.keys() - known.keys()):
        many = sum(values[value] for value in new)
        if many >= 2 and any(value in counted[-1] for value in new) and _is_category(usual):
            found = f"{many:,} rows with values unknown to training: {', '.join(new[:SHOWN])}"
            yield Fault(name, column, "new text", found, days=days)
    for value in sorted(known.keys() - values.keys()) if len(known) > 1 else ():
        share = known[value] / sum(known.values())
        expected = share * sum(values.values())
        if expected > FEWEST_OF_TEXT and not _was_absent(value, share, usual, days):
            found = f"no row of '{value}'{_in(counted)}, where {expected:,.0f} of as many are usual"
            yield Fault(name, column, "vanished", found, days=days)


def _is_category(usual: list[Texts]) -> bool:
    """Whether hardly a day of training had a value that no other had."""
    days = Counter(value for values in usual for value in values)
    return sum(any(days[value] == 1 for value in values) for values in usual) <= OFTEN_ALONE * len(usual)


def _was_absent(value: str, share: float, usual: list[Texts], days: int) -> bool:
    """Whether training had as many days in a row without the value, though enough rows."""
    rows = [0 if value in values else sum(values.values()) for values in usual]
    some = [any(value in values for values in usual[start : start + days]) for start in range(len(usual) - days + 1)]
    return any(
        not found and share * sum(rows[start : start + days]) > FEWEST_OF_TEXT for start, found in enumerate(some)
    )


def _numbers_of_texts(
    name: str, column: str, counted: list[Texts], usual: list[Texts], level: float
) -> Iterator[Fault]:
    values, known = reduce(_sum, counted), reduce(_sum, usual)
    for value, many in known.items() if len(known) > 1 else ():
        days, now = [values.get(value, 0) for values in usual], values.get(value, 0)
        expected = many / len(usual) * len(counted)
        if (
            (now < expected * LESS or now > expected * MORE)
            and _still_so(counted[-1].get(value, 0), now, expected, len(counted))
            and probability(now, days, len(counted)) < level
        ):
            kind: Kind = "volume" if now else "vanished"
            found = f"{wording.counted(now, 'row')} of '{value}'{_in(counted)}, where {expected:,.1f} are usual"
            yield Fault(name, column, kind, found, days=len(counted))


def _absent(name: str, present: Sequence[str], window: TableCounts) -> Iterator[Fault]:
    absent = [segment for segment in present if segment not in window.get("segments", {})]
    if absent and window["rows"]:
        found = f"no rows for {len(absent)} of the {len(present)} segments that have some every day"
        yield Fault(name, None, "absent", found, absent)


def _still_so(last: int, rows: int, expected: float, days: int) -> bool:
    """Whether the last day deviates in the same direction as the window: a repaired feed has no fault today."""
    return last < expected / days if rows < expected else last > expected / days


def _in(counted: Sequence[object]) -> str:
    return f" in {len(counted)} days" if len(counted) > 1 else ""


def _sum(one: Texts, other: Texts) -> Texts:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _together(one: TableCounts, other: TableCounts) -> TableCounts:
    """The counts of two days together."""
    segments, more = one.get("segments", {}), other.get("segments", {})
    return {
        **other,
        "rows": one["rows"] + other["rows"],
        "hours": [a + b for a, b in zip(one["hours"], other["hours"], strict=True)],
        "missing": {name: count + other["missing"].get(name, 0) for name, count in one["missing"].items()},
        "numbers": {name: add_sums(sums, other["numbers"][name]) for name, sums in one["numbers"].items()},
        "segments": {name: _segment(segments.get(name), more.get(name)) for name in {**segments, **more}},
    }


def _segment(one: SegmentCounts | None, other: SegmentCounts | None) -> SegmentCounts:
    if one is None or other is None:
        return one or other or {"rows": 0, "numbers": {}}
    numbers = {name: add_sums(sums, other["numbers"][name]) for name, sums in one["numbers"].items()}
    return {"rows": one["rows"] + other["rows"], "numbers": numbers}
