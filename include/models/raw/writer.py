"""Writes rows to a raw file in the table's format from model.yaml, so that ``reader`` reads them back."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import xlsxwriter

from include.models.config import Table

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)  # the same rows always give the same bytes


def write_raw(cells: pl.DataFrame, table: Table, folder: Path, *, packed: bool = False) -> Path:
    """Writes the table's file with these cells, under its headers.

    Args:
        cells: texts, and numbers to be written plainly.
        packed: as ``.gz``, except an Excel file, which is already packed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = cells.select(*table.columns).rename(table.headers)
    if table.file.endswith(".xlsx"):
        path = folder / table.file
        path.write_bytes(_workbook(rows, table))
        return path
    text = rows.write_csv(include_header=table.header, separator=table.delimiter)
    content = ("\n" * table.skip_lines + text).encode(table.encoding, errors="replace")
    path = folder / (f"{table.file}.gz" if packed else table.file)
    path.write_bytes(gzip.compress(content, compresslevel=1, mtime=0) if packed else content)
    return path


def _workbook(rows: pl.DataFrame, table: Table) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True, "strings_to_numbers": False}) as book:
        book.set_properties({"created": LONG_AGO})
        sheet = book.add_worksheet()
        header = [rows.columns] if table.header else []
        for place, row in enumerate([*header, *rows.iter_rows()], table.skip_lines):
            for column, value in enumerate(row):
                if isinstance(value, int | float):
                    sheet.write_number(place, column, value)
                elif value is not None:
                    sheet.write_string(place, column, str(value))
    return content.getvalue()
