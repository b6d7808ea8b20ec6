"""Which rows are set aside, up to the table's cap, and which cells are readable."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from include.jobs.validation.cleaning import CleanTable, Window, clean_table
from include.jobs.validation.continuity import continuity
from include.jobs.validation.findings import UnusableFileError
from include.jobs.validation.reading import read_table
from include.models.config import Table
from include.models.quoting import NOT_SHOWN, VARIABLE


def clean(folder: Path, text: str | bytes, **table: object) -> CleanTable:
    columns = {"id": "integer", "at": "timestamp", "x": "number", "name": "string"}
    declared = Table.model_validate({"file": "t.csv", "columns": columns, "key": ["id", "at"], **table})
    (folder / "t.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return clean_table(read_table(folder, "t", declared), declared, "at", Window())


def rows(*cells: str) -> str:
    return "\n".join(["id,at,x,name", *cells]) + "\n"


GOOD = [f"1,2015-01-01 {hour:02}:00:00,{hour},a" for hour in range(20)]


@pytest.mark.parametrize(
    ("bad", "check"),
    [
        ("2,2015-01-01 00:00:00,much,a", "values_are_readable"),
        ("2,2015-01-01 00:00:00,inf,a", "values_are_finite"),
        ("2,yesterday,1,a", "values_are_readable"),
        (",2015-01-01 00:00:00,1,a", "keys_are_filled"),
        ("2,,1,a", "keys_are_filled"),
        ("2,2015-01-01 00:00:00,1", "rows_are_complete"),
        ("2,2015-01-01 00:00:00,1,a,b", "rows_are_complete"),
        (GOOD[3], "keys_are_unique"),
    ],
)
def test_bad_rows_up_to_the_cap_are_a_warning(tmp_path: Path, bad: str, check: str) -> None:
    for cap, severity in ((0.0, "critical"), (0.1, "warning")):
        result = clean(tmp_path, rows(*GOOD, bad), max_rejected_share=cap)
        assert [(one.severity, one.expectation) for one in result.findings] == [(severity, check)]
        assert ("at most 10 % of the rows may be set aside, here 4.8 %" in result.findings[0].allowed) == (cap > 0)
        assert result.rejected["file_line"].to_list() == [22]
        assert result.frame["file_line"].to_list() == list(range(2, 22))


@pytest.mark.parametrize(
    "bad", ["1,2015-01-01 03:00:00,7077,Miller", "7077,2015-01-01 00:00:00,Miller,a", "7077,Miller,1,a"]
)
def test_values_are_quoted_unless_the_model_forbids_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    quoted = clean(tmp_path, rows(*GOOD, bad), max_rejected_share=0.1).findings
    monkeypatch.setenv(VARIABLE, "no")
    [kept] = clean(tmp_path, rows(*GOOD, bad), max_rejected_share=0.1).findings
    assert NOT_SHOWN in kept.found
    assert "22" in kept.found, "it still says where to look"
    assert not [word for word in ("Miller", "7077", "03:00") if word in str(kept)]
    assert NOT_SHOWN not in str(quoted)


def test_contradictions_are_set_aside_together(tmp_path: Path) -> None:
    result = clean(tmp_path, rows(*GOOD, GOOD[3].replace(",3,", ",4,"), GOOD[3]), max_rejected_share=0.5)
    assert result.rejected["file_line"].sort().to_list() == [5, 22, 23]
    assert "with other values" in result.rejected["reason"][0]


def test_a_time_zone_is_never_tolerated(tmp_path: Path) -> None:
    result = clean(tmp_path, rows(*GOOD, "2,2015-01-01 00:00:00Z,1,a"), max_rejected_share=0.5)
    assert [one.severity for one in result.findings] == ["critical"]


@pytest.mark.parametrize(
    "text",
    ["2015-01-02 03:00:00", "2015-01-02T03:00:00", "2015-01-02 03:00:00.000", "2015-01-02 03:00", " 2015-01-02T03:00 "],
)
def test_timestamps(tmp_path: Path, text: str) -> None:
    frame = clean(tmp_path, rows(f"1,{text},1,a")).frame
    assert str(frame["at"][0]) == "2015-01-02 03:00:00"


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), (" 1 ", 1), ("1.0", 1), ("+1", 1), ("-3", -3), ("9007199254740993", 2**53 + 1)]
)
def test_whole_numbers(tmp_path: Path, text: str, value: int) -> None:
    assert clean(tmp_path, rows(f"{text},2015-01-01,1,a")).frame["id"].to_list() == [value]


@pytest.mark.parametrize("text", ["", "NaN", "nan", "NULL", "N/A", " "])
def test_no_value(tmp_path: Path, text: str) -> None:
    assert clean(tmp_path, rows(f"1,2015-01-01,{text},a")).frame["x"].to_list() == [None]


def test_blanks_around_a_text_do_not_count(tmp_path: Path) -> None:
    frame = clean(tmp_path, rows('1,2015-01-01,1,"a, ""b"" "', "2,2015-01-01,1,none", "3,2015-01-01,1,")).frame
    assert frame["name"].to_list() == ['a, "b"', "none", None]


def test_lines_are_counted_past_blank_and_malformed_ones(tmp_path: Path) -> None:
    text = rows(GOOD[0], "", "2,2015", GOOD[1], "3,2015-01-01,much,a")
    result = clean(tmp_path, text.replace("\n", "\r\n"))
    assert result.frame["file_line"].to_list() == [2, 5]
    assert result.rejected["file_line"].sort().to_list() == [4, 6]


def test_a_quote_that_never_ends(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="column name: found a quote that is opened in line 3 and never closed"):
        clean(tmp_path, rows(GOOD[0], '2,2015-01-01,1,"a', GOOD[1]))
    result = clean(tmp_path, rows(GOOD[0], '2,2015-01-01,1,"a', '4,2015-01-01,1,b"'))  # the next quote ends it
    assert result.frame.height == 1
    assert [(one.severity, one.expectation) for one in result.findings] == [("critical", "values_are_on_one_line")]


def test_continuity() -> None:
    table = Table.model_validate(
        {
            "file": "t.csv",
            "columns": {"id": "integer", "at": "timestamp", "x": "number", "y": "number"},
            "key": ["id", "at"],
            "every_hours": 1,
        }
    )
    hours = {1: [0, 1, 2, 3, 4, 5, 6], 2: [0, 1, 4, 6], 3: [0, 1]}
    empty = {(1, 1), (1, 3), (1, 4), (2, 4), (2, 6)}
    cells = [(id_, hour, None if (id_, hour) in empty else 1.0) for id_, all_ in hours.items() for hour in all_]
    frame = pl.DataFrame(cells, schema=["id", "hour", "x"], orient="row").select(
        "id",
        at=pl.datetime(2015, 1, 1) + pl.duration(hours="hour") - pl.duration(minutes=10),
        x="x",
        y=pl.lit(1.0),
    )
    expected = {
        "id": [1, 2, 3],
        "rows": [7, 4, 2],
        "missing_rows": [0, 3, 0],
        "crowded_rows": [0, 0, 0],
        "longest_gap_hours": [0, 2, 0],
        "silent_hours": [0, 0, 5],
        "x_longest_null_hours": [2, 2, 0],
        "y_longest_null_hours": [0, 0, 0],
    }
    assert continuity(frame, table).to_dict(as_series=False) == expected
    crowded = pl.concat([frame, frame.with_columns(pl.col("at") - pl.duration(minutes=5))])
    assert continuity(crowded, table)["crowded_rows"].to_list() == [7, 4, 2]
