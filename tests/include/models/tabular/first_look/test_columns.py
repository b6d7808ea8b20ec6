"""What is reported about columns with cells that are not plain numbers or moments, and what would be declared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from include.models.raw.times import moments
from include.models.tabular.first_look import times
from include.models.tabular.first_look.columns import Look, look_at
from include.models.tabular.first_look.offers import shown

ROWS = 300
START = datetime(2024, 1, 1, tzinfo=UTC)
SECONDS = int(START.timestamp())
Cells = Callable[[int], object]


def looked_at(cells: dict[str, Cells], assume: bool = False) -> Look:
    text = {name: [str(cell(row)) for row in range(ROWS)] for name, cell in cells.items()}
    return look_at(pl.DataFrame({**text, "y": ["a", "b"] * (ROWS // 2)}), ",", "y", "binary", assume)


def said_of(look: Look, name: str) -> str:
    return "\n".join(line for line in look.said if line.startswith(f"{name} "))


def at(form: str, step: timedelta = timedelta(hours=7)) -> Cells:
    return lambda row: (START + row * step).strftime(form)


def but(word: str, every: int = 40) -> Cells:
    return lambda row: word if row % every == 3 else row / 4 + 1


# each with the report about it, and what would be declared
NEARLY: dict[str, tuple[Cells, str, str]] = {
    "below": (but("<0.5"), "a number but for 8 of 300 rows ('<0.5'), a limit", "null_words: [<0.5]"),
    "above": (but("> 100"), "('> 100'), a limit", "null_words: ['> 100']"),
    "at least": (but("≥100"), "('≥100'), a limit", "null_words: [≥100]"),
    "about": (but("~12"), "('~12'), a limit", "null_words: [~12]"),
    "and more": (but("100+"), "('100+'), a limit", "null_words: [100+]"),
    "a range": (but("10-20"), "('10-20'), a limit", "null_words: [10-20]"),
    "many limits": (
        lambda row: f"<{row / 10}" if row % 10 == 3 else row / 4,
        "a number but for 30 of 300 rows ('<0.3', '<1.3', '<2.3', ...), a limit or a range rather than a value; it is "
        "of kind string unless the cells are corrected at the source",
        "{kind: string}",
    ),
    "codes": (
        lambda row: f"A/{row}" if row % 15 == 3 else row,
        "a number but for 20 of 300 rows ('A/3', 'A/18', 'A/33', ...); it is of kind string unless",
        "{kind: string}",
    ),
    "another script": (
        lambda row: "".join("٠١٢٣٤٥٦٧٨٩"[int(digit)] for digit in str(row)),
        "has digits of another script in 300 of 300 rows ('٠', '١', '٢', ...); it is of kind string unless",
        "{kind: string}",
    ),
    "hexadecimal": (hex, "is hexadecimal in 300 of 300 rows ('0x0'", "{kind: string}"),
    "Fortran": (lambda row: f"{row}.5D+02", "exponents with a D, as Fortran", "{kind: string}"),
    "in quotes": (lambda row: f"'{row}'", "has single quotes, which belong to the cell, in 300", "{kind: string}"),
    "Excel's text": (lambda row: f'="{row}"', "has formulas, as Excel keeps texts, in 300", "{kind: string}"),
    "invisible": (lambda row: f"\u200b{row}", "has invisible characters in 300", "{kind: string}"),
    "an impossible day at": (
        lambda row: "2024-06-31" if row == 5 else f"2024-{row // 28 + 1:02}-{row % 28 + 1:02}",
        "is a time but for 1 of 300 rows ('2024-06-31'); now it is of kind string",
        "{kind: timestamp}",
    ),
    "days with zeros at": (lambda row: f"202401{row % 31 + 1:02}.0", "zeros after a dot: write", "{kind: number}"),
    "a script's date": (lambda row: f"/Date({row}704067200000)/", "looks like a time in 300", "{kind: string}"),
    "a duration": (lambda row: f"{row}:0{row % 9}:30", "looks like a duration or a time of day", "{kind: string}"),
    "a mixed number": (lambda row: f"{row} 1/2", "is a fraction, or two numbers in a cell,", "{kind: string}"),
    "a pair": (lambda row: f"{row}/80", "is a fraction, or two numbers in a cell,", "{kind: string}"),
    "underscores": (lambda row: f"1_{row:03}", "spelled in its own way in 300 of 300 rows ('1_000'", "thousands: _"),
    "a quarter": (lambda row: f"{1950 + row // 4}Q{row % 4 + 1}", "looks like a time in 300 of 300", "{kind: string}"),
    "a.m.": (lambda row: f"0{row % 9}/02/2024 0{row % 9}:00 a.m.", "looks like a time in 300 of 300", "{kind: string}"),
}
AS_IT_IS = ("{kind: string}", "{kind: number}")
SURE: dict[str, tuple[Cells, str, str]] = {
    "too large": (but("1e400", 300), "a number but for 1 of 300 rows ('1e400')", "null_words: [1e400]"),
    "Infinity": (but("-Infinity", 300), "a number but for 1 of 300 rows ('-Infinity')", "null_words: [-Infinity]"),
    "the sign": (but("∞"), "a number but for 8 of 300 rows ('∞')", "null_words: [∞]"),
    "-nan": (but("-nan"), "a number but for 8 of 300 rows ('-nan')", "null_words: [-nan]"),
    "Windows": (but("1.#QNAN"), "a number but for 8 of 300 rows ('1.#QNAN')", "null_words: [1.#QNAN]"),
    "micros at": (lambda row: (SECONDS + row) * 10**6 + 7, "counts microseconds from 1970", "format: epoch_us"),
    "nanos at": (lambda row: (SECONDS + row) * 10**9 + 7, "counts nanoseconds from 1970", "format: epoch_ns"),
    "a fraction": (lambda row: SECONDS + row + 0.25, "counts seconds from 1970", "format: epoch"),
    "excel date": (lambda row: 45292 + row / 24, "counts days as Excel does", "format: excel_days"),
    "hours": (at("%Y%m%d%H"), "a time without marks, %Y%m%d%H, in 300", "format: '%Y%m%d%H'"),
    "log hours": (at("%y%m%d%H%M"), "a time without marks, %y%m%d%H%M, in 300", "format: '%y%m%d%H%M'"),
    "day first": (at("%d%m%Y"), "a time without marks, %d%m%Y, in 300", "format: '%d%m%Y'"),
    "month first": (at("%m%d%Y"), "a time without marks, %m%d%Y, in 300", "format: '%m%d%Y'"),
    "short date": (at("%y%m%d"), "a time without marks, %y%m%d, in 300", "format: '%y%m%d'"),
    "day of the year": (at("%Y%j"), "a time without marks, %Y%j, in 300", "format: '%Y%j'"),
    "MySQL's zero day": (
        lambda row: "0000-00-00" if row % 40 == 0 else f"2024-{row // 28 + 1:02}-{row % 28 + 1:02}",
        "is a time but for 8 of 300 rows ('0000-00-00')",
        "null_words: ['0000-00-00']",
    ),
    "month": (lambda row: f"{2000 + row // 12}{row % 12 + 1:02}", "a time without marks, %Y%m,", "format: '%Y%m'"),
}
TIMES: dict[str, tuple[Cells, str, str]] = {
    name: (at(form), f"a time in the format {form} (", f"format: '{form}'")
    for name, form in {
        "hour first": "%H:%M %d/%m/%Y",
        "German hour first": "%H:%M:%S %d.%m.%Y",
        "year of two digits first": "%y/%m/%d",
        "hour of twelve": "%d/%m/%Y %I %p",
        "compact day": "%Y%m%d %H:%M",
        "compact": "%Y%m%d_%H%M%S",
        "Japanese": "%Y年%m月%d日",
        "a day of a week": "%G-W%V-%u",
    }.items()
} | {"log": (at("%Y-%m-%d %H:%M:%S,500"), "%Y-%m-%d %H:%M:%S,%3f ('2024-", "format: '%Y-%m-%d %H:%M:%S,%3f'")}


@pytest.fixture(scope="module")
def asked() -> Look:
    return looked_at({name: cells for name, (cells, _, _) in (NEARLY | SURE | TIMES).items()})


@pytest.fixture(scope="module")
def taken() -> Look:
    return looked_at({name: cells for name, (cells, _, _) in (NEARLY | SURE | TIMES).items()}, assume=True)


@pytest.mark.parametrize("name", NEARLY)
def test_what_a_person_has_to_say_is_said_and_left(asked: Look, taken: Look, name: str) -> None:
    _, said, declared = NEARLY[name]
    for look in (asked, taken):
        assert said in said_of(look, name)
        assert shown(look.columns[name]) == (declared if declared in AS_IT_IS else "{kind: string}")
        assert name in look.offers, "a doubtful column does not identify rows"
    assert declared in AS_IT_IS or declared in said_of(asked, name)


@pytest.mark.parametrize("name", SURE)
def test_what_is_sure_is_said_and_taken_with_a_word(asked: Look, taken: Look, name: str) -> None:
    _, said, declared = SURE[name]
    assert said in said_of(asked, name)
    assert "ASSUME=yes does)" in said_of(asked, name)
    assert declared not in shown(asked.columns[name])
    assert declared in shown(taken.columns[name])


@pytest.mark.parametrize("name", TIMES)
def test_a_time_is_taken_at_once(asked: Look, name: str) -> None:
    _, said, declared = TIMES[name]
    assert said in said_of(asked, name)
    assert declared in shown(asked.columns[name])


@pytest.mark.parametrize(
    ("cells", "of"),
    [
        ({"Year": at("%Y"), "Month": at("%b"), "Day": at("%d")}, {"Year": "%Y", "Month": "%b", "Day": "%d"}),
        ({"year": at("%Y"), "month": at("%B")}, {"year": "%Y", "month": "%B"}),
        ({"date": at("%Y-%m-%d"), "time": at("%H%M")}, {"date": "%Y-%m-%d", "time": "%H%M"}),
        ({"date": at("%d.%m.%Y"), "Time": at("%H:%M:%S")}, {"date": "%d.%m.%Y", "Time": "%H:%M:%S"}),
    ],
)
def test_columns_that_tell_a_moment_together(cells: dict[str, Cells], of: dict[str, str]) -> None:
    look = looked_at(cells, assume=True)
    assert look.moment is not None
    assert look.moment.of == of
    assert not any("duration" in said for said in look.said)


def test_a_year_of_two_digits_is_doubted() -> None:
    look = looked_at({"t": lambda row: f"0{row % 7 + 1}/0{row % 5 + 1}/0{row % 9 + 1}"})
    assert "are day, month and year in the right order?" in said_of(look, "t")


def test_numbers_in_the_order_of_ids_are_not_a_time() -> None:
    look = looked_at({"customer_id": lambda row: 1_300_000_000 + row, "price": lambda row: 45_000 + row})
    assert "it may mean something else" in said_of(look, "customer_id")
    assert not said_of(look, "price")


def test_every_format_that_is_tried_reads_what_is_written_in_it() -> None:
    moment = datetime(2024, 11, 23, 7, 35, 9, tzinfo=UTC)
    cells = {form: moment.strftime(form.replace("%.f", ".5").replace("%3f", "500")) for form in times.FORMATS}
    read = pl.DataFrame({"x": ["once"]}).select(moments(pl.lit(cell), form).alias(form) for form, cell in cells.items())
    assert [form for form, found in read.row(0, named=True).items() if found is None] == []
