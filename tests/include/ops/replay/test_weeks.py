"""Weeks of a replay: which days they have, and which models have any. S3 and the program are stand-ins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.models.config import Labels, ModelConfig, load_model
from include.ops.local_stack.arguments import ArgumentsError
from include.ops.local_stack.settings import Settings
from include.ops.replay import weeks
from include.ops.replay.world import World
from include.score.plan import days_between

MODEL = load_model("electricity")


def test_weeks_are_of_seven_days_whatever_versions_scored_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is given the results of each day, and nothing else; the last week has the days that remain."""
    prefix = "performance/electricity/date=1998-01-01/"
    names = ("performance.json", "rows.parquet", "to_label.csv", "version=2/challenger.parquet")

    class S3:
        def download_file(self, bucket: str, key: str, path: str) -> None:
            Path(path).write_text(key)

    def run_job(python: str, module: str, *asked: str) -> str:
        given = dict(zip(asked[::2], asked[1::2], strict=True))
        there = sorted(file.name for file in Path(given["--performance"]).rglob("*") if file.is_file())
        assert there == ["performance.json", "rows.parquet"]
        assert (given["--first"], given["--last"]) == ("1998-01-01", "1998-01-15")
        measured = [{"labelled": 336, "metrics": {"accuracy": 0.9}}, None, {"labelled": 48, "metrics": {}}]
        return json.dumps(measured)

    monkeypatch.setattr(World, "client", lambda *_: S3())
    monkeypatch.setattr(weeks, "list_raw_data", lambda *_: [{"key": prefix + name} for name in names])
    monkeypatch.setattr(weeks, "run_job", run_job)
    days = days_between("1998-01-01", "1998-01-15")
    assert weeks.measure_weeks(MODEL, World(Settings(tmp_path, 0, 0)), days) == [
        {"first": "1998-01-01", "last": "1998-01-07", "days": 7, "labelled": 336, "metric": 0.9},
        {"first": "1998-01-08", "last": "1998-01-14", "days": 7, "labelled": 0, "metric": None},
        {"first": "1998-01-15", "last": "1998-01-15", "days": 1, "labelled": 48, "metric": None},
    ]


def judged_by(metric: str) -> ModelConfig:
    return MODEL.model_copy(update={"champion": MODEL.champion.model_copy(update={"metric": metric})})


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (load_model("machine_downtime"), "has no section labels. If a raw table has the truth"),
        (MODEL.model_copy(update={"labels": Labels(ask=20)}), "expects them as files"),
        (judged_by("rolling_accuracy"), "rolling_accuracy, the metric of champion in .*such as accuracy"),
    ],
)
def test_a_model_whose_weeks_cannot_be_measured_is_refused(model: ModelConfig, told: str) -> None:
    with pytest.raises(ArgumentsError, match=told):
        weeks.check_labels(model)


@pytest.mark.parametrize("name", ["electricity", "predictive_maintenance"])
def test_models_with_labels_from_a_table_are_replayed(name: str) -> None:
    weeks.check_labels(load_model(name))
