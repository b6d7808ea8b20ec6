"""Reads a day's table, with corrected rows of ``replay/`` in place of the rejected ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from include.jobs.validation.findings import Finding, UnusableFileError
from include.jobs.validation.reading import RawTable, read_table
from include.models.config import LINE, Table
from include.models.config.files import REPLAY, stored_names
from include.models.raw.reader import UnreadableFileError, no_rows, open_raw


def read_day(folder: Path, name: str, table: Table) -> RawTable:
    """The table's rows, including corrected ones; a file with only a header is a day without events.

    Raises:
        UnusableFileError: the file cannot be read as the table, or the replay not as a quarantine file of it.
    """
    raw = read_table(folder, name, table, may_be_empty=True)
    corrected = read_replay(folder, name, table)
    if corrected is None:
        return raw
    lines = pl.concat([without(raw.lines, corrected), corrected.select(raw.lines.columns)]).sort(LINE)
    return replace(raw, lines=lines, malformed=without(raw.malformed, corrected))


def without(rows: pl.DataFrame, corrected: pl.DataFrame | None) -> pl.DataFrame:
    """Rows of a raw file without those that corrected ones replace."""
    return rows if corrected is None else rows.join(corrected, on=LINE, how="anti", maintain_order="left")


def read_replay(folder: Path, name: str, table: Table) -> pl.DataFrame | None:
    """The corrected rows, as text, with the lines that they replace; None if there are none.

    Raises:
        UnusableFileError: not UTF-8, not CSV, a column is missing, or a line is named twice or is not a number.
    """
    files = (folder / REPLAY / file for file in stored_names(table.file))
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        return None
    wanted = [*table.columns, LINE]
    try:
        with open_raw(path) as raw:
            columns = [_name(column, place, table) for place, column in enumerate(raw.header or [])]
            if absent := [column for column in wanted if column not in (raw.header or [])]:
                raise _unusable(
                    name, path, f"no column {absent[0]}; the header has {', '.join(raw.header or [])[:300]}"
                )
            if twice := [column for column in columns if columns.count(column) > 1]:
                raise _unusable(name, path, f"the column {twice[0]} twice")
            blocks = list(raw.blocks(columns)) or [no_rows(columns)]
    except UnreadableFileError as error:
        raise _unusable(name, path, error.found) from error
    for block in blocks:
        if block.malformed.height:
            line, _, reason = block.malformed.row(0)
            raise _unusable(name, path, f"{reason} in its line {line}")
    rows = pl.concat([block.lines for block in blocks])
    numbers = rows[f"{LINE}_given"].str.strip_chars().cast(pl.UInt32, strict=False)
    if numbers.null_count():
        wrong = rows.filter(numbers.is_null())[f"{LINE}_given"][0]
        raise _unusable(name, path, f"'{wrong}', which is not a line number")
    rows = rows.with_columns(numbers.alias(LINE)).select(wanted)
    if rows[LINE].is_duplicated().any():
        raise _unusable(name, path, f"line {rows.filter(pl.col(LINE).is_duplicated())[LINE][0]} twice")
    return rows


def _name(column: str, place: int, table: Table) -> str:
    """A column of the table by its name; any other, such as a spreadsheet's unnamed index, by its position."""
    return column if column in table.columns else f"{LINE}_given" if column == LINE else f"{LINE}_{place}"


def _unusable(name: str, path: Path, found: str) -> UnusableFileError:
    allowed = f"a corrected quarantine file: {LINE}, once each, and the table's columns"
    action = f"Copy the quarantine file, correct its rows, keep the column {LINE}, and put it there again."
    file = f"{REPLAY}/{path.name}"
    return UnusableFileError(
        [Finding("critical", name, file, None, "replay_is_readable", found, allowed, None, action)]
    )
