"""What a validation's page says about earlier validations."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.jobs.validation.earlier import KEPT, Earlier, in_words
from include.jobs.validation.findings import Example, Finding
from include.jobs.validation.report import Report, TableReport

WHICH = (Example(7, "machineID 3", "9"),)
DRY = Finding("warning", "telemetry", "telemetry.csv", "volt", "expect_x", "9", "0 to 1", 12, "Ask.", WHICH)


def written(folder: Path, earlier: Earlier, findings: list[Finding], day: str = "") -> str:
    table = TableReport("telemetry", "telemetry.csv", 100, findings=findings)
    facts = {"day": day} if day else {}
    Report("pumps", f"raw data of {day}" if day else "raw data", [table], facts).write(folder, earlier)
    return (folder / "validation.html").read_text(encoding="utf-8")


def test_each_validation_knows_the_ten_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tmp_path / "0"
    for number in range(1, 15):
        monkeypatch.setenv("RUN_ID", f"run {number}")
        into = tmp_path / str(number)
        found = [DRY] if number % 5 == 0 else []
        page = written(tmp_path / "report", Earlier(before, into), found, f"2015-01-{number:02}")
        before = into
    assert "Before" not in page  # nothing was found
    monkeypatch.setenv("RUN_ID", "run 15")
    page = written(tmp_path / "report", Earlier(before, tmp_path / "15"), [DRY], "2015-01-15")
    assert "Not met in 2 of the last 10 validations: 2015-01-10 (12 rows), 2015-01-05 (12 rows)." in page
    again = written(tmp_path / "report", Earlier(before, tmp_path / "15"), [DRY], "2015-01-15")
    assert again.count("2015-01-15 (12 rows)") == 0  # a cleared task's first run is not an earlier validation
    assert len(Earlier(tmp_path / "15").times("raw data")) <= KEPT


def test_datasets_of_one_job_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUN_ID", raising=False)
    earlier = Earlier(None, tmp_path)
    earlier.add("raw data", "", [DRY])
    earlier.add("feature table", "", [])
    assert in_words(DRY.check, earlier.times("raw data")).startswith("Not met in 1 of the last validation: ")
    assert in_words(DRY.check, earlier.times("feature table")) == "Met in the last validation."
    assert in_words(DRY.check, []) == "No earlier validation is kept to compare with."


def test_a_finding_shows_its_rows_on_the_page_alone(tmp_path: Path) -> None:
    page = written(tmp_path, Earlier(), [DRY])
    assert "<td>7</td>" in page
    assert "machineID 3" in page
    assert "machineID" not in (tmp_path / "validation.json").read_text(encoding="utf-8")
