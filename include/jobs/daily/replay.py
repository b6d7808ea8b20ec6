"""A day's table as its partition has it, with mended rows of ``replay/`` in the places of the rejected ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from include.jobs.validation.findings import Finding, UnusableFileError
from include.jobs.validation.reading import LINE, RawTable, first_line, read_table
from include.models.config import Table

FOLDER = "replay"
LINES = ".lines.npy"  # beside a file that was cut from another: each row's line there
OF_QUARANTINE = (LINE, "reason", "malformed_row")  # columns that a quarantine file has beside the table's own


def read_day(folder: Path, name: str, table: Table) -> RawTable:
    """The table's rows, the mended ones among them; a header alone is a day on which nothing happened.

    Raises:
        UnusableFileError: the file cannot be read as the table, or the replay not as a quarantine file of it.
    """
    raw = read_table(folder, name, table, may_be_empty=True)
    cut = folder / f"{raw.file}{LINES}"
    if cut.exists():  # a part of a day cut by key: mended rows are among its rows already
        lines = np.load(cut)[raw.lines[LINE].to_numpy() - first_line(table)]
        return _with(raw, raw.lines.with_columns(pl.Series(LINE, lines, dtype=pl.UInt32)), raw.malformed)
    mended = read_replay(folder, name, table)
    if mended is None:
        return raw
    kept = raw.lines.join(mended, on=LINE, how="anti", maintain_order="left")
    malformed = raw.malformed.join(mended, on=LINE, how="anti", maintain_order="left")
    return _with(raw, pl.concat([kept, mended.select(kept.columns)]), malformed)


def read_replay(folder: Path, name: str, table: Table) -> pl.DataFrame | None:
    """The mended rows, as text, with the lines that they stand for; None where there are none.

    Raises:
        UnusableFileError: no UTF-8 CSV, a column is missing, or a line is named twice or is no number.
    """
    there = [folder / FOLDER / file for file in (table.file, f"{table.file}.gz") if (folder / FOLDER / file).is_file()]
    if not there:
        return None
    wanted = [LINE, *table.columns]
    try:
        rows = pl.read_csv(there[0], infer_schema=False).select(wanted).fill_null("")
        rows = rows.with_columns(pl.col(LINE).cast(pl.UInt32))
    except pl.exceptions.PolarsError as error:
        raise _unusable(name, there[0], f"what cannot be read ({str(error)[:200]})") from error
    if rows[LINE].is_duplicated().any():
        raise _unusable(name, there[0], f"line {rows.filter(pl.col(LINE).is_duplicated())[LINE][0]} twice")
    return rows


def _with(raw: RawTable, lines: pl.DataFrame, malformed: pl.DataFrame) -> RawTable:
    return RawTable(raw.name, raw.file, lines, malformed, raw.bytes, raw.sha256, raw.has_byte_order_mark)


def _unusable(name: str, path: Path, found: str) -> UnusableFileError:
    allowed = f"a corrected quarantine file: {LINE}, once each, and the table's columns"
    action = "Copy the quarantine file, correct its rows, keep the column file_line, and put it there again."
    file = f"{FOLDER}/{path.name}"
    return UnusableFileError(
        [Finding("critical", name, file, None, "replay_is_readable", found, allowed, None, action)]
    )
