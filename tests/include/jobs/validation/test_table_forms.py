"""Other layouts of raw files: other headers, no header, other dates, rows without id or time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from include.jobs.validate_raw_data import set_aside
from include.jobs.validation.cleaning import CleanTable, Window, clean_table
from include.jobs.validation.findings import UnusableFileError
from include.jobs.validation.reading import read_table
from include.models.config import LINE, Table

START = datetime.fromisoformat("2020-02-28T23:00")


def cleaned(folder: Path, text: str, window: Window | None = None, time: str | None = None, **table: Any) -> CleanTable:
    (folder / "rows.csv").write_text(text)
    checked = Table.model_validate({"file": "rows.csv", **table})
    return clean_table(read_table(folder, "rows", checked), checked, time, window or Window())


def test_headers_become_the_names_of_model_yaml(tmp_path: Path) -> None:
    columns = {"load_kn": {"kind": "number", "header": "Load(kN)"}, "id": "integer"}
    assert cleaned(tmp_path, "id,Load(kN)\n1,2.5\n", columns=columns).frame.drop(LINE).rows() == [(2.5, 1)]
    with pytest.raises(UnusableFileError, match=r"Load\(kN\): found no such column; .* Is 'load\(kN\)' meant"):
        cleaned(tmp_path, "id,load(kN)\n1,2.5\n", columns=columns)
    with pytest.raises(UnusableFileError, match="a column 'load_kn' that is not known"):
        cleaned(tmp_path, "id,Load(kN),load_kn\n1,2.5,2\n", columns=columns)


def test_a_file_without_header_has_the_columns_in_model_yamls_order(tmp_path: Path) -> None:
    columns = {"sex": "string", "length": "number"}
    found = cleaned(tmp_path, "M,0.5\n\nF,x\nF\nI,0.25\n", columns=columns, header=False, max_rejected_share=0.5)
    assert found.frame.rows() == [(1, "M", 0.5), (5, "I", 0.25)]
    assert sorted(found.rejected.rows()) == [
        (3, "length: 'x'; allowed: numbers"),
        (4, "1 field instead of 2"),
    ]


def test_dates_in_their_own_format_and_no_other(tmp_path: Path) -> None:
    columns = {"day": {"kind": "timestamp", "format": "%d-%m-%Y"}}
    found = cleaned(tmp_path, "day\n03-02-2020\n2020-02-03\n31-02-2020\n", columns=columns)
    assert found.frame["day"].to_list() == [datetime.fromisoformat("2020-02-03")]
    assert found.findings[0].severity == "critical"
    assert found.findings[0].allowed == "timestamps as 31-01-2015"
    assert found.rejected[LINE].to_list() == [3, 4]


def test_a_data_window_works_on_dates_in_their_own_format(tmp_path: Path) -> None:
    columns = {"day": {"kind": "timestamp", "format": "%d-%m-%Y"}}
    window = Window(datetime.fromisoformat("2020-02-01"), datetime.fromisoformat("2020-03-01"))
    found = cleaned(tmp_path, "day\n03-01-2020\n01-02-2020\n01-03-2020\n", window, "day", columns=columns)
    assert (found.frame.height, found.tally.outside_window) == (1, 2)


@pytest.mark.parametrize("header", [True, False])
def test_rows_are_numbered_and_timed_by_their_place_in_the_file(tmp_path: Path, header: bool) -> None:
    clock = {"column": "time", "start": START, "every_minutes": 30}
    table = {"columns": {"x": "number"}, "row_number": "row", "clock": clock, "key": ["row"], "header": header}
    text = "x\n" * header + "1\n2\nbad\n4\n"
    found = cleaned(tmp_path, text, max_rejected_share=0.3, **table)
    assert found.frame["row"].to_list() == [1, 2, 4]  # rows that are set aside keep their numbers
    assert found.frame["time"][2] == datetime.fromisoformat("2020-02-29T00:30")
    window = Window(datetime.fromisoformat("2020-02-29"))
    assert cleaned(tmp_path, text, window, "time", **table).frame["row"].to_list() == [4]


def test_rows_are_told_apart_by_what_they_hold_wherever_they_stand(tmp_path: Path) -> None:
    table = {
        "columns": {"x": "number", "kind": "string", "y": "number"},
        "content_key": {"column": "id", "of": ["kind", "x"]},
        "key": ["id"],
        "max_rejected_share": 0.3,
    }
    one = cleaned(tmp_path, "x,kind,y\n1,a,5\n2,a,6\n,a,7\n", **table).frame
    other = cleaned(tmp_path, "x,kind,y\n9,b,1\nNA,a,\n2.0,a,\n 1,a,\n1,a,\n", **table)
    assert one["id"].n_unique() == 3
    assert set(one["id"]) < set(other.frame["id"]), "spellings and the label do not matter either"
    assert other.tally.set_aside == 1, "the same twice"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"columns": {"x": "number"}, "content_key": {"column": "id", "of": ["xx"]}}, "Did you mean 'x'?"),
        ({"columns": {"id": "number"}, "content_key": {"column": "id", "of": ["id"]}}, "'id' is made by content_key"),
        ({"columns": {"x": {"kind": "number", "format": "%d-%m-%Y"}}}, "format is for timestamps"),
        ({"columns": {"x": {"kind": "timestamp", "format": "%d-%m-%Y %Z"}}}, "cannot have a time zone's name"),
        ({"columns": {"x": {"kind": "number", "header": "y"}, "y": "number"}}, "two columns have the header 'y'"),
        ({"columns": {"x": {"kind": "number", "header": "X"}}, "header": False}, "no header line, but the column 'x'"),
        ({"columns": {"row": "integer"}, "row_number": "row"}, "'row' is made by row_number"),
        ({"columns": {"x": "number"}, "key": ["row"]}, "there is no column 'row'. Known: x"),
        (
            {"columns": {"x": "number"}, "clock": {"column": "t", "start": START.astimezone(), "every_minutes": 1}},
            "UTC",
        ),
    ],
)
def test_what_cannot_be(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as error:
        Table.model_validate({"file": "rows.csv", **table})
    assert words in str(error.value)


def test_a_column_that_is_called_reason_keeps_its_cells_in_quarantine(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,reason\nmany,worn out\n2,broken\n")
    table = Table.model_validate({"file": "t.csv", "columns": {"x": "integer", "reason": "string"}})
    raw = read_table(tmp_path, "t", table)
    rejected = clean_table(raw, table, None, Window()).rejected
    assert set_aside(raw, rejected, tmp_path / "quarantine" / "t.csv") == 1
    (row,) = pl.read_csv(tmp_path / "quarantine" / "t.csv").to_dicts()
    assert (row["file_line"], row["x"], row["reason"]) == (2, "many", "worn out")
    assert "allowed: whole numbers" in row["reason_2"]
