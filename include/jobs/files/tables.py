"""The tables of a file to score: found, cleaned, and partitioned by key if they are larger than memory."""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from include.jobs.daily.chunks import Cut, cut_table, is_cut_by, merge_quarantine, read_cut, shard_column
from include.jobs.validation.cleaning import Tally, Window, clean_table, findings_of
from include.jobs.validation.findings import Finding, UnusableFileError, no_rows_left
from include.jobs.validation.reading import RawTable, StoredTable
from include.models.config import LINE, ModelConfig, Table
from include.models.config.files import PACKINGS, PARQUET, stored_names, text_bytes
from include.models.interface import Tables
from include.models.raw.kinds import reading_of


@contextmanager
def folder_of(config: ModelConfig, data: Path) -> Iterator[Path]:
    """A folder with the tables under their names. A single file, or the only one in a folder, is the first table,
    whatever its name; its ending says how it is packed."""
    first = config.daily_scoring.tables[0]
    if data.is_dir():
        files = [path for path in data.iterdir() if path.is_file()]
        known = {name for table in config.data.tables.values() for name in stored_names(table.file)}
        if len(files) != 1 or files[0].name in known:
            yield data
            return
        data = files[0]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(data, Path(folder, _called(config.data.tables[first].file, data.name)))
        yield Path(folder)


def _called(file: str, given: str) -> str:
    """The table's file name with the given file's packing or Parquet ending, in lower case."""
    given = given.lower()
    if given.endswith(PARQUET):
        return file.rpartition(".")[0] + PARQUET
    return file + next((ending for ending in PACKINGS if given.endswith(ending)), "")


class GivenTables:
    """The tables below a folder. The findings are known once all chunks have been read.

    Only the first table is required; missing ones count as empty.
    """

    def __init__(self, config: ModelConfig, folder: Path, quarantine: Path) -> None:
        scoring = config.daily_scoring
        self._config, self._folder, self._quarantine = config, folder, quarantine
        self._tables = {name: self._tolerant(config.data.tables[name]) for name in scoring.tables}
        self.files = {
            name: path
            for name, table in self._tables.items()
            for path in (folder / stored for stored in stored_names(table.file))
            if path.is_file()
        }
        self.digests = {path.name: _sha256(path) for path in self.files.values()}
        self._tallies = {name: Tally() for name in self._tables}
        self._unusable: list[Finding] = []
        self.rows = 0  # accepted rows of the first table

    def _tolerant(self, table: Table) -> Table:
        share = max(table.max_rejected_share, self._config.daily_scoring.max_rejected_share)
        return table.model_copy(update={"max_rejected_share": share})

    def chunks(self) -> Iterator[Tables]:
        """Yields clean tables; each chunk has all rows of some keys."""
        names = list(self._tables)
        size = sum(text_bytes(path.name, path.stat().st_size) for path in self.files.values())
        count = math.ceil(size / (self._config.daily_scoring.chunk_mb * 2**20))
        by = shard_column(self._config, names)
        if count <= 1 or by is None:
            yield {name: self._clean(name, None, self._quarantine) for name in names}
            return
        with tempfile.TemporaryDirectory() as work:
            folders = [Path(work, f"chunk-{number:05}") for number in range(count)]
            cut = {
                name: cut_table(self._folder, name, self._tables[name], by, folders)
                for name in self.files
                if is_cut_by(self._tables[name], by)
            }
            whole = {name: self._clean(name, None, self._quarantine) for name in names if name not in cut}
            aside = [Path(work, f"quarantine-{number}") for number in range(count)]
            for folder, into in zip(folders, aside, strict=True):
                yield {**whole, **{name: self._clean(name, part, into, folder) for name, part in cut.items()}}
            merge_quarantine(aside, self._quarantine, set())

    def findings(self) -> list[Finding]:
        """The findings in all chunks together."""
        found = list({(one.table, one.expectation, one.column): one for one in self._unusable}.values())
        for name, table in self._tables.items():
            tally = self._tallies[name]
            file = self.files[name].name if name in self.files else table.file
            found += findings_of(tally, name, file, table)
            if name == next(iter(self._tables)) and tally.rows and not self.rows:
                found.append(no_rows_left(name, file, tally.rows, 0))
        return found

    def rejected(self) -> dict[str, int]:
        """The number of rejected rows by table."""
        return {name: tally.set_aside for name, tally in self._tallies.items() if name in self.files}

    def _clean(self, name: str, cut: Cut | None, quarantine: Path, folder: Path | None = None) -> pl.DataFrame:
        table, first = self._tables[name], name == next(iter(self._tables))
        if name not in self.files and not first:
            return _empty(table)
        try:
            if isinstance(cut, UnusableFileError):
                raise cut
            raw: RawTable | StoredTable = (
                StoredTable(self._folder, name, table) if cut is None or folder is None else read_cut(folder, cut)
            )
            clean = clean_table(raw, table, None, Window())
        except UnusableFileError as unusable:
            self._unusable += unusable.findings
            return _empty(table)
        self._tallies[name] = self._tallies[name].plus(clean.tally)
        if first:
            self.rows += clean.frame.height
        if clean.rejected.height:
            quarantine.mkdir(parents=True, exist_ok=True)
            clean.rejected.sort(LINE).write_csv(quarantine / f"{name}.csv")
        return clean.frame.drop(LINE)


def _empty(table: Table) -> pl.DataFrame:
    return pl.DataFrame(schema={name: reading_of(kind).dtype for name, kind in table.kinds.items()})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
