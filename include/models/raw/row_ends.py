"""Where rows end in the bytes of a delimited file, whose quoted cells may contain line breaks."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from functools import cache
from itertools import islice

from include.models.config.kinds import WHITESPACE

LONGEST_BLANK_ROW = 1 << 16  # bytes, fewer than Python's reader takes in a cell
LINE_BREAK = re.compile(rb"\r\n|\r|\n")


@cache
def _quoted(delimiter: bytes) -> re.Pattern[bytes]:
    """A quoted cell: from a quote at the beginning of a cell to the next single one, or to the end."""
    return re.compile(rb'(?:(?<=[%s\r\n])|\A)"[^"]*+(?:""[^"]*+)*+(?:"|\Z)' % re.escape(delimiter))


def _mask_quoted(content: bytes, delimiter: bytes) -> bytes:
    """The text with quoted cells blanked, at the same length."""
    return _quoted(delimiter).sub(lambda cell: b"x" * len(cell[0]), content) if b'"' in content else content


def last_row_end(content: bytes, delimiter: bytes) -> int:
    """The end of the last row that certainly ends in this text; 0 if none. A final CR may be half of a CRLF."""
    masked = _mask_quoted(content, delimiter)
    return max(masked.rfind(b"\n"), masked.rfind(b"\r", 0, len(masked) - 1)) + 1


def first_row_end(content: bytes, delimiter: bytes) -> int:
    found = LINE_BREAK.search(_mask_quoted(content, delimiter))
    return found.end() if found else len(content)


def open_quote(content: bytes, delimiter: bytes) -> int:
    """The offset of the quote that opens the last cell and is never closed; -1 if there is none."""
    last = None
    for last in _quoted(delimiter).finditer(content):  # noqa: B007 - it is used below
        pass
    return last.start() if last and last[0].count(b'"') % 2 else -1


def is_blank(row: bytes, delimiter: str) -> bool:
    """Whether no cell of a row has any text."""
    if len(row) > LONGEST_BLANK_ROW:
        return False
    cells = next(csv.reader([row.decode(errors="replace").rstrip("\r\n")], delimiter=delimiter), [])
    return not any(cell.strip(WHITESPACE) for cell in cells)


def after_lines(content: bytes, count: int) -> int | None:
    """The offset after this many lines; None if there are not as many."""
    ends = [found.end() for found in islice(LINE_BREAK.finditer(content), count)]
    return None if len(ends) < count else ends[-1] if ends else 0


def line_breaks(content: bytes) -> int:
    return content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")


def not_utf8(content: bytes) -> int:
    """The offset of the first byte that is not UTF-8; -1 if all are."""
    if not content.isascii():
        try:
            content.decode()
        except UnicodeDecodeError as error:
            return error.start
    return -1


def column_at(content: bytes, place: int, columns: Sequence[str], delimiter: bytes) -> str | None:
    """The column of the cell that contains a byte."""
    masked = _mask_quoted(content, delimiter)[:place]
    start = max(masked.rfind(b"\n"), masked.rfind(b"\r")) + 1
    number = masked.count(delimiter, start)
    return columns[number] if number < len(columns) else None
