"""The beginning of a file as a table or as text: CSV, Parquet, JSON, JSON Lines, plain text, each also with .gz."""

from __future__ import annotations

import csv
import io
import itertools
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

ROWS = 100
MOST_BYTES = 64 * 2**20  # of a Parquet file, which has to be read whole
_TEXT_BYTES = 256 * 2**10  # of any other, once unpacked
_TABLES = (".csv", ".tsv")
_TEXTS = (".json", ".jsonl", ".txt", ".md", ".yaml", ".log", ".out", ".manifest", "_SUCCESS.json", "files")


class PreviewError(Exception):
    """The file cannot be shown; the message says why."""


class Body(Protocol):
    def read(self, size: int | None = None) -> bytes: ...


@dataclass(frozen=True)
class Preview:
    """Rows of a table with their columns, or a text; ``whole`` if that is all there is."""

    whole: bool
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = field(default=())
    text: str = ""


def can_preview(key: str) -> bool:
    return key.removesuffix(".gz").endswith((*_TABLES, *_TEXTS, ".parquet"))


def preview(key: str, body: Body, size: int) -> Preview:
    """Raises PreviewError: the file is damaged, too large, or of an unknown type."""
    name = key.removesuffix(".gz")
    if name.endswith(".parquet"):
        return _parquet(body, size)
    if not can_preview(key):
        raise PreviewError("there is no preview of this kind of file")
    content, whole = _beginning(body, packed=key.endswith(".gz"))
    text = content.decode(errors="replace")
    if name.endswith(_TABLES):
        return _table(text, whole, delimiter="\t" if name.endswith(".tsv") else ",")
    if name.endswith(".json") and whole:
        try:
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        except ValueError:
            return Preview(whole, text=text)  # shown unchanged, so that the reader sees what is wrong with it
    return Preview(whole, text=text)


def _beginning(body: Body, *, packed: bool) -> tuple[bytes, bool]:
    """The first bytes, and whether that is all."""
    if not packed:
        content = body.read(_TEXT_BYTES + 1)
        return content[:_TEXT_BYTES], len(content) <= _TEXT_BYTES
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = unpacking.decompress(body.read(_TEXT_BYTES), _TEXT_BYTES)
    except zlib.error as error:
        raise PreviewError(f"it is not a gzip file: {error}") from error
    return content, unpacking.eof


def _table(text: str, whole: bool, delimiter: str) -> Preview:
    lines = text if whole else text[: text.rfind("\n") + 1]
    try:
        rows = list(itertools.islice(csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter), ROWS + 2))
    except csv.Error as error:
        raise PreviewError(f"it cannot be read as CSV: {error}") from error
    columns, *values = rows or [[]]
    return Preview(whole and len(values) <= ROWS, columns, values[:ROWS])


def _parquet(body: Body, size: int) -> Preview:
    import polars as pl  # a hundred megabytes of memory that only this page needs

    if size > MOST_BYTES:
        raise PreviewError(f"it has {size:,} bytes; Parquet is shown up to {MOST_BYTES:,}")
    try:
        frame = pl.read_parquet(io.BytesIO(body.read()), n_rows=ROWS + 1)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise PreviewError(f"it cannot be read as Parquet: {error}") from error
    return Preview(len(frame) <= ROWS, frame.columns, frame.head(ROWS).rows())
