"""Many days in one job: each is scored separately, earlier days are read once, and some days cannot be scored."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include.jobs import score_batch, split_days, validate_input
from include.jobs.daily.one_job import DayScorer
from include.jobs.serving.archive import unpack
from include.models.config import load_model
from tests.include.jobs.job_programs import MODEL, Trained

DAYS = ["2015-06-02", "2015-06-03", "2015-06-04"]
BEFORE = "2015-06-01"
FILES = {name: table.file for name, table in load_model(MODEL).data.tables.items()}


@pytest.fixture(scope="module")
def cut(tables: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw, days = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("days")
    for name, table in tables.items():
        table.write_csv(raw / FILES[name], datetime_format="%Y-%m-%d %H:%M:%S")
    arguments = ["--raw", raw, "--days", days, "--first", BEFORE, "--last", DAYS[-1]]
    split_days.main(["--model", MODEL, *map(str, arguments)])
    return days


@pytest.fixture
def partitions(cut: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cut, tmp_path / "partitions"))


def files_of(partitions: Path) -> dict[str, list[str]]:
    """The files that each day's plan names."""
    found = {}
    for before, day in zip([BEFORE, *DAYS], DAYS, strict=False):
        looked_back = [f"date={before}/{FILES[name]}.gz" for name in ("telemetry", "errors")]
        found[day] = looked_back + sorted(f"date={day}/{file.name}" for file in (partitions / f"date={day}").iterdir())
    return found


def scored(partitions: Path, trained: Trained, into: Path) -> dict[str, Any]:
    """The result of each day, by ``python -m include.jobs.score_batch``'s own function."""
    plan = into / "plan"
    plan.mkdir(parents=True)
    (plan / "days.json").write_text(json.dumps(files_of(partitions)))
    arguments = ["--partitions", partitions, "--artifact", trained.packed, "--plan", plan, "--days", into / "days"]
    score_batch.main(["--model", MODEL, *map(str, arguments)])
    folders = sorted((into / "days").iterdir())
    assert [folder.name for folder in folders] == [f"date={day}" for day in DAYS]
    return {folder.name[5:]: json.loads((folder / "report" / "day.json").read_text()) for folder in folders}


def test_a_bad_day_fails_alone_and_leaves_its_report(partitions: Path, trained: Trained, tmp_path: Path) -> None:
    file = partitions / f"date={DAYS[1]}" / f"{FILES['machines']}.gz"
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace(b"age", b"years", 1)))
    results = scored(partitions, trained, tmp_path / "batch")
    assert {day: result["passed"] for day, result in results.items()} == dict(
        zip(DAYS, [True, False, True], strict=True)
    )
    bad = tmp_path / "batch" / "days" / f"date={DAYS[1]}"
    assert "no such column" in results[DAYS[1]]["summary"]
    assert (bad / "report" / "validation.html").is_file()
    assert not (bad / "scores").exists()
    with DayScorer(load_model(MODEL), unpack(trained.packed, tmp_path / "artifact")) as scorer:
        for day in (DAYS[0], DAYS[2]):
            (alone := tmp_path / "alone" / day).mkdir(parents=True)
            score_batch.score_one(scorer, day, files_of(partitions)[day], partitions, alone)
            of_batch = tmp_path / "batch" / "days" / f"date={day}" / "scores"
            mine = alone / f"date={day}" / "scores"
            assert {f.name: f.read_bytes() for f in mine.iterdir()} == {
                f.name: f.read_bytes() for f in of_batch.iterdir()
            }


def test_a_day_that_others_look_back_to_is_read_once(
    partitions: Path, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    check = validate_input.validate_tables

    def counted(tables: Any, time: Any, suites: Any, window: Any, *more: Any, **named: Any) -> Any:
        checked.append(window.start.date().isoformat())
        return check(tables, time, suites, window, *more, **named)

    monkeypatch.setattr(validate_input, "validate_tables", counted)
    (tmp_path / "days").mkdir()
    with DayScorer(load_model(MODEL), unpack(trained.packed, tmp_path / "artifact")) as scorer:
        for day, files in files_of(partitions).items():
            assert score_batch.score_one(scorer, day, files, partitions, tmp_path / "days")["passed"]
    assert checked == [DAYS[0], BEFORE, DAYS[1], DAYS[2]]


def test_what_goes_wrong_in_a_day_is_its_result(partitions: Path, trained: Trained, tmp_path: Path) -> None:
    files = {**files_of(partitions)}
    (tmp_path / "days").mkdir()
    with DayScorer(load_model(MODEL), unpack(trained.packed, tmp_path / "artifact")) as scorer:
        result = score_batch.score_one(scorer, "2015-07-01", files[DAYS[0]], partitions, tmp_path / "days")
    assert not result["passed"]
    assert "has no folder date=2015-07-01" in result["summary"]
