"""What the jobs that score a day share: its tables, its window, its chunks."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from include.jobs.validation.cleaning import Window
from include.models.config import ModelConfig, Table
from include.models.errors import JobError


def window_of(day: str, days: int = 1) -> Window:
    """The day, or this many days from it on."""
    start = datetime.fromisoformat(day)
    return Window(start, start + timedelta(days=days))


def day_tables(config: ModelConfig, day: str) -> dict[str, Table]:
    """The tables of a day's partition, with the day's clocks and the share of rejected rows that ``scoring`` allows."""
    scoring = config.daily_scoring
    tables = {}
    for name in scoring.tables:
        table = config.data.tables[name]
        share = max(table.max_rejected_share, scoring.max_rejected_share)
        clock = table.clock.on(date.fromisoformat(day)) if table.clock and not table.history else table.clock
        tables[name] = table.model_copy(update={"max_rejected_share": share, "clock": clock})
    return tables


def write_chunk(file: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    """Writes a chunk as one object, so that instances that share a day's objects get whole chunks."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(file, "w") as packed:
        for name, table in tables.items():
            path = Path(folder) / f"{name}.parquet"
            table.write_parquet(path)
            packed.add(path, arcname=path.name)


def read_chunk(file: Path) -> dict[str, pl.DataFrame]:
    """Raises JobError: the chunk is corrupt."""
    try:
        with tempfile.TemporaryDirectory() as folder, tarfile.open(file) as packed:
            packed.extractall(folder, filter="data")
            return {path.stem: pl.read_parquet(path) for path in Path(folder).glob("*.parquet")}
    except (tarfile.TarError, OSError, pl.exceptions.ComputeError) as error:
        raise JobError(
            f"{file} cannot be read ({error}). It is written by validate_input: look at that job."
        ) from error
