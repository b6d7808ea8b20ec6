"""Whole raw tables to daily partitions: how a history that lies in a few files becomes days that can be scored.

    python -m jobs.split_days --model M --raw DIR --days DIR --first ISO --last ISO

Reads ``<raw>/<file>`` (plain or .gz) of the tables that scoring reads; writes ``<days>/date=<day>/<file>.gz``: of a
table with the time column the day's rows, of one with ``history`` all rows up to the day's end, any other whole. Cells
stay as they are. The same rows always give the same bytes.
"""

from __future__ import annotations

import gzip
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from jobs.day import scoring_of, windowed_tables
from jobs.program import arguments_of, run_program
from jobs.validation.reading import LINE, read_table
from models.config import ModelConfig, load_model

DAY = "__day"


def split_days(config: ModelConfig, raw: Path, into: Path, first: date, last: date) -> None:
    """Write the partitions of every day from first to last."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    for name in scoring_of(config).tables:
        table = config.data.tables[name]
        rows = read_table(raw, name, table).lines.drop(LINE).select(*table.columns)
        if config.data.time in table.columns:
            rows = rows.with_columns(pl.col(config.data.time).str.slice(0, 10).alias(DAY)).sort(
                DAY, maintain_order=True
            )
        by_day = rows.partition_by(DAY, as_dict=True, include_key=False) if name in windowed_tables(config) else None
        for day in days:
            if by_day is not None:
                part = by_day.get((day.isoformat(),), rows.drop(DAY).clear())
            elif DAY in rows.columns:
                part = rows.filter(pl.col(DAY) <= day.isoformat()).drop(DAY)
            else:
                part = rows
            folder = into / f"date={day}"
            folder.mkdir(parents=True, exist_ok=True)
            packed = gzip.compress(
                part.rename(table.headers).write_csv(include_header=table.header).encode(), compresslevel=1, mtime=0
            )
            (folder / f"{table.file}.gz").write_bytes(packed)


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__, raw="folder of raw tables", days="where to write date=<day> folders")
    parser.add_argument("--first", type=date.fromisoformat, required=True)
    parser.add_argument("--last", type=date.fromisoformat, required=True)
    arguments = parser.parse_args(argv)
    split_days(load_model(arguments.model), arguments.raw, arguments.days, arguments.first, arguments.last)


if __name__ == "__main__":
    run_program(main)
