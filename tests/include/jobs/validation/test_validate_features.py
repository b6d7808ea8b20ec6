"""Splits of the feature table: each satisfies the suite, and together they are in order of time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import polars.selectors as cs
import pytest

from include.jobs import validate_features
from include.models.config.files import FEATURE_TABLE, SPLITS
from include.models.errors import JobError
from include.models.predictive_maintenance.features import build_features
from include.models.predictive_maintenance.simulate import simulate

Splits = dict[str, pl.DataFrame]
Validate = Callable[[Splits], dict[str, object]]


@pytest.fixture(scope="session")
def good() -> Splits:
    table = build_features(simulate(seed=11, machines=20, days=150))
    start = table["datetime"].min()

    def days(first: int, last: int) -> pl.DataFrame:
        after = pl.col("datetime") - start >= timedelta(days=first)
        return table.filter(after, pl.col("datetime") - start < timedelta(days=last))

    return {"train": days(0, 90), "validation": days(91, 110), "test": days(111, 150)}


@pytest.fixture
def validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Validate:
    def run(splits: Splits) -> dict[str, object]:
        for name, frame in splits.items():
            (tmp_path / name).mkdir()
            frame.write_parquet(tmp_path / name / FEATURE_TABLE)
        arguments = ["--features", str(tmp_path), "--report", str(tmp_path / "report")]
        validate_features.main(["--model", "predictive_maintenance", *arguments])
        report: dict[str, object] = json.loads((tmp_path / "report/validation.json").read_text())
        assert capsys.readouterr().out.strip() == report["summary"]
        assert "Expectations" in (tmp_path / "report/validation.html").read_text()
        return report

    return run


def the_critical(report: dict[str, object], table: str, column: str | None) -> dict[str, str]:
    findings: list[dict[str, str]] = report["findings"]  # type: ignore[assignment]
    matching = [
        one for one in findings if (one["severity"], one["table"], one["column"]) == ("critical", table, column)
    ]
    assert len(matching) == 1, findings
    assert not report["passed"]
    assert matching[0]["found"] in str(report["summary"])
    assert matching[0]["action"] in str(report["summary"])
    return matching[0]


def test_good_features_pass(good: Splits, validate: Validate) -> None:
    report = validate(good)
    assert report["passed"]
    assert report["findings"] == []


@pytest.mark.parametrize("split", SPLITS)
def test_a_feature_without_values(good: Splits, validate: Validate, split: str) -> None:
    bad = good | {split: good[split].with_columns(volt_mean_24h=pl.lit(None, pl.Float64))}
    finding = the_critical(validate(bad), split, "volt_mean_24h")
    assert finding["file"] == f"{split}/features.parquet"
    assert "(100.00 %)" in finding["found"]


def test_a_verdict_stays_small_however_much_is_wrong(good: Splits, validate: Validate, tmp_path: Path) -> None:
    no_numbers = {name: frame.with_columns(cs.float() * float("nan")) for name, frame in good.items()}
    report = validate({name: frame.fill_nan(None) for name, frame in no_numbers.items()})
    assert not report["passed"]
    assert report["findings_left_out"] > 0  # type: ignore[operator]
    assert (tmp_path / "report/validation.json").stat().st_size < 60_000


def test_a_feature_out_of_range(good: Splits, validate: Validate) -> None:
    bad = good | {"test": good["test"].with_columns(pl.col("comp2_age_days") - 10_000)}
    finding = the_critical(validate(bad), "test", "comp2_age_days")
    assert finding["allowed"] == "0 to 3650"


def test_infinite_features(good: Splits, validate: Validate) -> None:
    infinite = pl.when(pl.int_range(pl.len()) == 5).then(float("inf")).otherwise("age").alias("age")
    report = validate(good | {"train": good["train"].with_columns(infinite)})
    names = [one["expectation"] for one in report["findings"]]  # type: ignore[attr-defined]
    assert "values_are_finite" in names


def test_unknown_label(good: Splits, validate: Validate) -> None:
    label = pl.col("failure").replace("comp1", "comp9")
    bad = good | {"validation": good["validation"].with_columns(label)}
    finding = the_critical(validate(bad), "validation", "failure")
    assert finding["allowed"] == "none, comp1, comp2, comp3, comp4"


def test_a_class_missing_from_training(good: Splits, validate: Validate) -> None:
    report = validate(good | {"train": good["train"].filter(pl.col("failure") != "comp3")})
    finding = the_critical(report, "train", "failure")
    assert "missing: comp3" in finding["found"]


def test_repeated_rows(good: Splits, validate: Validate) -> None:
    bad = good | {"train": pl.concat([good["train"], good["train"].head(3)])}
    finding = the_critical(validate(bad), "train", "machineID, datetime")
    assert finding["allowed"] == "no repetitions"


def test_splits_that_overlap(good: Splits, validate: Validate) -> None:
    bad = good | {"train": pl.concat([good["train"], good["validation"]])}
    finding = the_critical(validate(bad), "validation", "datetime")
    assert finding["expectation"] == "splits_are_apart"
    assert finding["allowed"] == "a start at least 24 hours after that"


def test_splits_whose_labels_touch(good: Splits, validate: Validate) -> None:
    later = good["train"].tail(1).with_columns(datetime=good["validation"]["datetime"].min() - timedelta(hours=23))
    the_critical(validate(good | {"train": pl.concat([good["train"], later])}), "validation", "datetime")


def test_a_missing_column(good: Splits, validate: Validate) -> None:
    report = validate(good | {"test": good["test"].drop("rotate_std_3h")})
    finding = the_critical(report, "test", None)
    assert "rotate_std_3h (Float64) differing" in finding["found"]


def test_an_empty_split(good: Splits, validate: Validate) -> None:
    report = validate(good | {"validation": good["validation"].clear()})
    assert the_critical(report, "validation", None)["allowed"] == "row count at least 100"


def test_a_missing_split(good: Splits, validate: Validate) -> None:
    with pytest.raises(JobError, match="It is written by prepare_data"):
        validate({name: good[name] for name in ("train", "test")})
