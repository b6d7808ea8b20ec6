"""Excel workbooks as the text of a sheet's export."""

from __future__ import annotations

import io
import re
import zipfile

import fastexcel
import polars as pl

TOO_MANY = "Save the sheet you mean as a separate file, .xlsx or CSV."
UNMERGE = "Unmerge the cells, and fill in each of them: only the first one of a merged range has a value."
CALCULATE = "Open the workbook in Excel or LibreOffice, and save it: formulas have their results then."
SHEETS = re.compile(r"xl/worksheets/[^/]+\.xml")
VALUE = re.compile(rb"<(?:\w+:)?(?:v|is)>")
MERGED = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*?\bref="([A-Z]+\d+:[A-Z]+(\d+))"')
# a cell that has a formula, but no value; a text (t="str") may be empty
NOT_CALCULATED = re.compile(
    rb'<(?:\w+:)?c\b(?![^>]*\bt="str")[^>]*?\br="([A-Z]+(\d+))"[^>]*>\s*'
    rb"<(?:\w+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>)\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</"
)
TIME_OF_DAY = r"^1899-12-31 (\d\d:\d\d:\d\d(?:\.\d+)?)$"  # Excel's day 0


class SheetError(Exception):
    """An unreadable workbook: what was found, and what to do."""

    def __init__(self, found: str, action: str) -> None:
        super().__init__(f"{found}. {action}")
        self.found, self.action = found, action


def sheet_as_csv(content: bytes, skip_lines: int = 0) -> bytes:
    """The rows of the only sheet that has any, as comma-separated UTF-8, from the sheet's first row on.

    A number is written as it is stored, whatever its format shows; a date as 2015-01-31 00:00:00, a time of day as
    06:30:00, a boolean as true or false, a formula as the result that was saved with it. An error such as ``#DIV/0!``
    leaves its cell empty.

    Args:
        skip_lines: of the sheet, before its header: their cells may be merged.

    Raises:
        SheetError: it is not a workbook, several of its sheets have rows, cells are merged, or a formula has no result.
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
    if not filled:
        return b""
    _require_values(content, skip_lines)
    rows = next(iter(filled.values())).with_columns(pl.all().str.replace(TIME_OF_DAY, "${1}"))
    return rows.write_csv(include_header=False).encode()


def _rows(book: fastexcel.ExcelReader, name: str) -> pl.DataFrame:
    sheet = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
    return sheet.to_polars() if sheet.width else pl.DataFrame()


def _require_values(content: bytes, skip_lines: int) -> None:
    """Rejects cells that would be read as missing, though people see something in them."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        for name in filter(SHEETS.fullmatch, book.namelist()):
            sheet = book.read(name)
            if not VALUE.search(sheet):
                continue
            for pattern, found, action in (
                (MERGED, "merged cells", UNMERGE),
                (NOT_CALCULATED, "a formula without a result", CALCULATE),
            ):
                for place, row in (match.groups() for match in pattern.finditer(sheet)):
                    if int(row) > skip_lines:
                        raise SheetError(f"{found} ({place.decode()})", action)
