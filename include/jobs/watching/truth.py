"""The labels of a scored day: computed from raw tables as in training, or read from files of keys and labels."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from include.jobs.daily.chunks import Chunk
from include.jobs.daily.day import window_of
from include.jobs.daily.day_features import day_features
from include.jobs.validate_input import CheckedDays, judge, validate_chunk
from include.jobs.validate_raw_data import Suites, load_suites
from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.findings import UnusableFileError, passed
from include.jobs.validation.reading import read_table
from include.jobs.watching.table_counts import count_day
from include.models.config import LINE, MODELS_FOLDER, Column, ModelConfig, Table
from include.models.config.files import PACKINGS, PARQUET, day_folder, is_companion
from include.models.config.kinds import INTEGER, NUMBER, STRING, TIMESTAMP, Kind
from include.models.config.watching import TableCounts
from include.models.errors import JobError
from include.models.interface import Tables
from include.models.loader import feature_builder
from include.models.quoting import quoted
from include.models.raw.times import ISO_FORMATS

LABELS = "labels"  # the table name of such a file
TABLE_FILE = f"{LABELS}.csv"
PUT_AGAIN = "Correct the file and put it there again."
ENOUGH_TO_LEARN = ("expect_table_row_count_to_be_between", "expect_column_distinct_values_to_contain_set")


@dataclass(frozen=True)
class Truth:
    """A day's rows that have a label, as a feature table has them, and the clean raw tables around the day.

    ``counted``: the day's rows in the raw table of labels, if scoring does not read it: its feed can die, too."""

    rows: pl.DataFrame
    tables: Tables
    counted: dict[str, TableCounts]


class TruthReader:
    """Reads days of a model; days in order read each partition once.

    Args:
        given: folder of ``daily/<model>/`` and ``labels/<model>/``, as in the bucket.
    """

    def __init__(self, config: ModelConfig, given: Path) -> None:
        self._config, self._given = config, given
        self._reading = config.labelled
        self._suites = _of_days(config, load_suites(config, MODELS_FOLDER / config.name / "expectations"))
        self._checked: CheckedDays = {}

    def of(self, day: str) -> Truth:
        """The day's.

        Raises:
            JobError: the raw tables or the files of labels cannot be used.
        """
        labels, config = self._config.labels, self._config
        ahead = labels.days_ahead if labels else 0
        tables = self._tables(str(date.fromisoformat(day) + timedelta(days=ahead)))
        if labels and labels.table:
            frame = feature_builder(config.name).build_features(tables)
            window = window_of(day)
            inside = pl.col(str(config.data.time)).is_between(window.start, window.end, closed="left")
            of_labels = {name: rows for name, rows in tables.items() if name not in config.daily_scoring.tables}
            counted = count_day(self._reading, of_labels, day)
            return Truth(frame.filter(inside & pl.col(config.data.label).is_not_null()), tables, counted)
        rows = day_features(config, tables, day)
        if rows is None:
            raise JobError(f"{day}: its raw tables make no row, so nothing can be labelled.")
        known = read_labels(config, self._given / "labels" / config.name / day_folder(day), rows.schema)
        rows = rows.drop(config.data.label, strict=False)
        return Truth(rows.join(known, on=config.data.key, how="inner", maintain_order="left"), tables, {})

    def _tables(self, last: str) -> Tables:
        """The clean tables of the days that end with the last, by the reader of scoring."""
        reading, whole = self._reading, self._given / "daily" / self._config.name
        days = -(-reading.daily_scoring.look_back_hours // 24)
        with tempfile.TemporaryDirectory() as scratch:
            own = Path(scratch, "partitions")
            own.mkdir()
            for back in range(days + 1):
                folder = day_folder(str(date.fromisoformat(last) - timedelta(days=back)))
                if (whole / folder).is_dir():
                    (own / folder).symlink_to((whole / folder).resolve())
            found, tables = validate_chunk(
                reading, Chunk(own), last, self._suites, Path(scratch, "quarantine"), self._checked
            )
        for report in judge(reading, last, [found]):
            if not passed(report.findings):
                worst = next(one for one in report.findings if not passed([one]))
                raise JobError(f"{report.name}: {worst.found}; allowed is {worst.allowed}. {worst.action}")
        return tables


def _of_days(config: ModelConfig, suites: Suites) -> Suites:
    """The suites, without what training requires of the labels' table: a day may have one failure, or none."""
    table = config.labels.table if config.labels else None
    if table is None or table in config.daily_scoring.tables:
        return suites
    return {**suites, table: [expected for expected in suites[table] if expected.type not in ENOUGH_TO_LEARN]}


def read_labels(config: ModelConfig, folder: Path, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Key and label of all files of a folder and the folders in it; for a duplicate key, the last file's. Empty without
    a folder.

    Args:
        schema: of the feature table, whose types the key gets.

    Raises:
        JobError: a file cannot be read, has other columns, or names a row twice with different labels.
    """
    columns = {name: _column(config, name, schema.get(name)) for name in [*config.data.key, config.data.label]}
    types = pl.Schema({name: schema[name] for name in config.data.key} | {config.data.label: label_type(config)})
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not is_companion(file.name))
    parts = [_read(config, file, str(file.relative_to(folder)), columns).cast(types) for file in files]
    every = pl.concat([pl.DataFrame(schema=types), *parts]).drop_nulls()
    return every.unique(config.data.key, keep="last", maintain_order=True)


def label_type(config: ModelConfig) -> pl.DataType:
    return pl.Float64() if config.problem == "regression" else pl.String()


def _read(config: ModelConfig, file: Path, told: str, columns: dict[str, Column]) -> pl.DataFrame:
    """A file of labels, read like a raw table, in any of its formats. ``told``: its name in messages."""
    name = file.name.lower()
    packing = next((ending for ending in PACKINGS if name.endswith(ending)), "")
    ending = Path(name.removesuffix(packing)).suffix
    table = Table(file=TABLE_FILE, columns=columns)
    if ending != PARQUET:
        table = table.model_copy(update={"file": Path(TABLE_FILE).with_suffix(ending).name})
    stored = Path(TABLE_FILE).with_suffix(ending).name + packing
    try:
        with tempfile.TemporaryDirectory() as folder:  # alone: the same name in another format is not a copy
            Path(folder, stored).symlink_to(file.resolve())
            raw = read_table(Path(folder), LABELS, table, may_be_empty=True)  # such as a job's part without rows
            clean = clean_table(raw, table, None, Window())
    except UnusableFileError as unusable:
        first = unusable.findings[0]
        where = f", column '{first.column}'" if first.column else ""
        raise JobError(f"{told}{where}: {first.found}; allowed is {first.allowed}. {first.action}") from unusable
    for problem in clean.tally.problems:
        line, example = problem.first[0]
        raise JobError(
            f"{told}, line {line}, column '{problem.column}': {problem.found(problem.rows, [example])}; "
            f"allowed is {problem.allowed}. {PUT_AGAIN}"
        )
    label, classes = config.data.label, config.data.classes
    unknown = clean.frame.filter(~pl.col(label).cast(pl.String).is_in(classes)) if classes else clean.frame.clear()
    for line, found in unknown.select(LINE, label).iter_rows():
        raise JobError(
            f"{told}, line {line}, column '{label}': {quoted(repr(found))}; "
            f"allowed is {', '.join(classes or [])}. {PUT_AGAIN}"
        )
    known = clean.frame.drop_nulls(label)
    several = (
        known.group_by(config.data.key, maintain_order=True).agg(LINE, label).filter(pl.col(label).list.n_unique() > 1)
    )
    for lines, found in several.select(LINE, label).iter_rows():
        both = quoted(f"{found[0]!r} and {next(one for one in found if one != found[0])!r}")
        raise JobError(
            f"{told}, lines {', '.join(map(str, lines[:5]))}, column '{label}': {both} for one row; allowed is one "
            f"label. {PUT_AGAIN}"
        )
    return clean.frame.select(*columns)


def _column(config: ModelConfig, name: str, dtype: pl.DataType | None) -> Column:
    """As the raw tables have the column, under its own name; times also as the forms for people have them."""
    for table in config.data.tables.values():
        if name in table.read_columns:
            column = table.read_columns[name]
            formats = [*column.formats, *ISO_FORMATS[:2]] if column.formats else None
            return column.model_copy(update={"header": None, "format": formats})
        if name in table.kinds:
            return Column(kind=table.kinds[name])
    made: Kind = STRING if name != config.data.label or config.problem != "regression" else NUMBER
    if dtype is not None and name != config.data.label:
        made = TIMESTAMP if dtype.is_temporal() else INTEGER if dtype.is_integer() else made
    return Column(kind=made)
