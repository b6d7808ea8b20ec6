"""A day larger than memory, cut by key: every chunk holds all rows of some keys, of every table that has the key.

So whatever holds of a key (that it is unique, its gaps, its windows) can be checked and computed chunk by chunk.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from include.jobs.daily.day import day_tables, scoring_of, windowed_tables
from include.jobs.daily.replay import FOLDER, LINES, read_replay
from include.jobs.validation.findings import Finding
from include.jobs.validation.reading import LINE, first_line
from include.jobs.validation.report import TableReport
from include.models.config import ModelConfig, Table
from include.models.errors import JobError

PACKED = 8  # about how many times larger a .gz becomes
BLOCK = 1 << 24


@dataclass(frozen=True)
class Chunk:
    """A folder of ``date=<day>`` folders, each with the chunk's rows of that day's tables."""

    root: Path

    @property
    def days(self) -> list[str]:
        """In order."""
        return sorted(path.name.removeprefix("date=") for path in self.root.glob("date=*"))

    def folder(self, day: str) -> Path:
        return self.root / f"date={day}"


def split_day(config: ModelConfig, partitions: Path, day: str, into: Path, chunk_mb: int) -> list[Chunk]:
    """The day and those before it as chunks; a small day is one, and nothing is copied.

    Raises:
        JobError: a large file that is no UTF-8 CSV, or lacks the column to cut by.
    """
    whole = Chunk(partitions)
    size = sum(
        file.stat().st_size * (PACKED if file.suffix == ".gz" else 1)
        for each in whole.days
        for file in whole.folder(each).glob("*.csv*")
    )
    count = math.ceil(size / (chunk_mb * 2**20))
    by = shard_column(config)
    if count <= 1 or by is None:
        return [whole]
    chunks = [Chunk(into / f"chunk-{number:05}") for number in range(count)]
    for each in whole.days:
        tables = day_tables(config, each)
        for name in tables if each == day else windowed_tables(config):
            _split_table(whole.folder(each), name, tables[name], by, [chunk.folder(each) for chunk in chunks])
    return chunks


def shard_column(config: ModelConfig) -> str | None:
    """The first column of the key that is in the files and no time, or their lines, where the key counts them; None
    where rows are told apart by time alone."""
    tables = [config.data.tables[name] for name in scoring_of(config).tables]
    in_files = {column for table in tables for column in table.columns} - {config.data.time}
    if found := next((column for column in config.data.key if column in in_files), None):
        return found
    return LINE if any(table.row_number in config.data.key for table in tables) else None


def _split_table(folder: Path, name: str, table: Table, by: str, targets: list[Path]) -> None:
    for target in targets:
        target.mkdir(parents=True, exist_ok=True)
    path = next(folder / file for file in (table.file, f"{table.file}.gz") if (folder / file).is_file())
    if by not in table.columns and not (by == LINE and table.row_number):
        for target in targets:
            _link(path, target / path.name)
            for mended_file in (folder / FOLDER).glob(f"{table.file}*"):
                _link(mended_file, target / FOLDER / mended_file.name)
        return
    mended, by = read_replay(folder, name, table), table.headers.get(by, by)
    writers = [_Part(target / table.file, table) for target in targets]
    try:
        for rows in _blocks(path, name, table):
            if by not in rows.columns:
                raise JobError(
                    f"{name}: {path.name} has no column {by}; the header has {', '.join(rows.columns)[:300]}."
                )
            kept = rows if mended is None else rows.join(mended, on=LINE, how="anti", maintain_order="left")
            _scatter(kept, by, writers)
        if mended is not None:
            _scatter(mended.rename(table.headers), by, writers)
    finally:
        for writer in writers:
            writer.close()


def _link(file: Path, at: Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(file.resolve())


class _Part:
    """A chunk's file of one table, and the lines of its rows in the whole file."""

    def __init__(self, path: Path, table: Table) -> None:
        self._path, self._header = path, table.header
        self._lines: list[np.ndarray[tuple[int], np.dtype[np.uint32]]] = []
        self._file = path.open("wb")

    def write(self, rows: pl.DataFrame) -> None:
        self._file.write(rows.drop(LINE).write_csv(include_header=self._header and not self._lines).encode())
        self._lines.append(rows[LINE].to_numpy())

    def close(self) -> None:
        self._file.close()
        np.save(f"{self._path}{LINES}", np.concatenate(self._lines))


def _scatter(rows: pl.DataFrame, by: str, writers: list[_Part]) -> None:
    # "7", " 7" and "7.0" are the same key in the end, so they must be in the same chunk
    key = pl.col(by).cast(pl.String).str.strip_chars()
    numbers = pl.coalesce(key.cast(pl.Float64, strict=False).hash(), key.hash()) % len(writers)
    numbered = rows.with_columns(numbers.alias("__chunk"))
    parts = numbered.partition_by("__chunk", as_dict=True, include_key=False)
    for number, writer in enumerate(writers):
        writer.write(parts.get((number,), rows.clear()))


def _blocks(path: Path, name: str, table: Table) -> Iterator[pl.DataFrame]:
    """The file's rows as text with their lines, block by block; rows of a wrong width are refused."""

    def refuse(row: pa_csv.InvalidRow) -> str:
        raise JobError(
            f"{name}: {path.name} has {row.actual_columns} fields in line {row.number} where the header has "
            f"{row.expected_columns}. A file of this size must be whole: export it again."
        )

    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            header = list(table.columns)
            if table.header:
                header = file.readline().decode("utf-8-sig").strip().split(",")
            yield pl.DataFrame(schema={**dict.fromkeys(header, pl.String), LINE: pl.UInt32})
            if not file.peek(1):  # a header alone is a file too
                return
            reader = pa_csv.open_csv(
                file,
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=header),
                parse_options=pa_csv.ParseOptions(newlines_in_values=False, invalid_row_handler=refuse),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
                ),
            )
            line = first_line(table)
            for batch in reader:
                rows = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
                yield rows.with_columns(pl.int_range(line, line + len(rows), dtype=pl.UInt32, eager=True).alias(LINE))
                line += len(rows)
        except (pa.ArrowInvalid, UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            raise JobError(f"{name}: {path.name} cannot be read: {error}. Export or upload the file again.") from error


def merge_quarantine(parts: Path, into: Path) -> None:
    """One file per table of the chunks' quarantine files, appended as they are."""
    for file in sorted(parts.glob("*/*.csv")):
        into.mkdir(parents=True, exist_ok=True)
        target = into / file.name
        content = file.read_bytes()
        with target.open("ab") as merged_file:
            merged_file.write(content if not merged_file.tell() else content.split(b"\n", 1)[1])


def merged(reports: list[list[TableReport]]) -> list[TableReport]:
    """The chunks' reports as one per table: rows added up, and each finding once, with its rows added up."""
    if len(reports) == 1:
        return reports[0]
    tables: dict[str, TableReport] = {}
    for report in (one for chunk in reports for one in chunk):
        mine = tables.setdefault(report.name, TableReport(report.name, report.file))
        mine.rows += report.rows
        mine.rejected += report.rejected
        mine.outside_window += report.outside_window
        mine.findings += report.findings
    for table in tables.values():
        table.findings = _once(table.findings)
    return list(tables.values())


def _once(findings: list[Finding]) -> list[Finding]:
    first: dict[tuple[str, str | None, str], Finding] = {}
    for finding in findings:
        same = (finding.severity, finding.column, finding.expectation)
        if same not in first:
            first[same] = finding
        elif finding.rows is not None:
            first[same] = replace(first[same], rows=(first[same].rows or 0) + finding.rows)
    return list(first.values())
