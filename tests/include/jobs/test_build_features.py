"""From validated tables to a feature table split by time, and what stops it."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from include.jobs.build_features import main, split_features
from include.jobs.features.splitting import split_by_time
from include.jobs.prepare_data import held_out
from include.models.config import load_model
from include.models.config.files import SPLITS
from include.models.errors import JobError
from tests.include.jobs.job_programs import MODEL


def arguments(validated: Path, out: Path) -> list[str]:
    return ["--model", MODEL, "--validated", str(validated), "--features", str(out)]


@pytest.fixture
def broken(validated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(validated, tmp_path / "validated"))


def test_parts_follow_each_other_with_the_gap_between(features: Path) -> None:
    split = load_model(MODEL).split
    train, validation, test = (pl.read_parquet(features / name / "features.parquet")["datetime"] for name in SPLITS)
    gap = timedelta(hours=split.gap_hours)
    assert validation.min() - train.max() > gap
    assert test.min() - validation.max() > gap
    assert test.max() - test.min() < timedelta(days=split.test_days)
    assert validation.max() - validation.min() < timedelta(days=split.validation_days)
    assert test.max() - test.min() > timedelta(days=split.test_days) - timedelta(hours=6)


def test_the_manifest_says_what_was_made(features: Path, tables: dict[str, pl.DataFrame]) -> None:
    manifest = json.loads((features / "manifest.json").read_text())
    assert manifest["tables"] == {name: len(table) for name, table in tables.items()}
    for name in SPLITS:
        part = pl.read_parquet(features / name / "features.parquet")
        described = manifest["splits"][name]
        assert described["rows"] == len(part) == sum(described["classes"].values())
        assert list(part.columns) == ["machineID", "datetime", *manifest["features"], "failure"]


def test_a_year_with_no_failures_stops_it(broken: Path, tmp_path: Path) -> None:
    pl.read_parquet(broken / "failures.parquet").clear().write_parquet(broken / "failures.parquet")
    with pytest.raises(JobError, match=r"the train split .* has no row with failure comp1, comp2, comp3, comp4; found"):
        main(arguments(broken, tmp_path / "features"))


def test_too_little_data_says_what_the_split_needs(broken: Path, tmp_path: Path) -> None:
    telemetry = pl.read_parquet(broken / "telemetry.parquet")
    end = telemetry["datetime"].min() + timedelta(days=100)
    telemetry.filter(pl.col("datetime") < end).write_parquet(broken / "telemetry.parquet")
    with pytest.raises(
        JobError, match=r"the train split is empty: the labelled rows reach from 2015-01-01 .* 152 days"
    ):
        main(arguments(broken, tmp_path / "features"))


def test_less_than_the_labels_horizon_says_so(broken: Path, tmp_path: Path) -> None:
    telemetry = pl.read_parquet(broken / "telemetry.parquet")
    end = telemetry["datetime"].min() + timedelta(hours=20)
    telemetry.filter(pl.col("datetime") < end).write_parquet(broken / "telemetry.parquet")
    with pytest.raises(JobError, match="no labelled row"):
        main(arguments(broken, tmp_path / "features"))


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"PAR1 no more")])
def test_a_missing_or_damaged_table_is_named(broken: Path, tmp_path: Path, damage: object) -> None:
    damage(broken / "maint.parquet")  # type: ignore[operator]
    with pytest.raises(JobError, match=r"table maint: .*maint.parquet cannot be read"):
        main(arguments(broken, tmp_path / "features"))


def test_a_training_that_monitoring_started_reaches_past_what_changed(features: Path) -> None:
    rows = pl.concat([pl.read_parquet(features / name / "features.parquet") for name in SPLITS])
    config = held_out(load_model(MODEL), (7, 3))
    assert (config.split.test_days, config.split.validation_days) == (7, 3)
    assert held_out(config, (400, 30)).split == config.split, "never more than model.yaml holds out"
    last = split_by_time(rows, "datetime", config.split)["train"]["datetime"].max().date()
    assert split_features(config, rows, last - timedelta(days=1))
    with pytest.raises(JobError, match=f"must include changes from {last} on"):
        split_features(config, rows, last)
    assert isinstance(last, date)
