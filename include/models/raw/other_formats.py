"""Files named CSV that are something else: recognises them by their first bytes, and says what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

LOOKED_AT = 1024  # bytes needed to recognise these formats

UNPACK = "Unpack it, or pack the CSV file as .gz."
EXPORT = "Export it as CSV."
SAVE = "Save it as .xlsx or CSV."
AS_ROWS = "Write its objects as rows of a CSV file."
FETCH = "It is a pointer to the file: fetch the file itself"
DOWNLOAD = "Was it downloaded without signing in, or is it an error page? Download the file itself."


class OtherFormat(NamedTuple):
    """``what`` it is, and what to do."""

    what: str
    action: str


BY_FIRST_BYTES: Sequence[tuple[bytes, OtherFormat]] = (
    (b"PAR1", OtherFormat("a Parquet file", "Its name has to end in .parquet, or export it as CSV.")),
    (b"ORC", OtherFormat("an ORC file", EXPORT)),
    (b"Obj\x01", OtherFormat("an Avro file", EXPORT)),
    (b"ARROW1", OtherFormat("an Arrow (Feather) file", EXPORT)),
    (b"FEA1", OtherFormat("an Arrow (Feather) file", EXPORT)),
    (b"\x89HDF\r\n", OtherFormat("an HDF5 file", EXPORT)),
    (b"\x93NUMPY", OtherFormat("a NumPy array", EXPORT)),
    (b"SQLite format 3\x00", OtherFormat("an SQLite database", "Export the table as CSV.")),
    (b"RDX", OtherFormat("an R data file", EXPORT)),
    (b"RDA", OtherFormat("an R data file", EXPORT)),
    (b"$FL", OtherFormat("an SPSS file", EXPORT)),
    (b"HEADER RECORD*******", OtherFormat("a SAS transport file", EXPORT)),
    (b"<stata_dta>", OtherFormat("a Stata file", EXPORT)),
    (b"\x80\x04\x95", OtherFormat("a Python pickle", EXPORT)),
    (b"\x80\x05\x95", OtherFormat("a Python pickle", EXPORT)),
    (b"\xd0\xcf\x11\xe0", OtherFormat("an old Excel workbook (.xls), or one with a password", SAVE)),
    (b"PK\x05\x06", OtherFormat("an empty zip archive", UNPACK)),
    (b"\x1f\x8b", OtherFormat("gzip data", "Its name has to end in .gz, or unpack it.")),
    (b"BZh", OtherFormat("bzip2 data", UNPACK)),
    (b"\xfd7zXZ", OtherFormat("xz data", UNPACK)),
    (b"\x28\xb5\x2f\xfd", OtherFormat("Zstandard data", "Its name has to end in .zst, or unpack it.")),
    (b"\x04\x22\x4d\x18", OtherFormat("LZ4 data", UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", OtherFormat("a 7z archive", UNPACK)),
    (b"Rar!\x1a\x07", OtherFormat("a RAR archive", UNPACK)),
    (b"%PDF", OtherFormat("a PDF", "Export the table as CSV.")),
    (b"\x89PNG", OtherFormat("an image (PNG)", EXPORT)),
    (b"\xff\xd8\xff", OtherFormat("an image (JPEG)", EXPORT)),
    (b"{\\rtf", OtherFormat("a text document (RTF)", "Save the table as CSV.")),
    (b"version https://git-lfs", OtherFormat("a Git LFS pointer", f"{FETCH} with 'git lfs pull'.")),
    (b"/annex/objects/", OtherFormat("a git-annex pointer", f"{FETCH} with 'git annex get'.")),
)
ZIP = b"PK\x03\x04"
ARCHIVE = OtherFormat("a zip archive", UNPACK)
WORKBOOK = OtherFormat("an Excel workbook", "Its name has to end in .xlsx, or save it as CSV.")
TAR = (257, b"ustar", OtherFormat("a tar archive", UNPACK))
BY_FIRST_WORDS: Sequence[tuple[re.Pattern[bytes], OtherFormat]] = (
    (re.compile(rb"<!doctype|<html|<head|<body", re.IGNORECASE), OtherFormat("a web page", DOWNLOAD)),
    (re.compile(rb"<\?xml|<error", re.IGNORECASE), OtherFormat("XML", DOWNLOAD)),
    (
        re.compile(rb'\{\s*["}][^\n]*\}\s*\r?\n\s*\{'),
        OtherFormat("JSON Lines", AS_ROWS),
    ),
    (re.compile(rb'\{\s*["}]|\[\s*[{\["]'), OtherFormat("JSON", AS_ROWS)),
    (re.compile(rb"@relation\b", re.IGNORECASE), OtherFormat("an ARFF file", EXPORT)),
)
MARKS = re.compile(rb"\A(?:\xef\xbb\xbf)*\s*")
WIDE_MARKS: Sequence[tuple[bytes, str]] = (  # UTF-32's starts like UTF-16's
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def other_format(beginning: bytes) -> OtherFormat | None:
    """The format of a file with this beginning; None if it may be delimited text."""
    if beginning.startswith(ZIP):
        return WORKBOOK if b"[Content_Types].xml" in beginning or b"xl/" in beginning else ARCHIVE
    place, magic, archive = TAR
    if beginning[place : place + len(magic)] == magic:
        return archive
    text = beginning[MARKS.match(beginning).end() :]  # type: ignore[union-attr] # it matches nothing at least
    found = (form for magic, form in BY_FIRST_BYTES if beginning.startswith(magic))
    return next(found, None) or next((form for words, form in BY_FIRST_WORDS if words.match(text)), None)


def wide_encoding(beginning: bytes) -> str | None:
    """UTF-16 or UTF-32, recognised by its byte-order mark or by zero bytes; None otherwise."""
    if marked := next((name for mark, name in WIDE_MARKS if beginning.startswith(mark)), None):
        return marked
    some = beginning[: LOOKED_AT // 4 * 4]
    first, second, third, fourth = (
        some[place::4].count(0) * 16 > len(some) for place in range(4)
    )  # a quarter of these
    if third and fourth:
        return None if first else "utf-32-le"
    if first and second:
        return None if fourth else "utf-32-be"
    if second and fourth:
        return "utf-16-le"
    return "utf-16-be" if first and third else None
