"""Splits whole raw tables into daily partitions: turns a history in a few files into days that can be scored.

    python -m include.jobs.split_days --model M --raw DIR --days DIR --first ISO --last ISO
    python -m include.jobs.split_days --model M --raw DIR --days DIR --newest 60 [--say]

``--say`` writes nothing: it prints the first and the last of those days.

Reads ``<raw>/<file>`` (plain, packed or Parquet) of the tables that scoring and ``labels`` need; writes
``<days>/date=<day>/<file>.gz`` (or an Excel file): for a table with the time column, or a clock or moment that makes
it, the day's rows; for one with ``history``, all rows up to the day's end; any other whole. If nothing has a time, the
rows that features are about are distributed in order, a thirtieth to each day, and again after thirty days. Cells stay
as they are. The same rows always give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from include.jobs.cli import arguments_of, run_program
from include.jobs.validation.cleaning import typed_rows
from include.jobs.validation.reading import RawTable, read_table
from include.models.config import LINE, ModelConfig, Table, load_model
from include.models.config.files import day_folder
from include.models.raw.writer import write_raw

BATCHES = 30
NO_TIME_UNTIL = date(2015, 12, 31)  # the newest day of rows without a time
Share = Callable[[date], pl.DataFrame]


def split_days(config: ModelConfig, raw: Path, into: Path, first: date, last: date) -> None:
    """Writes the partitions of every day from first to last that is within the data."""
    into.mkdir(parents=True, exist_ok=True)
    first, last = _within(config, raw, first, last)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    for name in config.labelled.daily_scoring.tables:
        table, share = config.data.tables[name], _shares(config, name, raw)
        for day in days:
            write_raw(share(day), table, into / day_folder(str(day)), packed=True)


def newest_days(config: ModelConfig, raw: Path, count: int) -> tuple[date, date]:
    """The first and the last of that many days, or of all if there are fewer, up to the newest with rows of its own."""
    days = _days_of_data(config, raw)
    last = days[1] if days else NO_TIME_UNTIL
    first = last - timedelta(days=count - 1)
    return (max(first, days[0]) if days else first), last


def _within(config: ModelConfig, raw: Path, first: date, last: date) -> tuple[date, date]:
    """The part of the range that the data covers."""
    days = _days_of_data(config, raw)
    return (max(first, days[0]), min(last, days[1])) if days else (first, last)


def _days_of_data(config: ModelConfig, raw: Path) -> tuple[date, date] | None:
    """The first and the last day that have rows; None if rows have no time."""
    tables = [(name, config.data.tables[name]) for name in config.windowed_tables]
    times = [_typed(read_table(raw, name, table), table)[str(config.data.time)].drop_nulls() for name, table in tables]
    ends = [moment for column in times for moment in (column.min(), column.max()) if isinstance(moment, datetime)]
    return (min(ends).date(), max(ends).date()) if ends else None


def _shares(config: ModelConfig, name: str, raw: Path) -> Share:
    """The part of the table in a day's partition."""
    table, time = config.data.tables[name], config.data.time
    read = read_table(raw, name, table)
    rows = read.lines.select(*table.columns)
    if time in table.kinds:
        days = _typed(read, table)[str(time)].dt.date()
        if not config.holds_one_day(name):
            return lambda day: rows.filter((days <= day).fill_null(value=True))
        by_day = rows.with_columns(days.alias(LINE)).partition_by(LINE, as_dict=True, include_key=False)
        return lambda day: by_day.get((day,), rows.clear())
    if time is None and name == config.daily_scoring.tables[0]:
        return lambda day: _batch(rows, day.toordinal() % BATCHES)
    return lambda day: rows


def _typed(read: RawTable, table: Table) -> pl.DataFrame:
    return typed_rows(read.lines, table, read.first_line)


def _batch(rows: pl.DataFrame, number: int) -> pl.DataFrame:
    start, end = (len(rows) * place // BATCHES for place in (number, number + 1))
    return rows[start:end]


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__, raw="folder of raw tables", days="where to write date=<day> folders")
    parser.add_argument("--first", type=date.fromisoformat)
    parser.add_argument("--last", type=date.fromisoformat)
    parser.add_argument("--newest", type=int, help="this many newest days, instead of a first and a last")
    parser.add_argument("--say", action="store_true", help="print the first and the last day, and write nothing")
    asked = parser.parse_args(argv)
    if (asked.newest is None) == (asked.first is None) or (asked.first is None) != (asked.last is None):
        parser.error("either --first and --last, or --newest")
    config = load_model(asked.model)
    first, last = newest_days(config, asked.raw, asked.newest) if asked.newest else (asked.first, asked.last)
    if asked.say:
        print(first, last)
        return
    split_days(config, asked.raw, asked.days, first, last)


if __name__ == "__main__":
    run_program(main)
