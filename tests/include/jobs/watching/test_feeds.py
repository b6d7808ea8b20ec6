"""A faulty feed is found before its day is scored: it is a warning or stops the day, as model.yaml says."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from include.jobs.validate_input import validate_day
from include.jobs.validate_raw_data import Suites
from include.jobs.validation.continuity import dataset_name
from include.jobs.watching.feeds import Feeds
from include.jobs.watching.table_counts import count_day
from include.models.config import Monitoring, load_model
from include.models.config.files import REFERENCE, day_folder
from include.models.config.watching import Reference
from include.models.errors import JobError

DAY = datetime.fromisoformat("2015-03-01")
CONFIG = load_model("predictive_maintenance")
MACHINES = range(1, 41)


def tables_of(day: datetime, *, errors: int) -> dict[str, pl.DataFrame]:
    """A fleet with hourly readings and some errors a day."""
    hours = [day + timedelta(hours=hour) for hour in range(24)]
    count = len(MACHINES) * len(hours)
    telemetry = pl.DataFrame(
        {
            "datetime": [hour for _ in MACHINES for hour in hours],
            "machineID": [machine for machine in MACHINES for _ in hours],
            **{
                name: [mean + (row * 37 + day.day) % 101 / 10 for row in range(count)]
                for name, mean in (("volt", 165.0), ("rotate", 445.0), ("pressure", 95.0), ("vibration", 38.0))
            },
        }
    )
    events = pl.DataFrame(
        {
            "datetime": [hours[number % 24] for number in range(errors)],
            "machineID": [1 + number % len(MACHINES) for number in range(errors)],
            "errorID": [f"error{1 + number % 5}" for number in range(errors)],
        },
        schema={"datetime": pl.Datetime(), "machineID": pl.Int64(), "errorID": pl.String()},
    )
    return {"telemetry": telemetry, "errors": events}


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """The folder with the reference of a version trained on two months of it."""
    before = [DAY - timedelta(days=back) for back in range(1, 60)]
    days = {
        day.date().isoformat(): count_day(CONFIG, tables_of(day, errors=10 + day.day % 4), day.date().isoformat())
        for day in before
    }
    content: Reference = {
        "timed": True,
        "days": days,
        "segments": {},
        "windows": [],
        "answers": [],
        "calibration": None,
    }
    folder = tmp_path / "reference"
    folder.mkdir()
    (folder / REFERENCE).write_text(json.dumps(content))
    return folder


def faults(reference: Path, *, errors: int, severity: str = "warning") -> dict[str, list[str]]:
    watched = CONFIG.monitoring or Monitoring()
    config = CONFIG.model_copy(update={"monitoring": watched.model_copy(update={"faults_before_scoring": severity})})
    feeds = Feeds.of(config, reference)
    assert feeds
    day = DAY.date().isoformat()
    found = feeds.findings(day, count_day(config, tables_of(DAY, errors=errors), day))
    return {table: [f"{one.severity} {one.expectation}: {one.found}" for one in some] for table, some in found.items()}


def test_a_sound_day_has_no_finding(reference: Path) -> None:
    assert faults(reference, errors=11) == {}


@pytest.mark.parametrize("severity", ["warning", "critical"])
def test_a_dead_feed_is_a_finding_of_its_table(reference: Path, severity: str) -> None:
    found = faults(reference, errors=0, severity=severity)
    assert list(found) == ["errors"]
    assert any(
        re.fullmatch(rf"{severity} as in training: volume: 0 rows, where 1\d are usual", one) for one in found["errors"]
    )


def test_values_are_not_quoted_where_they_may_not_be(reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert any("error1" in one for one in faults(reference, errors=60)["errors"])
    monkeypatch.setenv("QUOTE_VALUES", "no")
    found = faults(reference, errors=60)["errors"]
    assert found
    assert not any("error1" in one for one in found)


def test_a_version_without_a_reference_and_a_model_that_does_not_ask(reference: Path) -> None:
    assert Feeds.of(CONFIG, None) is None
    ignored = Monitoring(faults_before_scoring="ignore")
    assert Feeds.of(CONFIG.model_copy(update={"monitoring": ignored}), reference) is None
    (reference / REFERENCE).write_text("{")
    with pytest.raises(JobError, match=r"reference.json is invalid .* evaluate_model writes it"):
        Feeds.of(CONFIG, reference)


def deliver(tables: dict[str, pl.DataFrame], day: datetime, partitions: Path) -> None:
    """Writes a day's partition."""
    folder = partitions / day_folder(day.date().isoformat())
    folder.mkdir(parents=True)
    machines = pl.DataFrame({"machineID": MACHINES, "model": ["model1"] * len(MACHINES), "age": [5] * len(MACHINES)})
    maint = pl.DataFrame(schema={"datetime": pl.Datetime(), "machineID": pl.Int64(), "comp": pl.String()})
    for name, table in {**tables, "machines": machines, "maint": maint}.items():
        table.write_csv(folder / CONFIG.data.tables[name].file, datetime_format="%Y-%m-%d %H:%M:%S")


SUITES: Suites = {each: [] for name in CONFIG.daily_scoring.tables for each in (name, dataset_name(name))}


@pytest.mark.parametrize(("hours", "severity"), [(-8, "warning"), (-2, "info"), (0, None)])
def test_rows_of_other_days_in_a_days_file_are_a_warning_unless_few(
    tmp_path: Path, hours: int, severity: str | None
) -> None:
    deliver(tables_of(DAY - timedelta(days=1), errors=11), DAY - timedelta(days=1), tmp_path / "partitions")
    tables = tables_of(DAY, errors=11)
    shifted = tables["errors"].with_columns(pl.col("datetime") + timedelta(hours=hours))
    deliver(tables | {"errors": shifted}, DAY, tmp_path / "partitions")
    places = tmp_path / "partitions", DAY.date().isoformat(), SUITES, tmp_path / "validated", tmp_path / "report"
    verdict = validate_day(CONFIG, *places)
    assert verdict.passed
    found = [one for one in verdict.findings if one.expectation == "rows_in_window"]
    assert [(one.table, one.severity) for one in found] == ([("errors", severity)] if severity else [])


@pytest.mark.parametrize(("severity", "scored"), [("warning", True), ("critical", False)])
def test_a_day_with_a_dead_feed_is_scored_or_stopped(
    reference: Path, tmp_path: Path, severity: str, scored: bool
) -> None:
    day = DAY.date().isoformat()
    for each in (DAY - timedelta(days=1), DAY):
        deliver(tables_of(each, errors=11 if each < DAY else 0), each, tmp_path / "partitions")
    watched = (CONFIG.monitoring or Monitoring()).model_copy(update={"faults_before_scoring": severity})
    config = CONFIG.model_copy(update={"monitoring": watched})
    places = tmp_path / "partitions", day, SUITES, tmp_path / "validated", tmp_path / "report"
    verdict = validate_day(config, *places, feeds=Feeds.of(config, reference))
    assert verdict.passed == scored
    assert "0 rows, where" in verdict.summary
    assert bool(list((tmp_path / "validated").glob("chunk-*.tar"))) == scored
