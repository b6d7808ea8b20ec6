"""A raw table's file as it stands: every cell as text, with its line number, nothing changed and nothing lost."""

from __future__ import annotations

import csv
import difflib
import gzip
import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from include.jobs.validation.findings import Finding, UnusableFileError
from include.models.config import Table

LINE = "file_line"  # beside the table's own columns, none of which is likely to be called so
MALFORMED = {LINE: pl.UInt32, "text": pl.String, "reason": pl.String}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EXPORT_AGAIN = "Export or upload the file again."
SAVE_AS_CSV = "Save the file as comma-separated UTF-8 text with one header line."


@dataclass(frozen=True)
class RawTable:
    """A table's rows as text.

    ``lines`` has the file's columns as String, under model.yaml's names, and LINE; ``malformed`` has LINE, ``text`` and
    ``reason`` of the rows whose number of fields is wrong. Lines count from 1, the header's if there is one, one per
    row (a quoted line break in a cell makes later lines of the file come out higher).
    """

    name: str
    file: str
    lines: pl.DataFrame
    malformed: pl.DataFrame
    bytes: int
    sha256: str
    has_byte_order_mark: bool

    @property
    def rows(self) -> int:
        return self.lines.height + self.malformed.height


def read_table(folder: Path, name: str, table: Table, *, may_be_empty: bool = False) -> RawTable:
    """Read the table's file, plain or .gz, from a folder.

    Args:
        may_be_empty: a header without rows, or an empty file where there is none, is a table on which nothing happened.

    Raises:
        UnusableFileError: the file is missing, there twice, truncated, empty, no UTF-8, no CSV, has no rows, or its
            columns are not the table's.
    """
    path = _find(folder, name, table)
    packed = path.read_bytes()
    content = _unpack(packed, name, path.name)
    if not _has_text(content) and (table.header or not may_be_empty):
        allowed = "a header and at least one row" if table.header else "at least one row"
        raise _unusable(name, path.name, "file_has_rows", "an empty file", allowed, EXPORT_AGAIN)
    columns = _header(content, name, path.name, table) if table.header else list(table.columns)
    lines, malformed = _parse(content, name, path.name, columns, first_line(table))
    if lines.is_empty() and malformed.is_empty() and not may_be_empty:
        raise _unusable(name, path.name, "file_has_rows", "a header and no rows", "at least one row", EXPORT_AGAIN)
    return RawTable(
        name=name,
        file=path.name,
        lines=lines,
        malformed=malformed,
        bytes=len(packed),
        sha256=hashlib.sha256(packed).hexdigest(),
        has_byte_order_mark=content.startswith(BYTE_ORDER_MARK),
    )


def first_line(table: Table) -> int:
    """The number of the line that holds the first row."""
    return 2 if table.header else 1


def _find(folder: Path, name: str, table: Table) -> Path:
    there = [folder / file for file in (table.file, f"{table.file}.gz") if (folder / file).is_file()]
    allowed = f"one file {table.file} or {table.file}.gz"
    if not there:
        present = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
        found = f"no such file among {', '.join(present[:8])}" if present else "an empty folder"
        near = difflib.get_close_matches(table.file, present, n=1)
        action = f"Is {near[0]} meant? Rename it." if near else f"Upload the table {name} beside the others."
        raise _unusable(name, table.file, "file_is_there", found, allowed, action)
    if len(there) == 2:
        found = "both a plain and a .gz file"
        raise _unusable(name, table.file, "file_is_there", found, allowed, "Remove the one that is out of date.")
    return there[0]


def _unpack(packed: bytes, name: str, file: str) -> bytes:
    content = packed
    if file.endswith(".gz"):
        allowed = "a complete gzip file"
        try:
            content = gzip.decompress(packed)
        except EOFError:
            found = f"a gzip stream that breaks off after {len(packed):,} bytes"
            raise _unusable(name, file, "file_is_readable", found, allowed, EXPORT_AGAIN) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            found = f"broken gzip data ({error})"
            raise _unusable(name, file, "file_is_readable", found, allowed, EXPORT_AGAIN) from error
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"a byte 0x{content[error.start]:02x} in line {content.count(b'\n', 0, error.start) + 1}"
        raise _unusable(name, file, "file_is_readable", found, "UTF-8 text", SAVE_AS_CSV) from None
    return content


def _has_text(content: bytes) -> bool:
    return bool(content.removeprefix(BYTE_ORDER_MARK).strip())


def _header(content: bytes, name: str, file: str, table: Table) -> list[str]:
    """The names of the file's columns in its order, which may be any; as model.yaml has them, not the header."""
    first = content.removeprefix(BYTE_ORDER_MARK).replace(b"\r", b"\n").split(b"\n", 1)[0]
    declared = list(table.headers.values())
    try:
        columns = next(csv.reader([first.decode("utf-8")], strict=True), [])
    except csv.Error as error:
        found = f"a header that is no CSV ({error})"
        raise _unusable(name, file, "file_is_readable", found, _listed(declared), SAVE_AS_CSV) from error
    problems = []
    for column in declared:
        if column not in columns:
            near = difflib.get_close_matches(column, set(columns) - set(declared), n=1, cutoff=0.5)
            hint = f"Is '{near[0]}' meant? Rename it in the file" if near else "Add it to the file"
            found = f"no such column; the header has {_listed(columns)}"
            problems.append(_finding(name, file, column, "columns_as_declared", found, _listed(declared), hint + "."))
    allowed = f"{_listed(declared)}, once each"
    if unknown := [column for column in dict.fromkeys(columns) if column not in declared]:
        found = "columns that are not known" if len(unknown) > 1 else f"a column '{unknown[0][:40]}' that is not known"
        action = "Remove it from the file, or declare it in model.yaml."
        problems.append(_finding(name, file, _listed(unknown), "columns_as_declared", found, allowed, action))
    for column in declared:
        if columns.count(column) > 1:
            found, action = f"the column '{column}' {columns.count(column)} times", "Keep the right one of them."
            problems.append(_finding(name, file, column, "columns_as_declared", found, allowed, action))
    if problems:
        raise UnusableFileError(problems)
    names = {header: column for column, header in table.headers.items()}
    return [names[column] for column in columns]


def _parse(content: bytes, name: str, file: str, columns: list[str], first: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows as text under these names, and the malformed ones; ``first`` is the first row's line."""
    if not _has_text(content):
        no_lines = pl.DataFrame(schema=dict.fromkeys(columns, pl.String) | {LINE: pl.UInt32})
        return no_lines, pl.DataFrame(schema=MALFORMED)
    malformed: list[tuple[int, str, str]] = []

    def set_aside(row: pa_csv.InvalidRow) -> str:
        reason = f"{row.actual_columns} fields instead of {row.expected_columns}"
        malformed.append((row.number, row.text, reason))
        return "skip"

    try:
        cells = pa_csv.read_csv(
            pa.py_buffer(content),
            # one thread: only then does an invalid row know its number
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=1 << 24, column_names=columns, skip_rows=first - 1
            ),
            parse_options=pa_csv.ParseOptions(
                newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=set_aside
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise _unusable(name, file, "file_is_readable", f"no valid CSV ({error})", "CSV", SAVE_AS_CSV) from error
    lines = pl.DataFrame(pl.from_arrow(cells))
    bad = pl.DataFrame(malformed, schema=MALFORMED, orient="row")
    numbers = np.arange(first, first + lines.height + bad.height, dtype=np.uint32)
    lines = lines.with_columns(pl.Series(LINE, np.setdiff1d(numbers, bad[LINE].to_numpy(), assume_unique=True)))
    return lines.filter(pl.any_horizontal(pl.col(columns) != "")), bad.filter(pl.col("text") != "")


def _finding(name: str, file: str, column: str | None, check: str, found: str, allowed: str, action: str) -> Finding:
    return Finding("critical", name, file, column, check, found, allowed, None, action)


def _unusable(name: str, file: str, check: str, found: str, allowed: str, action: str) -> UnusableFileError:
    return UnusableFileError([_finding(name, file, None, check, found, allowed, action)])


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(str(column)[:40] for column in columns)[:300]
