"""A file's format: encoding, delimiter, lines before the header, whether it has one. What cannot be told, or needs
confirmation, is refused in one sentence that says where and what to do."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from include.models.config.files import PARQUET
from include.models.errors import JobError
from include.models.raw.other_formats import LOOKED_AT as BEGINNING
from include.models.raw.other_formats import other_format, wide_encoding
from include.models.raw.reader import (
    BYTE_ORDER_MARK,
    CONFLICT_MARKS,
    SEPARATOR_LINE,
    Form,
)
from include.models.raw.row_ends import not_utf8
from include.models.raw.sheets import SheetError, sheet_as_csv
from include.models.raw.streams import unpacked

DELIMITERS = (",", ";", "\t", "|")
NAMES = {",": "a comma", ";": "';'", "\t": "a tab", "|": "'|'"}
LOOKED_AT = 1 << 20  # bytes
ROWS_LOOKED_AT = 200
MOST_BEFORE = 50  # lines before the header
WESTERN = "windows-1252"
SIGN_IN_WORD = r"(?<=[^\W\d_])[^\w\s\x00-\x7f\u2019](?=[^\W\d_])|[\u0080-\u009f]|[\u00a1-\u00bf\u2018-\u203a]{2}"
ASSUME_AGAIN = "ASSUME=yes takes it so"


@dataclass(frozen=True)
class FoundForm:
    """``said``: notes on what is unusual."""

    form: Form
    said: tuple[str, ...] = ()


def find_form(file: Path, assume: bool = False, encoding: str | None = None) -> FoundForm:
    """Determines the file's format.

    Args:
        assume: accept what is nearly certain, rather than ask.
        encoding: the file's, if the user knows it.

    Raises:
        JobError: it cannot be read, or needs confirmation.
    """
    try:
        content = _beginning(file)
    except (OSError, EOFError) as error:
        raise JobError(f"{file} cannot be read: {error}.") from None
    if file.suffix == PARQUET:
        return FoundForm(Form())
    if file.suffix == ".xlsx":
        return _of_a_sheet(file, assume)
    if other := other_format(content[:BEGINNING]):
        raise JobError(f"{file.name} is {other.what}, not delimited text. {other.action}")
    form = Form(encoding=encoding or _encoding(file, content, assume))
    said = [] if form.encoding == "utf-8" else [f"the file is read as {form.encoding}"]
    try:
        text = content.removeprefix(BYTE_ORDER_MARK).decode(form.encoding, errors="ignore")
    except LookupError:
        raise JobError(f"ENCODING={encoding} is not an encoding; utf-8, windows-1252 and utf-16 are some.") from None
    lines = text.removeprefix("\ufeff").splitlines()[: ROWS_LOOKED_AT + MOST_BEFORE]
    form = _with_lines(form, lines, file.name, assume)
    return _described(form, lines, said, file.name, assume)


def _of_a_sheet(file: Path, assume: bool) -> FoundForm:
    """Like that of a delimited file, but for the delimiter."""
    try:
        text = sheet_as_csv(file.read_bytes(), skip_lines=MOST_BEFORE)  # a title's cells may be merged
    except SheetError as error:
        raise JobError(f"{file.name} has {error}") from None
    lines = text.decode().splitlines()[: ROWS_LOOKED_AT + MOST_BEFORE]
    form = _with_lines(Form(), [line.rstrip(",") for line in lines], file.name, assume)
    return _described(replace(form, delimiter=","), lines, [], file.name, assume)


def _described(form: Form, lines: Sequence[str], said: list[str], name: str, assume: bool) -> FoundForm:
    if form.skip_lines:
        which = "line is" if form.skip_lines == 1 else f"{form.skip_lines} lines are"
        said.append(f"the first {which} left out ('{lines[0].rstrip(',')[:40]}')")
    if form.delimiter != ",":
        said.append(f"cells are separated by {NAMES.get(form.delimiter, repr(form.delimiter))}")
    form = _with_header(form, lines[form.skip_lines :], name, assume)
    if not form.header:
        said.append("the file has no header: columns are named by position, column_1, column_2, ...")
    return FoundForm(form, tuple(said))


@contextmanager
def _unpacked(file: Path) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    with file.open("rb") as stored:
        yield unpacked(stored, file.suffix)


def _beginning(file: Path) -> bytes:
    with _unpacked(file) as opened:
        return opened.read(LOOKED_AT)


def _encoding(file: Path, content: bytes, assume: bool) -> str:
    wide = wide_encoding(content[:BEGINNING])
    if wide:
        if assume:
            return wide
        raise JobError(
            f"{file.name}, line 1, column 1: this is {wide[:6].upper()} text, not UTF-8. Save it as 'CSV UTF-8', or "
            f"give ENCODING={wide} ({ASSUME_AGAIN})."
        )
    broken = next(((number, line) for number, line in enumerate(_lines(file), 1) if not_utf8(line) >= 0), None)
    return "utf-8" if broken is None else _single_byte(file, *broken, assume)


def _single_byte(file: Path, number: int, line: bytes, assume: bool) -> str:
    """The encoding of text that is not UTF-8 from this line on, if it is a western one and may be assumed."""
    place = not_utf8(line)
    delimiter = max(DELIMITERS, key=lambda one: line.count(one.encode()))
    column = line[:place].count(delimiter.encode()) + 1
    cell = line.split(delimiter.encode())[column - 1].strip()[:40]
    found = f"{file.name}, line {number}, column {column}: a byte 0x{line[place]:02x} is not UTF-8"
    try:
        western = cell.decode(WESTERN)
    except UnicodeDecodeError:
        western = ""
    if not western or not _looks_western(file):
        raise JobError(f"{found}. Save the file as UTF-8, or say what it is: ENCODING=windows-1251, shift_jis, ...")
    if assume:
        return WESTERN
    raise JobError(
        f"{found}; as {WESTERN} the cell is '{western}'. Save the file as UTF-8, or give ENCODING={WESTERN} "
        f"({ASSUME_AGAIN})."
    )


def _lines(file: Path) -> Iterator[bytes]:
    with _unpacked(file) as opened:
        try:
            yield from opened
        except (OSError, EOFError, zlib.error) as error:
            raise JobError(f"{file.name} cannot be unpacked ({error}). Download or pack it again.") from None


def _looks_western(file: Path) -> bool:
    """Western words have a letter or two beyond ASCII; if whole words consist of such letters, or contain symbols, it
    is another alphabet."""
    western = others = 0
    for line in _lines(file):
        if line.isascii():
            continue
        try:
            text = line.decode(WESTERN)
        except UnicodeDecodeError:
            return False
        for word in re.findall(r"[^\W\d_]+", text):
            beyond = sum(not letter.isascii() for letter in word)
            western += 0 < beyond <= max(1, len(word) // 2)
            others += beyond > max(1, len(word) // 2)
        others += len(re.findall(SIGN_IN_WORD, text))
    return western > 2 * others or western == others == 0


def _with_lines(form: Form, lines: Sequence[str], name: str, assume: bool) -> Form:
    """Finds the delimiter, and how many lines precede the header."""
    for number, line in enumerate(lines, 1):
        if line.startswith(CONFLICT_MARKS) and (number == 1 or not any(mark in line for mark in DELIMITERS)):
            raise JobError(
                f"{name}, line {number}, column 1: a mark of a merge conflict ('{line[:40]}'). Keep one of the two "
                "versions, and remove the conflict markers."
            )
    if lines and (separator := SEPARATOR_LINE.match(lines[0].encode() + b"\n")):
        return replace(form, delimiter=separator[1].decode())
    commented = next((place for place, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0)
    delimiter = _delimiter(lines[commented:])
    commented -= _is_header(lines[commented - 1 : commented + 1], delimiter)
    widths = [len(row) for row in csv.reader(lines[commented:], delimiter=delimiter)]
    usual = Counter(width for width in widths if width > 1).most_common(1)
    titles = 0
    if usual and widths and widths[0] == 1:
        titles = next(place for place, width in enumerate(widths) if width == usual[0][0])
        titles = titles if titles <= MOST_BEFORE else 0
    skip = commented + titles
    if skip and not assume:
        raise JobError(
            f"{name}, line 1: '{lines[0][:40]}' is not a header; line {skip + 1} seems to be. Remove the lines before "
            f"it ({ASSUME_AGAIN}, with skip_lines: {skip} in model.yaml)."
        )
    return replace(form, delimiter=delimiter, skip_lines=skip)


def _is_header(lines: Sequence[str], delimiter: str) -> bool:
    """Whether the first of two lines, which begins with #, names the cells of the second, a row: #CHROM, POS, ..."""
    if len(lines) < 2:
        return False
    names, cells = csv.reader(lines, delimiter=delimiter)
    return 1 < len(names) == len(cells) and any(map(_is_number, cells)) and not any(map(_is_number, names))


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter that splits the first lines into equally many cells, and into the most."""

    def fits(delimiter: str) -> tuple[int, int]:
        rows = [len(row) for row in csv.reader(lines[:ROWS_LOOKED_AT], delimiter=delimiter) if row]
        if not rows or rows[0] < 2:
            return 0, 0
        return sum(width == rows[0] for width in rows), rows[0]

    found = {delimiter: fits(delimiter) for delimiter in DELIMITERS}
    most = max(count for count, _ in found.values())
    likely = [delimiter for delimiter in DELIMITERS if found[delimiter][0] >= 0.9 * most and most]
    return max(likely, key=lambda delimiter: found[delimiter][1]) if likely else ","


def _with_header(form: Form, lines: Sequence[str], name: str, assume: bool) -> Form:
    """Without a header, the first line is a row: it has as many numbers as the next."""
    rows = [row for row in csv.reader(lines[:10], delimiter=form.delimiter) if any(cell.strip() for cell in row)]
    if len(rows) < 3 or SEPARATOR_LINE.match(lines[0].encode() + b"\n"):
        return form
    numbers = [_is_number(cell) for cell in rows[0]]
    below = [_is_number(cell) for cell in rows[1]]
    is_name = sum(numbers) < 2 and not any(re.search(r"\d[.,]\d", cell) for cell in rows[0])  # none, or a year
    if is_name or not any(numbers) or sum(numbers) < sum(below) or len(rows[0]) != len(rows[1]):
        return form
    if len(set(rows[0])) == len(rows[0]) and all(re.fullmatch(r"(1[89]|20)\d\d|\d{1,3}", cell) for cell in rows[0][1:]):
        return form  # years, or pixels, as names
    if not assume:
        raise JobError(
            f"{name}, line 1: {', '.join(rows[0])[:60]} is a row, not a header. Write the columns' names above it "
            f"({ASSUME_AGAIN}: header: false in model.yaml, columns called column_1, column_2, ...)."
        )
    return replace(form, header=False)


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"\s*[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?\s*", cell))
