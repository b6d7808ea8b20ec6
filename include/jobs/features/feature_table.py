"""The feature table on disk: its columns, its splits, its examples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from include.models.config import ModelConfig, RandomSplit
from include.models.config.files import FEATURE_TABLE
from include.models.errors import JobError
from include.models.interface import Examples
from include.models.quoting import quoted

BLOCK = 262_144  # rows: of a table that is not read whole
WHOLE = "whole"  # beside the splits: the whole table, if the evaluation refits the model


def feature_columns(config: ModelConfig, frame: pl.DataFrame) -> list[str]:
    """The feature columns, in the table's order: all but key, time and label."""
    return [column for column in frame.columns if column not in config.data.not_features]


def identity(config: ModelConfig, frame: pl.DataFrame) -> list[str]:
    """The columns that identify a row independently of its file: those that the split groups by, or the key. A line
    number identifies nothing, as one more row changes it: then all columns are used, except those whose names begin
    with ``__``, which are not the table's own."""
    if isinstance(config.split, RandomSplit) and config.split.group_by:
        return list(config.split.group_by)
    counted = {table.row_number for table in config.data.tables.values()}
    lasting = [name for name in config.data.key if name not in counted]
    if lasting == config.data.key:
        return lasting
    return [*lasting, *(name for name in feature_columns(config, frame) if not name.startswith("__"))]


def read_split(folder: Path) -> pl.DataFrame:
    """A split as build_features wrote it, or merge_shards in parts. Each column is in one piece: LightGBM would copy
    others.

    Raises:
        JobError: the file is not there or cannot be read.
    """
    with _told_of(folder):
        columns = scan_split(folder).collect().get_columns()[::-1]
    whole = []
    while columns:  # one by one, so that there are never two of the table
        whole.append(columns.pop().rechunk())
    return pl.DataFrame(whole)


def scan_split(folder: Path) -> pl.LazyFrame:
    """A split that is not read yet.

    Raises:
        JobError: as of ``read_split``.
    """
    path = folder / FEATURE_TABLE
    with _told_of(folder):
        table = pl.scan_parquet(sorted(folder.glob(f"{path.stem}-*.parquet")) or path)
        table.collect_schema()
    return table


@contextmanager
def _told_of(folder: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, pl.exceptions.ComputeError) as error:
        path = folder / FEATURE_TABLE
        raise JobError(f"{path} cannot be read ({error}). It is written by prepare_data: look at that job.") from error


def blocks(table: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """All rows in order, ``BLOCK`` at a time."""
    for start in range(0, rows_of(table), BLOCK):
        yield table.slice(start, BLOCK).collect()


def rows_of(table: pl.LazyFrame) -> int:
    return int(table.select(pl.len()).collect().item())


def evenly_spaced(table: pl.LazyFrame, most: int) -> pl.DataFrame:
    """At most the given number of rows."""
    every = max(1, -(-rows_of(table) // most))
    return pl.concat(
        block.gather_every(every, offset=-number * BLOCK % every) for number, block in enumerate(blocks(table))
    )


def part_file(folder: Path, number: str) -> Path:
    """A part of a split that is too large for one file."""
    return folder / f"{Path(FEATURE_TABLE).stem}-{number}.parquet"


def examples(config: ModelConfig, frame: pl.DataFrame) -> Examples:
    """Features and target of a feature table.

    Raises:
        JobError: a label that is not a class of model.yaml.
    """
    label = frame[config.data.label]
    features = frame.select(feature_columns(config, frame))
    if config.problem == "regression":
        return Examples(features, label.cast(pl.Float64).to_numpy(), [])
    classes = classes_of(config)
    codes = label.cast(pl.String).replace_strict(classes, range(len(classes)), default=-1, return_dtype=pl.Int64)
    if unknown := label.filter(codes < 0).unique().sort().to_list():
        raise JobError(f"label {config.data.label} has {quoted(str(unknown))}; model.yaml's classes are {classes}.")
    return Examples(features, codes.to_numpy(), classes)


def classes_of(config: ModelConfig) -> list[str]:
    """The classes in the order of their codes; none for a regression."""
    return list(config.data.classes or [])


def class_counts(config: ModelConfig, frame: pl.DataFrame) -> dict[str, int]:
    counts = dict(frame[config.data.label].cast(pl.String).value_counts().iter_rows())
    return {name: int(counts.get(name, 0)) for name in classes_of(config)}
