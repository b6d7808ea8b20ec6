"""A raw table as it is: its file found, its columns checked, each cell as text; nothing is changed or lost."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from include.jobs.validation.findings import Finding, UnusableFileError
from include.models.config import Table, named
from include.models.config.files import stored_names
from include.models.raw.reader import (
    BLOCK,
    EXPORT_AGAIN,
    Block,
    Form,
    RawFile,
    UnreadableFileError,
    no_rows,
    open_raw,
)


@dataclass(frozen=True)
class RawTable:
    """A table's rows as text: ``lines`` and ``malformed`` as a ``Block`` has them, under model.yaml's names, and what
    is known of the file that they are from; ``first_line`` is its first row's. Unless ``is_whole`` the rows are a part
    of its."""

    name: str
    file: str
    lines: pl.DataFrame
    malformed: pl.DataFrame
    bytes: int
    sha256: str
    has_byte_order_mark: bool
    first_line: int = 2
    is_whole: bool = True

    @property
    def rows(self) -> int:
        return self.lines.height + self.malformed.height

    def blocks(self) -> Iterator[Block]:
        yield Block(self.lines, self.malformed, self.first_line)


class StoredTable:
    """A table's rows as text, left in the file: ``blocks`` reads them each time. The file's properties are known once
    it has been read to the end."""

    is_whole = True

    def __init__(self, folder: Path, name: str, table: Table) -> None:
        self._folder, self._table, self.name = folder, table, name
        self.file = _find(folder, name, table).name
        self.rows = self.bytes = 0
        self.sha256 = ""
        self.has_byte_order_mark = False

    def blocks(self) -> Iterator[Block]:
        """Raises UnusableFileError as ``open_table`` does."""
        rows = 0
        with open_table(self._folder, self.name, self._table) as opened:
            for block in opened.blocks():
                rows += block.lines.height + block.malformed.height
                yield block
            raw = opened.raw
            self.rows, self.bytes, self.sha256 = rows, raw.size, raw.sha256
            self.has_byte_order_mark = raw.has_byte_order_mark


@dataclass(frozen=True)
class OpenTable:
    """A table's file, read block by block."""

    name: str
    raw: RawFile
    columns: list[str]
    table: Table
    may_be_empty: bool

    def blocks(self) -> Iterator[Block]:
        """The rows, under model.yaml's names, in the file's order."""
        any_row = False
        for block in self.raw.blocks(self.columns):
            any_row = True
            yield block
        if not any_row and not self.may_be_empty:
            found = "a header and no rows" if self.table.header else "an empty file"
            raise _unusable(self.name, self.raw.name, "file_has_rows", found, "at least one row", EXPORT_AGAIN)

    def table_of(self, lines: pl.DataFrame, malformed: pl.DataFrame) -> RawTable:
        """Makes these rows the table's. Call it once the blocks are read."""
        raw = self.raw
        return RawTable(
            self.name, raw.name, lines, malformed, raw.size, raw.sha256, raw.has_byte_order_mark, raw.first_line
        )


def read_table(
    folder: Path, name: str, table: Table, *, may_be_empty: bool = False, block_bytes: int = BLOCK
) -> RawTable:
    """The whole of a table; see ``open_table``."""
    with open_table(folder, name, table, may_be_empty=may_be_empty, block_bytes=block_bytes) as opened:
        blocks = list(opened.blocks()) or [no_rows(opened.columns)]
        lines = pl.concat([block.lines for block in blocks])
        return opened.table_of(lines, pl.concat([block.malformed for block in blocks]))


@contextmanager
def open_table(
    folder: Path, name: str, table: Table, *, may_be_empty: bool = False, block_bytes: int = BLOCK
) -> Iterator[OpenTable]:
    """A table's file, plain, packed or Parquet, from a folder, to be read in blocks of about as many bytes of text.

    Args:
        may_be_empty: a header without rows, or an empty file if there is none, is a table without any events.

    Raises:
        UnusableFileError: the file is missing, there twice, truncated, empty, not UTF-8, not CSV, has no rows, or its
            columns are not the table's. Also while blocks are read.
    """
    path = _find(folder, name, table)
    try:
        with open_raw(path, Form.of(table), block_bytes) as raw:
            columns = list(table.columns) if raw.header is None else _columns(raw.header, name, path.name, table)
            yield OpenTable(name, raw, columns, table, may_be_empty)
    except UnreadableFileError as error:
        finding = _finding(name, error.file, error.column, error.check, error.found, error.allowed, error.action)
        raise UnusableFileError([finding]) from error


def _find(folder: Path, name: str, table: Table) -> Path:
    names = stored_names(table.file)
    there = [folder / file for file in names if (folder / file).is_file()]
    allowed = f"one file {', '.join(names[:-1])} or {names[-1]}"
    if not there:
        present = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
        found = f"no such file among {', '.join(present[:8])}" if present else "an empty folder"
        near = difflib.get_close_matches(table.file, present, n=1)
        action = f"Is {near[0]} meant? Rename it." if near else f"Upload the table {name} beside the others."
        raise _unusable(name, table.file, "file_is_there", found, allowed, action)
    if len(there) > 1:
        found = f"the table twice, as {' and '.join(path.name for path in there)}"
        raise _unusable(name, table.file, "file_is_there", found, allowed, "Remove the one that is out of date.")
    return there[0]


def _columns(header: list[str], name: str, file: str, table: Table) -> list[str]:
    """The names of the file's columns, in the file's order, which may be any; spelled as in model.yaml, not as in the
    header."""
    names = {header.strip(): column for column, header in table.headers.items()}
    declared, names_in_file = list(names), named(header)
    if not set(names_in_file) - set(declared):  # nameless and repeated columns that model.yaml declares
        header = names_in_file
    problems = []
    for column in declared:
        if column not in header:
            near = difflib.get_close_matches(column, set(header) - set(declared), n=1, cutoff=0.5)
            hint = f"Is '{near[0]}' meant? Rename it in the file" if near else "Add it to the file"
            found = f"no such column; the header has {_listed(header)}"
            problems.append(_finding(name, file, column, "columns_as_declared", found, _listed(declared), hint + "."))
    allowed = f"{_listed(declared)}, once each"
    if unknown := [column for column in dict.fromkeys(header) if column not in declared]:
        found = "columns that are not known" if len(unknown) > 1 else f"a column '{unknown[0][:40]}' that is not known"
        action = "Remove it from the file, or declare it in model.yaml."
        problems.append(_finding(name, file, _listed(unknown), "columns_as_declared", found, allowed, action))
    for column in declared:
        if header.count(column) > 1:
            found, action = f"the column '{column}' {header.count(column)} times", "Keep the right one of them."
            problems.append(_finding(name, file, column, "columns_as_declared", found, allowed, action))
    if problems:
        raise UnusableFileError(problems)
    return [names[column] for column in header]


def _finding(name: str, file: str, column: str | None, check: str, found: str, allowed: str, action: str) -> Finding:
    return Finding("critical", name, file, column, check, found, allowed, None, action)


def _unusable(name: str, file: str, check: str, found: str, allowed: str, action: str) -> UnusableFileError:
    return UnusableFileError([_finding(name, file, None, check, found, allowed, action)])


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(str(column)[:40] for column in columns)[:300]
