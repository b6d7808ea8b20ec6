"""Files other than comma-separated UTF-8 are read and written as their declared form says."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from include.models.config import LINE, Table, named
from include.models.raw.reader import Form, UnreadableFileError, open_raw
from include.models.raw.writer import write_raw

ROWS = [("ä", "1"), ("b;|\tc", "2"), ('say "x"', "")]


def rows_of(path: Path, form: Form, block_bytes: int = 7) -> list[tuple[str, ...]]:
    with open_raw(path, form, block_bytes) as raw:
        columns = named(raw.header or ["", ""])
        return [row for block in raw.blocks(columns) for row in block.lines.drop(LINE).rows()]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16", "utf-16-le"])
@pytest.mark.parametrize(("skip_lines", "header"), [(0, True), (2, True), (0, False)])
@pytest.mark.parametrize("file", ["t.csv", "t.xlsx"])
def test_what_is_written_is_read_back(
    tmp_path: Path, delimiter: str, encoding: str, skip_lines: int, header: bool, file: str
) -> None:
    table = Table.model_validate(
        {"file": file, "columns": {"a": "string", "b": "string"}, "delimiter": delimiter}
        | {"encoding": encoding, "skip_lines": skip_lines, "header": header}
    )
    cells = pl.DataFrame(ROWS, schema=["a", "b"], orient="row")
    path = write_raw(cells, table, tmp_path, packed=True)
    assert path.name == (file if file.endswith("xlsx") else f"{file}.gz")
    again = write_raw(cells, table, tmp_path / "again", packed=True)
    assert again.read_bytes() == path.read_bytes()
    assert rows_of(path, Form.of(table)) == ROWS


@pytest.mark.parametrize("block_bytes", [1, 3, 16, 1 << 20])
def test_a_line_that_says_the_separator_is_believed(tmp_path: Path, block_bytes: int) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfsep=;\r\n\r\nx;y\r\n1,5;a\r\n2;b\r\n")
    with open_raw(path, Form(), block_bytes) as raw:
        assert (raw.header, raw.delimiter, raw.first_line) == (["x", "y"], ";", 4)
        blocks = list(raw.blocks(["x", "y"]))
    assert pl.concat([block.lines for block in blocks]).rows() == [("1,5", "a", 4), ("2", "b", 5)]


def test_blanks_around_a_header_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(' x ,"y "\n1,2\n')
    with open_raw(tmp_path / "t.csv") as raw:
        assert raw.header == ["x", "y"]


def test_columns_without_their_own_name_get_one() -> None:
    assert named(["", "x", "x", "x_2", ""]) == ["column_1", "x", "x_3", "x_2", "column_5"]


def test_a_merge_conflict_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,2\n<<<<<<< HEAD\n3,4\n")
    with open_raw(tmp_path / "t.csv") as raw:
        (block,) = raw.blocks(["x", "y"])
    assert block.malformed.rows() == [(3, "<<<<<<< HEAD", "a mark of a merge conflict, '<<<<<<< HEAD'")]


def test_an_excel_sheet_is_read_as_it_would_be_exported(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "t.xlsx") as book:
        sheet, day = book.add_worksheet("data"), book.add_format({"num_format": "yyyy-mm-dd"})
        hour = book.add_format({"num_format": "hh:mm"})
        sheet.write_row(0, 0, ["when", "x", "ok", "at", "twice", "none"])
        sheet.write_number(1, 0, 45322, day)
        sheet.write_number(1, 1, 1.5)
        sheet.write_boolean(1, 2, True)
        sheet.write_number(1, 3, 0.25, hour)
        sheet.write_formula(1, 4, "=B2*2", None, 3)
        sheet.write_formula(1, 5, "=1/0", None, "#DIV/0!")
        book.add_worksheet("nothing")
    with open_raw(tmp_path / "t.xlsx") as raw:
        assert raw.header == ["when", "x", "ok", "at", "twice", "none"]
        (block,) = raw.blocks(raw.header)
    assert block.lines.rows() == [("2024-01-31 00:00:00", "1.5", "true", "06:00:00", "3", "", 2)]


def test_cells_that_have_no_value_for_what_they_show_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("data")
        sheet.merge_range("A1:B1", "a title")
        sheet.write_row("A2", ["x", "y"])
        sheet.write_row("A3", [1, "a"])
        sheet.merge_range("B4:B5", "b")
    with pytest.raises(UnreadableFileError, match=r"merged cells \(A1:B1\).*Unmerge"), open_raw(path):
        pass
    with pytest.raises(UnreadableFileError, match=r"merged cells \(B4:B5\)"), open_raw(path, Form(skip_lines=1)):
        pass
    for empty in (b"<v></v>", b"<v/>", b""):  # as openpyxl and others write a formula that was never calculated
        write_formula(path, b"<v>7</v>", empty)
        with pytest.raises(UnreadableFileError, match=r"a formula without a result \(B2\).*save it"), open_raw(path):
            pass
    write_formula(path, b'<c r="B2"><f>A2*2</f><v>7</v>', b'<c r="B2" t="str"><f>A2*2</f><v></v>')  # an empty text
    assert rows_of(path, Form()) == []


def write_formula(path: Path, stored: bytes, changed: bytes) -> None:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content) as book:
        sheet = book.add_worksheet("data")
        sheet.write_row("A1", ["x", "y"])
        sheet.write_formula("B2", "=A2*2", None, 7)
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(path, "w") as new:
        assert any(stored in old.read(name) for name in old.namelist())
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(stored, changed))


def test_workbooks_that_are_not_one_sheet_are_refused(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "t.xlsx") as book:
        for name in ("one", "two"):
            book.add_worksheet(name).write_row(0, 0, ["x", "y"])
    with pytest.raises(UnreadableFileError, match=r"2 sheets with rows \(one, two\)"), open_raw(tmp_path / "t.xlsx"):
        pass
    (tmp_path / "u.xlsx").write_text("x,y\n")
    with pytest.raises(UnreadableFileError, match="an invalid Excel workbook"), open_raw(tmp_path / "u.xlsx"):
        pass


@pytest.mark.parametrize("content", [b"x,y\n\x81,2\n", "x,y\n1,ä\n".encode("utf-16")[:-1]])
def test_what_is_not_in_the_encoding_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    form = Form(encoding="cp1252" if content.startswith(b"x") else "utf-16")
    with pytest.raises(UnreadableFileError, match=f"allowed: {form.encoding} text"):
        rows_of(tmp_path / "t.csv", form)
