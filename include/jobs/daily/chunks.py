"""Partitions a day that is larger than memory by key: every chunk has all rows of some keys, of every table with the
key.

So properties of a key (uniqueness, gaps, windows) can be checked and computed chunk by chunk. The rows are read once,
in blocks, by the reader of small days; a chunk holds them as they were read.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import pyarrow as pa

from include.jobs.daily.day import day_tables
from include.jobs.daily.replay import read_day, read_replay, without
from include.jobs.validation.findings import UnusableFileError
from include.jobs.validation.reading import OpenTable, RawTable, open_table
from include.models.config import LINE, ModelConfig, Table
from include.models.config.files import day_folder, day_of_folder, text_bytes
from include.models.raw.kinds import reading_of
from include.models.raw.reader import BLOCK, MALFORMED, open_raw

Cut = RawTable | UnusableFileError


@dataclass(frozen=True)
class Chunk:
    """Some keys' rows of a day and earlier days. Unpartitioned tables are read whole, from the day's partitions."""

    partitions: Path
    folder: Path | None = None
    cut: Mapping[tuple[str, str], Cut] = field(default_factory=dict)  # by day and table; without rows

    @property
    def days(self) -> list[str]:
        """In order."""
        return sorted(day for path in self.partitions.iterdir() if (day := day_of_folder(path.name)))

    def read(self, day: str, name: str, table: Table) -> RawTable:
        """The chunk's rows of a table.

        Raises:
            UnusableFileError: the table is unusable as a whole.
        """
        cut = self.cut.get((day, name))
        if isinstance(cut, UnusableFileError):
            raise cut
        if cut is None or self.folder is None:
            return read_day(self.partitions / day_folder(day), name, table)
        return read_cut(self.folder / day, cut)


def read_cut(folder: Path, cut: RawTable) -> RawTable:
    """A chunk's rows of a table.

    Args:
        cut: the result of ``cut_table`` for the whole table.
    """
    lines = _read(folder / f"{cut.name}.lines").sort(LINE)
    malformed = _read(folder / f"{cut.name}.malformed").cast(MALFORMED)
    return replace(cut, lines=lines, malformed=malformed, is_whole=False)


def split_day(
    config: ModelConfig, partitions: Path, day: str, into: Path, chunk_mb: float, block_bytes: int = BLOCK
) -> list[Chunk]:
    """The day and earlier days as chunks; a small day is one chunk, without copying."""
    whole = Chunk(partitions)
    size = sum(
        text_bytes(file.name, file.stat().st_size)
        for each in whole.days
        for file in (partitions / day_folder(each)).iterdir()
        if file.is_file()
    )
    count = math.ceil(size / (chunk_mb * 2**20))
    by = shard_column(config, config.daily_scoring.tables)
    if count <= 1 or by is None:
        return [whole]
    folders = [into / f"chunk-{number:05}" for number in range(count)]
    cut: dict[tuple[str, str], Cut] = {}
    for each in whole.days:
        tables = day_tables(config, each)
        for name in tables if each == day else config.windowed_tables:
            table = tables[name]
            if is_cut_by(table, by):
                targets = [folder / each for folder in folders]
                cut[each, name] = cut_table(partitions / day_folder(each), name, table, by, targets, block_bytes)
    return [Chunk(partitions, folder, cut) for folder in folders]


def is_cut_by(table: Table, by: str) -> bool:
    """Whether the table has the column; others go whole into every chunk."""
    return by in _told_by(table) or (by == LINE and table.row_number is not None)


def _told_by(table: Table) -> set[str]:
    """The columns that a row's own cells tell."""
    return {*table.columns, *([table.content_key.column] if table.content_key else [])}


def shard_column(config: ModelConfig, names: Sequence[str]) -> str | None:
    """The column to partition these tables by: the first column of the key that is in the files and is not the time, or
    the line number if the key counts lines; None if rows are identified by time alone."""
    tables = [config.data.tables[name] for name in names]
    in_files = set().union(*map(_told_by, tables)) - {config.data.time}
    if found := next((column for column in config.data.key if column in in_files), None):
        return found
    return LINE if any(table.row_number in config.data.key for table in tables) else None


def cut_table(
    folder: Path,
    name: str,
    table: Table,
    by: str,
    targets: Sequence[Path],
    block_bytes: int = BLOCK,
    *,
    may_be_empty: bool = True,
) -> RawTable | UnusableFileError:
    """Scatters a table's rows over chunks. Returns what is known of the whole file, or why it is unusable."""
    for target in targets:
        target.mkdir(parents=True, exist_ok=True)
    try:
        corrected = read_replay(folder, name, table)
        with open_table(folder, name, table, may_be_empty=may_be_empty, block_bytes=block_bytes) as opened:
            _scatter_table(opened, corrected, by, targets)
            return opened.table_of(pl.DataFrame(), pl.DataFrame())
    except UnusableFileError as unusable:
        return unusable


def _scatter_table(opened: OpenTable, corrected: pl.DataFrame | None, by: str, targets: Sequence[Path]) -> None:
    schema = pl.Schema({**dict.fromkeys(opened.columns, pl.String()), LINE: pl.UInt32()})
    with ExitStack() as stack:
        lines = [stack.enter_context(_writer(target / f"{opened.name}.lines", schema)) for target in targets]
        malformed = [stack.enter_context(_writer(target / f"{opened.name}.malformed", MALFORMED)) for target in targets]
        for block in opened.blocks():
            _scatter(without(block.lines, corrected), _key(opened.table, by), lines)
            _scatter(without(block.malformed, corrected), pl.col(LINE), malformed)
        if corrected is not None:
            _scatter(corrected.select(list(schema)), _key(opened.table, by), lines)


def _writer(path: Path, schema: pl.Schema) -> pa.ipc.RecordBatchStreamWriter:
    arrow = pl.DataFrame(schema=schema).to_arrow().schema
    return pa.ipc.new_stream(path, arrow, options=pa.ipc.IpcWriteOptions(compression="lz4"))


def _read(path: Path) -> pl.DataFrame:
    with pa.ipc.open_stream(path) as stream:
        return pl.DataFrame(pl.from_arrow(stream.read_all()))


def _key(table: Table, by: str) -> pl.Expr:
    """A key normalised: "7", " 7" and "7.0" are the same integer, and "2015-01-31" and "2015-01-31 00:00" the same
    time. Tables may have it as different kinds."""
    if by == LINE:
        return pl.col(LINE)
    if table.content_key and by == table.content_key.column:
        parts = [_key(table, name).alias(name) for name in table.content_key.of]
        return pl.struct(parts).hash()
    column, text = table.columns[by], pl.col(by).str.strip_chars()
    value = reading_of(column.kind).parse(pl.col(by), column)
    number = value if column.kind.is_quantity else text
    return pl.coalesce(number.cast(pl.Float64, strict=False).hash(), value.hash(), text.hash())


def _scatter(rows: pl.DataFrame, key: pl.Expr, writers: Sequence[pa.ipc.RecordBatchStreamWriter]) -> None:
    if rows.height:
        numbered = rows.with_columns((key % len(writers)).alias("__chunk"))
        for (number,), part in numbered.partition_by("__chunk", as_dict=True, include_key=False).items():
            writers[number].write_table(part.to_arrow())


def merge_quarantine(parts: Sequence[Path], into: Path, whole: Iterable[str]) -> None:
    """Merges the chunks' quarantine files into one per table, ordered by line. Of the unpartitioned tables, ``whole``,
    each chunk has the same rows."""
    for name in sorted({file.name for part in parts for file in part.glob("*.csv")}):
        files = [part / name for part in parts if (part / name).exists()]
        files = files[:1] if Path(name).stem in whole else files
        into.mkdir(parents=True, exist_ok=True)
        with (into / name).open("w", encoding="utf-8", newline="") as merged:
            readers = [_rows(file) for file in files]
            headers = [next(reader) for reader in readers]
            merged.write(_as_csv(headers[0]))
            merged.writelines(map(_as_csv, heapq.merge(*readers, key=lambda row: int(row[0]))))


def _rows(file: Path) -> Iterator[Sequence[str]]:
    """A quarantine file's header and rows, their line first."""
    with open_raw(file) as raw:
        header = raw.header or []
        yield header
        for block in raw.blocks([str(place) for place in range(len(header))]):
            yield from block.lines.drop(LINE).iter_rows()


def _as_csv(row: Iterable[str]) -> str:
    """A line as polars writes it, quoted where it must be."""
    quoted = ('"' + cell.replace('"', '""') + '"' if any(mark in cell for mark in ',"\r\n') else cell for cell in row)
    return ",".join(quoted) + "\n"
