"""Faults in a day's data, and sound days: scoring's counts are compared with training's."""

from __future__ import annotations

import copy
import random
from datetime import date, timedelta
from functools import reduce
from typing import Any

import pytest

from include.models.config.faults import faults_of
from include.models.config.watching import add_sums

FIRST = date(2026, 1, 1)
DAY = (FIRST + timedelta(days=67)).isoformat()
PUMPS = [str(number) for number in range(1, 21)]
HOURS = 24


def day_of(number: int) -> str:
    return (FIRST + timedelta(days=number)).isoformat()


def sums(chance: random.Random, count: int, mean: float, deviation: float) -> list[float]:
    around = mean + chance.gauss(0, deviation / count**0.5)
    spread = deviation * (1 + chance.gauss(0, 0.05))
    total = count * (spread**2 + around**2)
    return [count, count * around, total, around - 3 * spread, around + 3 * spread, 1, 1]


def added(every: list[list[float]]) -> list[float]:
    return reduce(add_sums, every)


def tables_of(number: int) -> dict[str, Any]:
    """A day of twenty pumps with hourly readings, and about eleven alarms."""
    chance = random.Random(number)  # noqa: S311 - test data
    pumps = {
        pump: {"rows": 24, "numbers": {"volt": sums(chance, 24, 170, 15), "heat": sums(chance, 24, 40, 5)}}
        for pump in PUMPS
    }
    readings: dict[str, Any] = {
        "rows": 480,
        "total": 480,
        "digest": 1000 + number,
        "hours": [20] * HOURS,
        "missing": {"volt": 0, "heat": 0},
        "numbers": {name: added([one["numbers"][name] for one in pumps.values()]) for name in ("volt", "heat")},
        "values": {},
        "segment": "pump",
        "segments": pumps,
    }
    each = {kind: sum(chance.random() < share for _ in range(40)) for kind, share in (("A", 0.15), ("B", 0.12))}
    rows = sum(each.values())
    alarms = {
        "rows": rows,
        "total": rows,
        "digest": 5000 + number,
        "hours": [rows if hour == 6 else 0 for hour in range(HOURS)],
        "missing": {"kind": 0},
        "numbers": {},
        "values": {"kind": each},
        "segment": "pump",
        "segments": {},
    }
    return {"readings": readings, "alarms": alarms}


def reference() -> dict[str, Any]:
    days = {day_of(number): tables_of(number) for number in range(60)}
    means: dict[str, Any] = {
        "volt": {"missing": 0.0, "still": 0.0, "mean": (160.0, 170.0, 180.0), "deviation": (12.0, 15.0, 18.0)},
        "heat": {"missing": 0.0, "still": 0.0, "mean": (36.0, 40.0, 44.0), "deviation": (4.0, 5.0, 6.0)},
    }
    return {"timed": True, "days": days, "segments": {"readings": {"present": PUMPS, "numbers": means}}}


REFERENCE: Any = reference()
NOTHING = [0.0] * 7


def scaled(one: list[float], factor: float, more: float = 0.0) -> list[float]:
    count, total, squares, low, high = one[:5]
    moved = factor**2 * squares + 2 * factor * more * total + count * more**2
    ends = sorted((factor * low + more, factor * high + more))
    return [count, factor * total + count * more, moved, *ends, 1, 1]


def no_alarms(tables: Any) -> None:
    tables["alarms"] |= {"rows": 0, "total": 0, "digest": 0, "hours": [0] * HOURS, "values": {"kind": {}}}


def many_alarms(tables: Any, factor: int) -> None:
    alarms = tables["alarms"]
    for name in ("rows", "total"):
        alarms[name] *= factor
    alarms["hours"] = [rows * factor for rows in alarms["hours"]]
    alarms["values"]["kind"] = {kind: rows * factor for kind, rows in alarms["values"]["kind"].items()}


def of_pumps(tables: Any, count: int, change: Any) -> None:
    for pump in PUMPS[:count]:
        numbers = tables["readings"]["segments"][pump]["numbers"]
        numbers["volt"] = change(numbers["volt"])
    readings = tables["readings"]
    readings["numbers"]["volt"] = added([one["numbers"]["volt"] for one in readings["segments"].values()])
    readings["missing"]["volt"] = 480 - readings["numbers"]["volt"][0]


def stuck(one: list[float]) -> list[float]:
    return coded(one, 170.0, one[0])


def noise(one: list[float]) -> list[float]:
    return scaled(one, 0.01, 168.3)


def coded(one: list[float], value: float, rows: float) -> list[float]:
    """With a value in the place of some rows'."""
    kept = [each * (1 - rows / one[0]) for each in one[:3]] + one[3:]
    return added([kept, [rows, rows * value, rows * value**2, value, value, rows, rows]])


def swap(tables: Any) -> None:
    numbers = tables["readings"]["numbers"]
    numbers["volt"], numbers["heat"] = numbers["heat"], numbers["volt"]


def shift_clock(tables: Any) -> None:
    tables["alarms"]["hours"] = [tables["alarms"]["rows"] if hour == 9 else 0 for hour in range(HOURS)]


def cut(tables: Any, share: float) -> None:
    readings = tables["readings"]
    kept = PUMPS[: round(len(PUMPS) * share)]
    readings["segments"] = {pump: readings["segments"][pump] for pump in kept}
    readings["rows"] = readings["total"] = 24 * len(kept)
    readings["hours"] = [len(kept)] * HOURS


def new_text(tables: Any) -> None:
    kinds = tables["alarms"]["values"]["kind"]
    kinds["C"] = kinds.pop("A")


def lost_values(tables: Any) -> None:
    tables["readings"]["missing"]["heat"] = 20


def lost_text(tables: Any) -> None:
    many_alarms(tables, 1)
    tables["alarms"]["values"]["kind"].pop("A")


FAULTS: dict[str, tuple[Any, str, str]] = {
    "a dead feed": (no_alarms, "alarms", "volume"),
    "threefold counts": (lambda tables: many_alarms(tables, 3), "alarms", "volume"),
    "fivefold counts": (lambda tables: many_alarms(tables, 5), "alarms", "volume"),
    "a null sensor on 1": (lambda tables: of_pumps(tables, 1, lambda _: NOTHING), "readings", "missing"),
    "a null sensor on 10": (lambda tables: of_pumps(tables, 10, lambda _: NOTHING), "readings", "missing"),
    "a stuck sensor on 1": (lambda tables: of_pumps(tables, 1, stuck), "readings", "still"),
    "a stuck sensor everywhere": (lambda tables: of_pumps(tables, 20, stuck), "readings", "still"),
    "another unit": (lambda tables: of_pumps(tables, 20, lambda one: scaled(one, 0.001)), "readings", "unit"),
    "another unit on 3": (lambda tables: of_pumps(tables, 3, lambda one: scaled(one, 1000)), "readings", "unit"),
    "Fahrenheit": (lambda tables: of_pumps(tables, 20, lambda one: scaled(one, 1.8, 32)), "readings", "unit"),
    "the opposite sign": (lambda tables: of_pumps(tables, 20, lambda one: scaled(one, -1)), "readings", "unit"),
    "other values": (lambda tables: of_pumps(tables, 20, lambda one: scaled(one, 0.1, 5000)), "readings", "unit"),
    "a code for none": (lambda tables: of_pumps(tables, 20, lambda one: coded(one, -999, 1)), "readings", "code"),
    "zeros": (lambda tables: of_pumps(tables, 20, lambda one: coded(one, 0, 2)), "readings", "code"),
    "a saturated sensor": (lambda tables: of_pumps(tables, 20, lambda one: coded(one, 300, 6)), "readings", "code"),
    "some values": (lost_values, "readings", "missing"),
    "swapped columns": (swap, "readings", "swapped"),
    "a shifted clock": (shift_clock, "alarms", "clock"),
    "a file that is cut off": (lambda tables: cut(tables, 0.9), "readings", "volume"),
    "noise of a sensor on 3": (lambda tables: of_pumps(tables, 3, noise), "readings", "still"),
    "noise of a sensor everywhere": (lambda tables: of_pumps(tables, 20, noise), "readings", "still"),
    "logarithms": (lambda tables: of_pumps(tables, 20, lambda one: scaled(one, 0.006, 4.1)), "readings", "unit"),
    "a pump that sends nothing": (lambda tables: cut(tables, 0.95), "readings", "absent"),
    "a new text": (new_text, "alarms", "new text"),
    "a text that is gone": (lost_text, "alarms", "vanished"),
}


def profiles(change: Any = None, days: int = 3) -> Any:
    """The week up to a day; its last days are broken."""
    found = {}
    for number in range(61, 68):
        tables = copy.deepcopy(tables_of(number))
        if change and number > 67 - days:
            change(tables)
        found[day_of(number)] = {"rows": 480, "features": {}, "predictions": {}, "tables": tables}
    return found


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_feed_is_a_fault_within_three_days(name: str) -> None:
    change, table, kind = FAULTS[name]
    found = faults_of(REFERENCE, DAY, profiles(change))
    assert (table, kind) in {(one.table, one.kind) for one in found}, found
    assert all(str(one) and one.as_json() for one in found)


def test_sound_days_have_none() -> None:
    days = {day_of(number): {"rows": 480, "tables": tables_of(number)} for number in range(61, 130)}
    assert {day: found for day in [*days][6:] if (found := faults_of(REFERENCE, day, days))} == {}  # type: ignore[arg-type]


def test_what_the_world_does_is_none() -> None:
    higher = profiles(lambda tables: of_pumps(tables, 20, lambda one: scaled(one, 1, 15)))
    assert faults_of(REFERENCE, DAY, higher) == [], "one deviation more, with the same spread"


@pytest.mark.parametrize("back", [1, 6])
def test_a_day_that_came_before_is_a_fault(back: int) -> None:
    found, before = profiles(), day_of(67 - back)
    found[DAY]["tables"]["readings"]["digest"] = found[before]["tables"]["readings"]["digest"]
    (fault,) = faults_of(REFERENCE, DAY, found)
    assert (fault.kind, fault.found) == ("repeated", f"the same 480 rows as {before}, except for their times")


def of_prices(reference: Any, days: Any, factor: float, value: float | None = None) -> Any:
    """Instead of volts, prices whose daily means differ by factors; on the last days multiplied, or one value."""
    for number, (day, one) in enumerate([*reference["days"].items(), *days.items()]):
        own = scaled(sums(random.Random(number), 480, 3, 1), 2 ** (number % 5))  # noqa: S311 - test data
        if day in days:
            own = scaled(own, factor)
        (one["tables"] if day in days else one)["readings"]["numbers"]["volt"] = own
    return reference, days


def test_rows_without_days_that_come_again_are_a_fault() -> None:
    known, found = reference() | {"timed": False, "segments": {}}, profiles()
    for one in found.values():
        one["tables"]["readings"] |= {"hours": [], "digest": min(one["tables"]["readings"]["digest"], 1066)}
    (fault,) = [one for one in faults_of(known, DAY, found) if one.kind == "repeated"]
    assert fault.found == f"the same 480 rows as {day_of(66)}", "which has no times"


def test_a_column_that_began_to_vary_during_training_is_a_fault_once_it_is_stuck() -> None:
    for varies_from, told in ((20, True), (50, False)):
        known = reference() | {"segments": {}}
        for one in [*known["days"].values()][:varies_from]:
            one["readings"]["numbers"]["volt"] = [480.0, 480 * 170.0, 480 * 170.0**2, 170.0, 170.0, 480, 480]
        found = faults_of(known, DAY, profiles(lambda tables: of_pumps(tables, 20, stuck)))
        assert ("still" in {one.kind for one in found}) == told


@pytest.mark.parametrize(("pair", "told"), [([0.0, 23.0], False), ([1.0, 0.0], True), ([23.0, 0.0], True)])
def test_a_column_that_tells_the_time_of_day_shows_a_shifted_file(pair: list[float], told: bool) -> None:
    known, days = reference(), profiles()
    for one in [*known["days"].values(), *(day["tables"] for day in days.values())]:
        one["readings"]["ends"] = {"volt": [0.0, 23.0]}
    days[DAY]["tables"]["readings"]["ends"] = {"volt": pair}
    assert (("volt", "clock") in {(one.column, one.kind) for one in faults_of(known, DAY, days)}) == told
    days[DAY]["tables"]["readings"]["rows"] -= 1
    assert "clock" not in {one.kind for one in faults_of(known, DAY, days)}, "rows are missing"
    assert faults_of(REFERENCE, DAY, profiles()) == [], "counted before"


def test_a_price_in_another_unit_is_a_fault_though_its_days_differ_by_factors() -> None:
    known, days = of_prices(reference(), profiles(), 0.01)
    known["segments"] = {}
    assert {(one.column, one.kind) for one in faults_of(known, DAY, days)} == {("volt", "unit")}
    known, days = of_prices(reference(), profiles(), 1)
    known["segments"] = {}
    assert faults_of(known, DAY, days) == []


def test_a_feed_whose_days_differ_widely_is_dead_after_an_empty_week() -> None:
    for every, dead in ((6, True), (10, False)):
        known = reference()
        for number, one in enumerate(known["days"].values()):
            one["alarms"]["rows"] = 0 if number % every else 200
        found = {one.kind for one in faults_of(known, DAY, profiles(no_alarms, days=7))}
        assert ("volume" in found) == dead, f"training has a busy day in {every}"


def with_rows(reference: Any, numbers: list[int]) -> Any:
    for one, rows in zip(reference["days"].values(), numbers, strict=True):
        one["alarms"] |= {"rows": rows, "values": {"kind": {"A": rows // 2, "B": rows - rows // 2} if rows else {}}}
    return reference


THIN = [3] * 8 + [0] * 10  # training may end with few rows and none
BUSY = {"rows": 30, "values": {"kind": {"A": 15, "B": 15}}}


def busy(found: Any) -> Any:
    for one in [*found.values()][:4]:
        one["tables"]["alarms"] |= BUSY
    return found


@pytest.mark.parametrize(("tail", "told"), [(THIN, True), ([30] * 8 + [0] * 10, False)])
def test_a_feed_that_ends_is_dead_after_three_days_unless_training_had_such_days(tail: list[int], told: bool) -> None:
    known = with_rows(reference(), [30] * (60 - len(tail)) + tail)
    found = [one for one in faults_of(known, DAY, busy(profiles(no_alarms))) if one.kind == "volume"]
    assert (any(one.found == "no row in 3 days, after days that had some" for one in found)) == told
    again = busy(profiles(no_alarms))
    again[DAY]["tables"]["alarms"] |= BUSY
    assert "volume" not in {one.kind for one in faults_of(known, DAY, again)}


@pytest.mark.parametrize(("silent", "told"), [(0, True), (4, False)])
def test_a_text_without_rows_is_a_fault_unless_training_had_such_days(silent: int, told: bool) -> None:
    known = with_rows(reference(), [0, 60] * 30)  # so that a day's rows say nothing
    for one in [*known["days"].values()][: 2 * silent]:
        rows = one["alarms"]["rows"]
        one["alarms"]["values"]["kind"] = {"B": rows} if rows else {}
    found = busy(profiles(lambda tables: tables["alarms"].update(rows=60, values={"kind": {"B": 60}})))
    assert (("kind", "vanished") in {(one.column, one.kind) for one in faults_of(known, DAY, found)}) == told


def test_a_category_that_has_become_something_else_is_a_fault() -> None:
    def much(tables: Any) -> None:
        del tables["alarms"]["values"]["kind"]  # more values than are counted

    (fault,) = [one for one in faults_of(REFERENCE, DAY, profiles(much)) if one.column == "kind"]
    assert (fault.kind, fault.days) == ("new text", 1)
    known = reference()
    for number, one in enumerate(known["days"].values()):  # a number of the order
        one["alarms"]["values"]["kind"] = {f"{number}-{order}": 1 for order in range(10)}
    assert "new text" not in {one.kind for one in faults_of(known, DAY, profiles(much))}
    assert "new text" not in {one.kind for one in faults_of(known, DAY, profiles())}


def test_columns_that_training_did_not_count_are_not_judged() -> None:
    def named(tables: Any) -> None:
        readings = tables["readings"]
        readings["missing"]["pump"], readings["values"]["pump"] = 0, dict.fromkeys(PUMPS, 24)

    assert faults_of(REFERENCE, DAY, profiles(named, days=7)) == []
    assert faults_of(REFERENCE, DAY, profiles(named, days=1)) == []


def test_rows_without_days_make_a_dead_feed_after_three_days() -> None:
    known = reference() | {"timed": False, "segments": {}}

    def nothing(tables: Any) -> None:
        for one in tables.values():
            one |= {"rows": 0, "total": 0, "hours": [0] * HOURS, "values": {name: {} for name in one["values"]}}
            one["numbers"] = dict.fromkeys(one["numbers"], NOTHING)

    found = [one for one in faults_of(known, DAY, profiles(nothing)) if one.kind == "volume"]
    assert [(one.table, one.found) for one in found] == [(name, "no row in 3 days") for name in ("readings", "alarms")]
    assert "volume" not in {one.kind for one in faults_of(known, DAY, profiles(nothing, days=2))}


def test_versions_and_days_that_were_counted_before_codes_were_are_judged_without_them() -> None:
    known, days = reference(), profiles(lambda tables: of_pumps(tables, 20, lambda one: coded(one, -999, 1)))
    for one in known["days"].values():
        one["readings"]["numbers"] = {name: each[:5] for name, each in one["readings"]["numbers"].items()}
    assert "code" not in {one.kind for one in faults_of(known, DAY, days)}
    for profile in days.values():
        readings = profile["tables"]["readings"]
        for one in [readings, *readings["segments"].values()]:
            one["numbers"] = {name: each[:5] for name, each in one["numbers"].items()}
    assert faults_of(known, DAY, profiles()) == []
    assert "code" not in {one.kind for one in faults_of(known, DAY, days)}
    assert "code" not in {one.kind for one in faults_of(REFERENCE, DAY, days)}


def test_a_column_that_counts_on_has_no_fault() -> None:
    known, days = reference(), profiles()
    for number, (day, one) in enumerate([*known["days"].items(), *days.items()]):
        mean = 1e3 * number + 5.0
        own = [480.0, 480 * mean, 480 * mean**2 + 480, mean - 5, mean + 4, 1, 1]
        (one["tables"] if day in days else one)["readings"]["numbers"]["heat"] = own
    known["segments"] = {}
    assert faults_of(known, DAY, days) == []


def test_a_history_that_was_cut_off_is_a_fault_as_long_as_it_lacks_rows_of_training() -> None:
    trained = sum(one["alarms"]["rows"] for one in REFERENCE["days"].values())

    def short(tables: Any) -> None:
        tables["alarms"]["total"] = trained // 2

    for days in (1, 7):
        found = faults_of(REFERENCE, DAY, profiles(short, days))
        assert [(one.table, one.kind) for one in found] == [("alarms", "history")]

    def whole(tables: Any) -> None:
        tables["alarms"]["total"] = trained + 100

    assert faults_of(REFERENCE, DAY, profiles(whole, 7)) == []
    before = {day_of(number - 61): one for number, one in zip(range(61, 68), profiles(short, 7).values(), strict=True)}
    assert "history" not in {one.kind for one in faults_of(REFERENCE, day_of(6), before)}, "training came later"


def no_kinds(tables: Any) -> None:
    tables["alarms"]["missing"]["kind"] = tables["alarms"]["rows"]


@pytest.mark.parametrize("broken", [no_alarms, no_kinds, FAULTS["a code for none"][0], lost_values])
def test_a_feed_that_was_repaired_has_no_fault_any_more(broken: Any) -> None:
    found = profiles(broken)
    assert faults_of(REFERENCE, DAY, found) != []
    found[DAY]["tables"] = tables_of(67)
    assert faults_of(REFERENCE, DAY, found) == []


def test_days_that_were_not_counted_are_not_judged() -> None:
    found = profiles(no_alarms)
    del found[DAY]["tables"]
    assert faults_of(REFERENCE, DAY, found) == []
    assert faults_of(REFERENCE, DAY, {}) == []
