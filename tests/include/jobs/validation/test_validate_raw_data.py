"""Every bad input ends in a message with file and column, what was found, what is allowed, and what to do."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from include.jobs.validate_raw_data import set_aside
from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.reading import read_table
from include.models.config import Table
from include.models.errors import JobError
from tests.include.jobs.validation.conftest import Verdict, shared_data

Validate = Callable[..., Verdict]
TELEMETRY = "PdM_telemetry.csv"


def rewrite(file: Path, change: Callable[[list[list[str]]], list[list[str]]]) -> None:
    """Replace a CSV's rows (the header is row 0)."""
    rows = list(csv.reader(io.StringIO(file.read_text())))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(change(rows))
    file.write_text(text.getvalue())


def set_cells(file: Path, column: str, values: dict[int, str]) -> None:
    """Set cells of a column by line number; the header is line 1."""

    def change(rows: list[list[str]]) -> list[list[str]]:
        for line, value in values.items():
            rows[line - 1][rows[0].index(column)] = value
        return rows

    rewrite(file, change)


def the_critical(verdict: Verdict, **expected: str) -> dict[str, str]:
    """The only critical finding with these words in its fields; the summary must have all its parts."""
    matching = [
        finding
        for finding in verdict.findings("critical")
        if all(words in str(finding[field]) for field, words in expected.items())
    ]
    assert len(matching) == 1, verdict.report["findings"]
    finding: dict[str, str] = matching[0]
    assert not verdict.report["passed"]
    assert finding["action"].endswith(".")
    for part in ("file", "column", "found", "allowed", "action"):
        if finding[part]:
            assert str(finding[part]) in verdict.report["summary"]
            assert str(finding[part]).split("'")[0].split("<")[0] in verdict.page.replace("&#39;", "'")
    return finding


def test_good_data_passes(validate: Validate, fleet: dict[str, str]) -> None:
    verdict = validate()
    assert verdict.report["passed"]
    assert verdict.findings("warning") == []
    assert "can be used" in verdict.page
    telemetry = verdict.table("telemetry")
    assert telemetry.schema == {
        "datetime": pl.Datetime("us"),
        "machineID": pl.Int64,
        **dict.fromkeys(("volt", "rotate", "pressure", "vibration"), pl.Float64),
    }
    original = pl.read_csv(io.StringIO(fleet["telemetry"]), try_parse_dates=True)
    assert telemetry.equals(original.sort("machineID", "datetime").cast(telemetry.schema))
    assert {one["file"]: one["rows"] for one in verdict.report["inputs"]}[TELEMETRY] == original.height


def test_missing_table(validate: Validate, raw: Path) -> None:
    (raw / "PdM_maint.csv").unlink()
    finding = the_critical(validate(), file="PdM_maint.csv")
    assert (
        finding["found"] == "no such file among PdM_errors.csv, PdM_failures.csv, PdM_machines.csv, PdM_telemetry.csv"
    )
    assert finding["allowed"] == "one file PdM_maint.csv, PdM_maint.csv.gz, PdM_maint.csv.zst or PdM_maint.parquet"


def test_misspelt_file(validate: Validate, raw: Path) -> None:
    (raw / "PdM_maint.csv").rename(raw / "PdM_maints.csv")
    assert "Is PdM_maints.csv meant?" in the_critical(validate(), file="PdM_maint.csv")["action"]


def test_no_raw_folder_at_all(validate: Validate, raw: Path) -> None:
    for file in raw.iterdir():
        file.unlink()
    verdict = validate()
    assert [finding["found"] for finding in verdict.findings("critical")] == ["an empty folder"] * 5


def test_plain_and_gz_at_once(validate: Validate, raw: Path) -> None:
    (raw / "PdM_errors.csv.gz").write_bytes(gzip.compress((raw / "PdM_errors.csv").read_bytes()))
    assert (
        "the table twice, as PdM_errors.csv and PdM_errors.csv.gz"
        in the_critical(validate(), file="PdM_errors.csv")["found"]
    )


def test_missing_column(validate: Validate, raw: Path) -> None:
    rewrite(raw / TELEMETRY, lambda rows: [row[:-1] for row in rows])
    finding = the_critical(validate(), file=TELEMETRY, column="vibration")
    assert finding["found"].startswith("no such column; the header has datetime, machineID")
    assert "vibration" in finding["allowed"]
    assert finding["action"] == "Add it to the file."


def test_misspelt_column(validate: Validate, raw: Path) -> None:
    text = (raw / TELEMETRY).read_text()
    (raw / TELEMETRY).write_text(text.replace("pressure", "presure", 1))
    verdict = validate()
    missing = [finding for finding in verdict.findings("critical") if finding["column"] == "pressure"]
    assert [finding["action"] for finding in missing] == ["Is 'presure' meant? Rename it in the file."]


def test_extra_column(validate: Validate, raw: Path) -> None:
    rewrite(raw / "PdM_errors.csv", lambda rows: [[*row, "x" if number else "note"] for number, row in enumerate(rows)])
    finding = the_critical(validate(), file="PdM_errors.csv", column="note")
    assert finding["found"] == "a column 'note' that is not known"
    assert finding["allowed"] == "datetime, machineID, errorID, once each"
    assert "declare it in model.yaml" in finding["action"]


def test_another_table_altogether(validate: Validate, raw: Path) -> None:
    (raw / "PdM_errors.csv").write_text(",".join(f"c{number}" for number in range(20_000)) + "\n")
    verdict = validate()
    assert {finding["column"][:6] for finding in verdict.findings("critical")} == {
        "dateti",
        "machin",
        "errorI",
        "c0, c1",
    }
    assert (verdict.folder / "report/validation.json").stat().st_size < 60_000


def test_repeated_column(validate: Validate, raw: Path) -> None:
    rewrite(raw / "PdM_errors.csv", lambda rows: [[*row, row[-1]] for row in rows])
    assert the_critical(validate(), file="PdM_errors.csv", column="errorID")["found"] == "the column 'errorID' 2 times"


def test_text_where_numbers_belong(validate: Validate, raw: Path) -> None:
    set_cells(raw / TELEMETRY, "volt", {17: "high", 90: "12,5"})
    verdict = validate()
    finding = the_critical(verdict, file=TELEMETRY, column="volt")
    assert finding["found"] == "text that is not a number in 2 rows: 'high', '12,5' (lines 17, 90)"
    assert finding["allowed"] == "numbers"
    assert "Correct the cells" in finding["action"]
    kept = verdict.quarantine("telemetry")
    assert kept["file_line"].to_list() == ["17", "90"]
    assert kept["volt"].to_list() == ["high", "12,5"]
    assert kept["reason"][0] == "volt: 'high'; allowed: numbers"


def test_a_machine_that_is_not_a_number(validate: Validate, raw: Path) -> None:
    set_cells(raw / "PdM_failures.csv", "machineID", {3: "M-3", 4: "2.5"})
    finding = the_critical(validate(), file="PdM_failures.csv", column="machineID")
    assert "'M-3', '2.5'" in finding["found"]
    assert finding["allowed"] == "whole numbers"


@pytest.mark.parametrize("text", ["", "\n\n", "datetime,machineID,failure\n"])
def test_empty_table_or_a_year_with_no_failures(validate: Validate, raw: Path, text: str) -> None:
    (raw / "PdM_failures.csv").write_text(text)
    finding = the_critical(validate(), file="PdM_failures.csv")
    assert finding["found"] in ("an empty file", "a header and no rows")
    assert "at least one row" in finding["allowed"]


def test_too_few_failures(validate: Validate, raw: Path) -> None:
    rewrite(raw / "PdM_failures.csv", lambda rows: rows[:4])
    finding = the_critical(validate(), expectation="row_count")
    assert (finding["file"], finding["found"], finding["allowed"]) == ("PdM_failures.csv", "3", "row count at least 10")
    assert "nothing can be learned" in finding["action"]


def test_failures_of_another_year(validate: Validate, raw: Path) -> None:
    text = (raw / "PdM_failures.csv").read_text()
    (raw / "PdM_failures.csv").write_text(text.replace("2015-", "2012-"))
    finding = the_critical(validate(), file="PdM_failures.csv", column="datetime")
    assert "2012-" in finding["found"]
    assert finding["allowed"].startswith("2015-01-01 06:00:00 to 2015-05-01")


def test_identical_rows_twice(validate: Validate, raw: Path) -> None:
    rewrite(raw / TELEMETRY, lambda rows: [*rows, rows[5], rows[6]])
    verdict = validate()
    finding = the_critical(verdict, expectation="keys_are_unique")
    assert "2 repeated rows for the same machineID and datetime: machineID 1, datetime" in finding["found"]
    assert finding["allowed"] == "one row for each machineID and datetime"
    assert verdict.quarantine("telemetry")["reason"][0] == "repeats line 6: the same machineID and datetime and values"


def test_contradicting_rows(validate: Validate, raw: Path) -> None:
    rewrite(raw / TELEMETRY, lambda rows: [*rows, [*rows[5][:-1], "99.9"]])
    verdict = validate()
    finding = the_critical(verdict, expectation="keys_are_not_contradictory")
    assert "2 rows that contradict each other" in finding["found"]
    assert verdict.quarantine("telemetry").height == 2


def test_two_readings_within_the_hour(validate: Validate, raw: Path) -> None:
    set_cells(raw / TELEMETRY, "datetime", {10: "2015-01-01 15:30:00"})
    finding = the_critical(validate(), column="crowded_rows")
    assert "Average the readings" in finding["action"]


def test_unsorted_rows(validate: Validate, raw: Path, fleet: dict[str, str]) -> None:
    rewrite(raw / TELEMETRY, lambda rows: [rows[0], *reversed(rows[1:])])
    verdict = validate()
    assert verdict.report["passed"]
    assert any(finding["expectation"] == "rows_are_sorted" for finding in verdict.findings("info"))
    original = pl.read_csv(io.StringIO(fleet["telemetry"]), try_parse_dates=True)
    assert verdict.table("telemetry").equals(original.sort("machineID", "datetime"))


def test_unknown_machine(validate: Validate, raw: Path) -> None:
    rewrite(raw / "PdM_machines.csv", lambda rows: [row for row in rows if row[0] != "7"])
    verdict = validate()
    finding = next(one for one in verdict.findings("critical") if one["table"] == "telemetry")
    assert (finding["file"], finding["column"]) == (TELEMETRY, "machineID")
    assert finding["found"].startswith("7 in 2,881 of 28,810 rows (10.00 %) (lines 17288,")
    assert finding["allowed"] == "the 9 values of machineID in machines"
    assert "PdM_machines.csv" in finding["action"]
    assert finding["action"] in verdict.report["summary"]


def test_a_short_gap_is_a_warning(validate: Validate, raw: Path) -> None:
    rewrite(raw / TELEMETRY, lambda rows: rows[:101] + rows[106:])
    verdict = validate()
    assert verdict.report["passed"]
    [finding] = verdict.findings("warning")
    assert (finding["column"], finding["found"]) == ("missing_rows", "5 in 1 of 10 series (10.00 %) (machineID 1)")
    assert finding["action"] in verdict.report["summary"]


def test_a_gap_of_days_stops_the_run(validate: Validate, raw: Path) -> None:
    rewrite(raw / TELEMETRY, lambda rows: rows[:101] + rows[151:])
    finding = the_critical(validate(), column="longest_gap_hours")
    assert finding["found"] == "50 in 1 of 10 series (10.00 %) (machineID 1)"
    assert finding["allowed"] == "0 to 24"


def test_a_few_empty_readings_are_a_warning(validate: Validate, raw: Path) -> None:
    set_cells(raw / TELEMETRY, "rotate", {30: "", 31: "NaN", 32: "null"})
    verdict = validate()
    assert verdict.report["passed"]
    [finding] = verdict.findings("warning")
    assert finding["found"] == "no value in 3 of 28,810 rows (0.01 %) (lines 30, 31, 32)"
    assert finding["allowed"] == "a value in at least 98 % of the rows"
    assert verdict.table("telemetry")["rotate"].null_count() == 3


def test_a_burst_of_nan_stops_the_run(validate: Validate, raw: Path) -> None:
    set_cells(raw / TELEMETRY, "rotate", dict.fromkeys(range(30, 70), "NaN"))
    finding = the_critical(validate(), column="rotate_longest_null_hours")
    assert finding["found"].startswith("40 in 1 of 10 series")
    assert "failed rotate sensor" in finding["action"]


def test_a_sensor_that_is_mostly_empty(validate: Validate, raw: Path) -> None:
    set_cells(raw / TELEMETRY, "rotate", dict.fromkeys(range(2, 28000, 10), ""))
    finding = the_critical(validate(), column="rotate")
    assert finding["found"].startswith("no value in 2,800 of 28,810 rows (9.72 %)")
    assert finding["allowed"] == "a value in at least 98 % of the rows"


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e999"])
def test_infinite_values(validate: Validate, raw: Path, value: str) -> None:
    set_cells(raw / TELEMETRY, "pressure", {40: value})
    verdict = validate()
    finding = the_critical(verdict, file=TELEMETRY, column="pressure")
    assert finding["found"] == f"infinite values in 1 row: '{value}' (line 40)"
    assert finding["allowed"] == "finite numbers"
    assert verdict.quarantine("telemetry")["pressure"].to_list() == [value]


@pytest.mark.parametrize("zone", ["Z", "+00:00", "+0200", " UTC"])
def test_time_zone_in_the_timestamps(validate: Validate, raw: Path, zone: str) -> None:
    rewrite(raw / TELEMETRY, lambda rows: [rows[0], *([row[0] + zone, *row[1:]] for row in rows[1:])])
    verdict = validate()
    finding = the_critical(verdict, expectation="timestamps_have_no_zone")
    assert (finding["file"], finding["column"]) == (TELEMETRY, "datetime")
    assert f"'2015-01-01 06:00:00{zone}'" in finding["found"]
    assert finding["allowed"] == "timestamps without one, in UTC"
    assert "Convert the column to UTC" in finding["action"]


def test_timestamps_that_are_none(validate: Validate, raw: Path) -> None:
    set_cells(raw / TELEMETRY, "datetime", {12: "31/01/2015 06:00", 13: "2015-02-30 06:00:00"})
    finding = the_critical(validate(), file=TELEMETRY, column="datetime")
    assert "'31/01/2015 06:00', '2015-02-30 06:00:00' (lines 12, 13)" in finding["found"]
    assert finding["allowed"] == "timestamps as 2015-01-31 06:00:00"


def test_timestamps_of_the_future(validate: Validate, raw: Path) -> None:
    set_cells(raw / TELEMETRY, "datetime", {10: "2215-01-01 06:00:00"})
    found = [
        one for one in validate().findings("critical") if (one["table"], one["column"]) == ("telemetry", "datetime")
    ]
    assert "(line 10)" in found[0]["found"]


def test_empty_key(validate: Validate, raw: Path) -> None:
    set_cells(raw / TELEMETRY, "machineID", {20: ""})
    verdict = validate()
    assert "(line 20)" in the_critical(verdict, expectation="keys_are_filled")["found"]


def test_byte_order_mark_and_crlf(validate: Validate, raw: Path, fleet: dict[str, str]) -> None:
    for file in raw.iterdir():
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    verdict = validate()
    assert verdict.report["passed"]
    assert verdict.findings("warning") == []
    original = pl.read_csv(io.StringIO(fleet["telemetry"]), try_parse_dates=True)
    assert verdict.table("telemetry").equals(original.sort("machineID", "datetime"))


def test_columns_in_another_order_and_gz(validate: Validate, raw: Path, fleet: dict[str, str]) -> None:
    rewrite(raw / TELEMETRY, lambda rows: [row[::-1] for row in rows])
    (raw / f"{TELEMETRY}.gz").write_bytes(gzip.compress((raw / TELEMETRY).read_bytes()))
    (raw / TELEMETRY).unlink()
    original = pl.read_csv(io.StringIO(fleet["telemetry"]), try_parse_dates=True)
    assert validate().table("telemetry").equals(original.sort("machineID", "datetime"))


@pytest.mark.parametrize("damage", ["truncated", "broken", "no gzip"])
def test_damaged_gz(validate: Validate, raw: Path, damage: str) -> None:
    whole = gzip.compress((raw / TELEMETRY).read_bytes())
    broken = whole[:200] + bytes(byte ^ 0xFF for byte in whole[200:260]) + whole[260:]
    content = {"truncated": whole[: len(whole) // 2], "broken": broken, "no gzip": (raw / TELEMETRY).read_bytes()}[
        damage
    ]
    (raw / f"{TELEMETRY}.gz").write_bytes(content)
    (raw / TELEMETRY).unlink()
    finding = the_critical(validate(), file=f"{TELEMETRY}.gz")
    wording = "ends early, after" if damage == "truncated" else "corrupt gzip data"
    assert wording in finding["found"]
    assert finding["allowed"] == "a complete gzip file"
    assert finding["action"] == "Export or upload the file again."


def test_a_plain_file_that_was_cut_off(validate: Validate, raw: Path) -> None:
    text = (raw / TELEMETRY).read_text()
    (raw / TELEMETRY).write_text(text[:-40])
    verdict = validate()
    finding = the_critical(verdict, expectation="rows_are_complete")
    assert "fields instead of 6 (line 28811)" in finding["found"]
    assert verdict.quarantine("telemetry")["malformed_row"].to_list() == [text[:-40].rsplit("\n", 1)[1]]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings(validate: Validate, raw: Path, encoding: str) -> None:
    text = (raw / "PdM_errors.csv").read_text().replace("error1", "errör1")
    (raw / "PdM_errors.csv").write_bytes(text.encode(encoding))
    finding = the_critical(validate(), file="PdM_errors.csv")
    assert "UTF-8" in finding["action"]


def test_impossible_readings_are_set_aside(validate: Validate, raw: Path) -> None:
    set_cells(raw / TELEMETRY, "volt", {50: "-3000", 60: "99999"})
    verdict = validate()
    assert verdict.report["passed"]
    kept = verdict.quarantine("telemetry")
    assert kept["file_line"].to_list() == ["50", "60"]
    assert kept["reason"][0] == "volt: allowed is 0 to 500 in at least 99.9 % of the rows"
    assert verdict.report["tables"]["telemetry"]["rejected"] == 2


def test_wrong_unit(validate: Validate, raw: Path) -> None:
    def in_millivolts(rows: list[list[str]]) -> list[list[str]]:
        return [rows[0], *([*row[:2], str(float(row[2]) / 1000), *row[3:]] for row in rows[1:])]

    rewrite(raw / TELEMETRY, in_millivolts)
    finding = the_critical(validate(), expectation="mean")
    assert finding["allowed"] == "mean 100 to 250"
    assert "unit" in finding["action"]


def test_data_window(validate: Validate) -> None:
    verdict = validate("--data-from", "2015-02-01", "--data-to", "2015-04-15T12:00")
    telemetry, maint = verdict.table("telemetry"), verdict.table("maint")
    assert str(telemetry["datetime"].min()) == "2015-02-01 00:00:00"
    assert str(telemetry["datetime"].max()) == "2015-04-15 11:00:00"
    assert str(maint["datetime"].min()).startswith("2014-")
    assert verdict.report["tables"]["telemetry"]["outside_window"] == 28_810 - telemetry.height
    assert verdict.report["facts"] == {"data window": "2015-02-01 00:00:00 to 2015-04-15 12:00:00"}


def test_rubbish_outside_the_window_does_not_matter(validate: Validate, raw: Path) -> None:
    set_cells(raw / TELEMETRY, "volt", {5: "rubbish"})
    assert not validate().report["passed"]
    assert validate("--data-from", "2015-02-01").report["passed"]


def test_a_window_without_rows(validate: Validate) -> None:
    verdict = validate("--data-from", "2019-01-01")
    found = [finding["found"] for finding in verdict.findings("critical") if finding["table"] == "telemetry"]
    assert found == ["none of 28,810 rows left, 28,810 of them outside the data window"]


def test_a_window_the_wrong_way_round(validate: Validate) -> None:
    with pytest.raises(JobError, match="is not before --data-to"):
        validate("--data-from", "2015-04-01", "--data-to", "2015-02-01")


def test_a_verdict_removes_tables_of_an_earlier_one(validate: Validate, raw: Path) -> None:
    assert validate().report["passed"]
    (raw / "PdM_maint.csv").unlink()
    assert list((validate().folder / "validated").iterdir()) == []


def test_a_table_may_have_a_column_called_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,line,text,reason\n1,2,3,4\nx,6,7,8\n")
    table = Table.model_validate(
        {
            "file": "t.csv",
            "columns": dict.fromkeys(("id", "line", "text", "reason"), "integer"),
            "max_rejected_share": 0.5,
        }
    )
    raw = read_table(tmp_path, "t", table)
    clean = clean_table(raw, table, None, Window())
    assert clean.frame.select(*table.columns).rows() == [(1, 2, 3, 4)]
    assert set_aside(raw, clean.rejected, tmp_path / "quarantine.csv") == 1
    assert pl.read_csv(tmp_path / "quarantine.csv", infer_schema=False)["id"].to_list() == ["x"]


@pytest.mark.slow
def test_the_real_data_passes(tmp_path: Path, raw: Path, validate: Validate) -> None:
    shared = shared_data()
    if shared is None:
        pytest.skip("needs the real data: ../shared/data beside the checkout, or SHARED_DATA")
    for file in raw.iterdir():
        file.unlink()
    for file in (shared / "azure_pdm").glob("*.csv.gz"):
        (raw / file.name).symlink_to(file)
    verdict = validate()
    assert verdict.report["passed"]
    assert verdict.findings("warning") == []
    rows = {name: table["accepted"] for name, table in verdict.report["tables"].items()}
    assert rows == {"telemetry": 876_100, "errors": 3_919, "maint": 3_286, "failures": 761, "machines": 100}
