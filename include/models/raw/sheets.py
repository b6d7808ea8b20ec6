"""Excel workbooks as the text of a sheet's export."""

from __future__ import annotations

import fastexcel
import polars as pl

TOO_MANY = "Save the sheet you mean as a separate file, .xlsx or CSV."


class SheetError(Exception):
    """An unreadable workbook: what was found, and what to do."""

    def __init__(self, found: str, action: str) -> None:
        super().__init__(f"{found}. {action}")
        self.found, self.action = found, action


def sheet_as_csv(content: bytes) -> bytes:
    """The rows of the only sheet that has any, as comma-separated UTF-8, from the sheet's first row on.

    A number is written as it is stored, whatever its format shows; a date as 2015-01-31 00:00:00, a boolean as true or
    false; an error such as ``#DIV/0!`` leaves its cell empty.

    Raises:
        SheetError: it is not a workbook, or several of its sheets have rows.
    """
    try:
        book = fastexcel.read_excel(content)
        sheets = {name: _rows(book, name) for name in book.sheet_names}
    except fastexcel.FastExcelError as error:
        found = f"an invalid Excel workbook ({str(error).splitlines()[0]})"
        raise SheetError(found, "Save it again as .xlsx, without a password, or as CSV.") from None
    filled = {name: rows for name, rows in sheets.items() if rows.height}
    if len(filled) > 1:
        raise SheetError(f"{len(filled)} sheets with rows ({', '.join(filled)})", TOO_MANY)
    return next(iter(filled.values())).write_csv(include_header=False).encode() if filled else b""


def _rows(book: fastexcel.ExcelReader, name: str) -> pl.DataFrame:
    sheet = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
    return sheet.to_polars() if sheet.width else pl.DataFrame()
