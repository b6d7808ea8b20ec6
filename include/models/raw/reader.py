"""The one reader of raw files: rows as text, with their line numbers, in blocks of bounded size.

A file is delimited text, plain, ``.gz`` or ``.zst``, with or without a byte-order mark; its lines end in LF, CRLF or
CR. Its ``Form`` has the delimiter and the encoding; a first line ``sep=;``, as Excel writes it, sets the delimiter. The
only sheet of an ``.xlsx`` file, and a ``.parquet`` file, are read as the text of their export. A quote counts only at
the beginning of a cell; two of them within a quoted cell stand for one. A row without any text is a blank line:
skipped, but counted. A row with another number of cells than columns is malformed and kept apart.

Blocks end where rows end, and are parsed separately: the result does not depend on their size.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from include.models.config import LINE, Column, Table
from include.models.config.files import PARQUET
from include.models.config.kinds import WHITESPACE
from include.models.raw.other_formats import LOOKED_AT, ZIP, other_format, wide_encoding
from include.models.raw.parquet import ParquetError, ParquetRows
from include.models.raw.row_ends import (
    after_lines,
    column_at,
    first_row_end,
    is_blank,
    last_row_end,
    line_breaks,
    not_utf8,
    open_quote,
)
from include.models.raw.sheets import SheetError, sheet_as_csv
from include.models.raw.streams import Hashed, unpacked

BLOCK = 1 << 24
LONGEST_ROW = 1 << 24  # bytes; an unclosed quote would turn the rest of the file into one row
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
EXPORT_AGAIN = "Export or upload the file again."
COPY_AGAIN = "Was it copied while it was being written? Export or upload it again."
SAVE_AS_CSV = "Save the file as comma-separated UTF-8 text with one header line."
MALFORMED = pl.Schema({LINE: pl.UInt32, "text": pl.String, "reason": pl.String})
SEPARATOR_LINE = re.compile(rb'"?sep=(.)"?(?:\r\n|\r|\n)', re.IGNORECASE)  # as Excel writes it
ENOUGH = 16  # bytes that cover a byte-order mark and a separator line
CONFLICT_MARKS = ("<<<<<<< ", "=======", ">>>>>>> ", "||||||| ")


class UnreadableFileError(Exception):
    """An unreadable file: what was found where, what is allowed, what to do; and the column, if known."""

    def __init__(self, file: str, check: str, found: str, allowed: str, action: str, column: str | None = None) -> None:
        super().__init__(f"{file}{f', column {column}' if column else ''}: found {found}; allowed: {allowed}. {action}")
        self.file, self.check, self.column = file, check, column
        self.found, self.allowed, self.action = found, allowed, action


@dataclass(frozen=True)
class Form:
    """A file's format; the defaults are those of most programs. ``columns``: known columns, for files whose types must
    match."""

    header: bool = True
    delimiter: str = ","
    encoding: str = "utf-8"
    skip_lines: int = 0
    columns: Mapping[str, Column] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, table: Table) -> Form:
        return cls(table.header, table.delimiter, table.encoding, table.skip_lines, table.columns)


AS_USUAL = Form()


@dataclass(frozen=True)
class Block:
    """Some of a file's rows: ``lines`` has the columns as String and LINE, ``malformed`` has LINE, ``text`` and
    ``reason``; ``first_line`` is the first row's line in the file. Lines count from 1, including the header, one per
    row (quoted line breaks in cells make actual line numbers higher)."""

    lines: pl.DataFrame
    malformed: pl.DataFrame
    first_line: int = 2


def no_rows(columns: Sequence[str]) -> Block:
    lines = pl.DataFrame(schema={**dict.fromkeys(columns, pl.String), LINE: pl.UInt32})
    return Block(lines, pl.DataFrame(schema=MALFORMED))


class RawFile:
    """An open raw file. ``header``: the cells of its first line, None if the file has no header line; ``first_line``:
    the line number of the first row.

    After ``blocks`` is exhausted, ``size`` and ``sha256`` are those of the whole stored file.
    """

    def __init__(self, path: Path, stored: Hashed, form: Form, block_bytes: int) -> None:
        self.name = path.name
        self._stored, self._block_bytes, self._path, self._form = stored, block_bytes, path, form
        self._delimiter = form.delimiter.encode()
        self._text = self._opened(path)
        self._breaks, self.has_byte_order_mark = 0, False
        self._rows = self._whole_rows()
        self.first_line = 1
        self.header: list[str] | None = None
        if form.header:
            self.header = self._read_header()

    @property
    def delimiter(self) -> str:
        return self._delimiter.decode()

    @property
    def size(self) -> int:
        """The stored size in bytes."""
        return self._stored.size

    @property
    def sha256(self) -> str:
        return self._stored.sha256

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """The rows under these names, one per cell of a row; blocks without rows are skipped.

        Raises:
            UnreadableFileError: the file is truncated, not in its encoding, or not CSV.
        """
        content = next(self._rows, b"")
        line = self.first_line = self.first_line + (0 if self._form.header else self._breaks)
        while content:
            self._require_utf8(content, columns)
            block, rows = self._parse(content, columns, line)
            line += rows
            self._breaks += line_breaks(content)
            if block.lines.height or block.malformed.height:
                yield block
            content = next(self._rows, b"")

    def _opened(self, path: Path) -> io.BufferedIOBase:
        buffered = io.BufferedReader(self._stored, 1 << 20)
        if path.suffix == ".xlsx":
            self._delimiter = b","
            if not buffered.peek(LOOKED_AT).startswith(ZIP):
                self._require_text(buffered, "an Excel workbook with one sheet")
            try:
                return io.BytesIO(sheet_as_csv(buffered.read(), self._form.skip_lines))
            except SheetError as error:
                raise UnreadableFileError(
                    self.name, "file_is_readable", error.found, "an Excel workbook with one sheet", error.action
                ) from error
        text = unpacked(buffered, path.suffix)
        self._require_text(text, "delimited text")
        return text

    def _require_text(self, opened: io.BufferedReader[Any] | gzip.GzipFile, allowed: str) -> None:
        """Rejects other formats, and wider text than model.yaml says, by the first bytes."""
        try:
            beginning = opened.peek(LOOKED_AT)[:LOOKED_AT]
        except (EOFError, OSError, zlib.error, pa.ArrowException):
            return  # corrupt packed data: reading reports it
        if other := other_format(beginning):
            raise self._unreadable(other.what, allowed, other.action)
        if self._form.encoding == "utf-8" and (wide := wide_encoding(beginning)):
            first = next(byte for byte in beginning if byte == 0 or byte > 127)
            raise self._unreadable(f"{wide[:6].upper()} text, a byte 0x{first:02x} in line 1")

    def _read_header(self) -> list[str]:
        content = self._after_blank_rows()
        if not content:
            allowed = "a header and at least one row"
            raise UnreadableFileError(self.name, "file_has_rows", "an empty file", allowed, EXPORT_AGAIN)
        end = first_row_end(content, self._delimiter)
        first, rest = content[:end], content[end:]
        self._require_utf8(first, ())
        self._rows = _put_back(rest, self._rows)
        self.first_line = self._breaks + 2
        self._breaks += line_breaks(first)
        try:
            cells = next(csv.reader([first.decode().rstrip("\r\n")], delimiter=self.delimiter, strict=True), [])
        except csv.Error as error:
            raise self._unreadable(f"a header that is not CSV ({error})", "comma-separated names") from error
        return [cell.strip(WHITESPACE) for cell in cells]

    def _after_blank_rows(self) -> bytes:
        """Some complete rows, the first of which has text; empty if no row has any."""
        for content in self._rows:
            rest = content
            while rest:
                end = first_row_end(rest, self._delimiter)
                if not is_blank(rest[:end], self.delimiter):
                    return rest
                self._breaks += line_breaks(rest[:end])
                rest = rest[end:]
        return b""

    def _whole_rows(self) -> Iterator[bytes]:
        """The file's text, cut where rows end."""
        rest = b""
        for more in self._contents():
            rest += more
            end = last_row_end(rest, self._delimiter)
            if end:
                yield rest[:end]
                rest = rest[end:]
            elif len(rest) > LONGEST_ROW:
                found = f"a row of more than {LONGEST_ROW >> 20} MiB from line {self._breaks + 1} on"
                action = "Look for an unclosed quote: it swallows the rows after it."
                raise UnreadableFileError(self.name, "file_is_readable", found, "rows that end", action)
        if (place := open_quote(rest, self._delimiter)) >= 0:
            line = self._breaks + line_breaks(rest[:place]) + 1
            column = column_at(rest, place, self.header or (), self._delimiter)
            found, allowed = f"a quote that is opened in line {line} and never closed", "quotes that are closed"
            action = "Close it, or write two quotes for one within a cell."
            raise self._unreadable(found, allowed, action, column)
        if rest:
            yield rest

    def _contents(self) -> Iterator[bytes]:
        """The file's text in UTF-8, from its header or first row on."""
        pieces, beginning = self._decoded(), b""
        for more in pieces:
            beginning += more
            start = after_lines(beginning, self._form.skip_lines)
            if start is not None and len(beginning) - start >= ENOUGH:
                break
        self.has_byte_order_mark = beginning.startswith(BYTE_ORDER_MARK)
        while beginning.startswith(BYTE_ORDER_MARK):  # several, if a program added one to a file that had one already
            beginning = beginning.removeprefix(BYTE_ORDER_MARK)
        start = after_lines(beginning, self._form.skip_lines)
        start = len(beginning) if start is None else start
        if separator := SEPARATOR_LINE.match(beginning, start):
            self._delimiter, start = separator[1], separator.end()
        self._breaks = line_breaks(beginning[:start])
        yield beginning[start:]
        yield from pieces

    def _decoded(self) -> Iterator[bytes]:
        """The file's text in UTF-8."""
        if self._form.encoding == "utf-8" or self._path.suffix == ".xlsx":
            while more := self._read():
                yield more
            return
        decoder, lines = codecs.getincrementaldecoder(self._form.encoding)(), 1
        while True:
            more = self._read()
            try:
                text = decoder.decode(more, final=not more)
            except UnicodeDecodeError as error:
                allowed = f"{self._form.encoding} text, as model.yaml says"
                raise self._unreadable(f"{_byte(error)} in line {lines} or after it", allowed) from None
            if text:
                lines += text.count("\n")
                yield text.encode()
            if not more:
                return

    def _read(self) -> bytes:
        allowed = "a complete gzip file"
        try:
            return self._text.read(self._block_bytes)
        except EOFError:
            found = f"a gzip stream that ends early, after {self._path.stat().st_size:,} bytes"
            raise self._unreadable(found, allowed, EXPORT_AGAIN) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise self._unreadable(f"corrupt gzip data ({error})", allowed, EXPORT_AGAIN) from error
        except (pa.ArrowException, OSError) as error:
            if self._path.suffix != ".zst":
                raise
            found = f"a zstd stream that is corrupt or ends early, after {self._path.stat().st_size:,} bytes"
            raise self._unreadable(found, "a complete zstd file", EXPORT_AGAIN) from error

    def _require_utf8(self, content: bytes, columns: Sequence[str]) -> None:
        places = [place for place in (content.find(0), not_utf8(content)) if place >= 0]
        if not places:
            return
        place = min(places)
        action = SAVE_AS_CSV if content[place] else COPY_AGAIN
        line = self._breaks + line_breaks(content[:place]) + 1
        column = column_at(content, place, columns, self._delimiter)
        raise self._unreadable(f"a byte 0x{content[place]:02x} in line {line}", action=action, column=column)

    def _parse(self, content: bytes, columns: Sequence[str], first: int) -> tuple[Block, int]:
        """The rows of a text whose first row is on line ``first``, and the number of rows, including blank ones."""
        malformed: list[tuple[int, str, str]] = []

        def set_aside(row: pa_csv.InvalidRow) -> str:
            is_mark = row.text.startswith(CONFLICT_MARKS)
            found = row.actual_columns
            fields = f"{found} field{'' if found == 1 else 's'} instead of {row.expected_columns}"
            reason = f"a mark of a merge conflict, '{row.text[:40]}'" if is_mark else fields
            malformed.append((first + row.number - 1, row.text, reason))
            return "skip"

        # a byte-order mark within the text belongs to its cell; Arrow would strip it from a block's first cell
        if content.startswith(BYTE_ORDER_MARK):
            content = BYTE_ORDER_MARK + content
        try:
            cells = pa_csv.read_csv(
                pa.py_buffer(content),
                # one thread: only then do invalid rows have a number
                read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(content) + 1, column_names=columns),
                parse_options=pa_csv.ParseOptions(
                    delimiter=self.delimiter,
                    newlines_in_values=True,
                    ignore_empty_lines=False,
                    invalid_row_handler=set_aside,
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False, check_utf8=False
                ),
            )
        except pa.ArrowInvalid as error:
            raise self._unreadable(f"invalid CSV ({error}), from line {self._breaks + 1} on", "CSV") from error
        lines = pl.DataFrame(pl.from_arrow(cells))
        bad = pl.DataFrame(malformed, schema=MALFORMED, orient="row")
        rows = lines.height + bad.height
        numbers = pl.int_range(first, first + rows, dtype=pl.UInt32, eager=True).alias(LINE)
        if bad.height:
            numbers = numbers.filter(~numbers.is_in(bad[LINE]))
        lines = lines.with_columns(numbers)
        if lines.select((pl.col(columns[0]).str.strip_chars() == "").any()).item():
            lines = lines.filter(pl.any_horizontal(pl.col(columns).str.strip_chars() != ""))
        return Block(lines, bad.filter(pl.col("text").str.strip_chars() != ""), self.first_line), rows

    def _unreadable(
        self, found: str, allowed: str = "UTF-8 text", action: str = SAVE_AS_CSV, column: str | None = None
    ) -> UnreadableFileError:
        return UnreadableFileError(self.name, "file_is_readable", found, allowed, action, column)


class RawParquet(RawFile):
    """A Parquet file, which always has a header and never malformed rows."""

    def __init__(self, path: Path, stored: Hashed, form: Form, block_bytes: int) -> None:
        self.name, self.has_byte_order_mark, self.first_line = path.name, False, 2
        self._stored, self._form, self._delimiter = stored, form, b","
        while stored.read(block_bytes):
            pass  # read to hash it; Parquet itself is read from its end
        if not stored.size:
            raise UnreadableFileError(self.name, "file_has_rows", "an empty file", "a header and a row", EXPORT_AGAIN)
        try:
            self._rows_of = ParquetRows(path)
        except ParquetError as error:
            raise self._refusal(error) from error
        self.header = self._rows_of.header

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        line = self.first_line
        texts = self._rows_of.texts(list(columns), self._form.columns)
        try:
            for frame in texts:
                numbers = pl.int_range(line, line + frame.height, dtype=pl.UInt32, eager=True)
                line += frame.height
                lines = frame.with_columns(numbers.alias(LINE))
                lines = lines.filter(pl.any_horizontal(pl.col(columns).str.strip_chars() != ""))
                if lines.height:
                    yield Block(lines, pl.DataFrame(schema=MALFORMED), self.first_line)
        except ParquetError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: ParquetError) -> UnreadableFileError:
        return self._unreadable(error.found, error.allowed, EXPORT_AGAIN, error.column)


@contextmanager
def open_raw(path: Path, form: Form = AS_USUAL, block_bytes: int = BLOCK) -> Iterator[RawFile]:
    """Opens a raw file and reads its header.

    Raises:
            UnreadableFileError: it should have a header line but is empty, or the header is not in its encoding or not
                CSV; it is not a workbook, or has several sheets.
    """
    with path.open("rb") as file:
        stored = Hashed(file)
        yield (RawParquet if path.suffix == PARQUET else RawFile)(path, stored, form, block_bytes)


def _put_back(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from others


def _byte(error: UnicodeDecodeError) -> str:
    return f"a byte 0x{error.object[error.start]:02x}"
