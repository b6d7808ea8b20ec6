"""The same (machine, hour) computed in every way: the training table, a daily batch, a raw request, the feature
state."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import polars as pl
from starlette.testclient import TestClient

from include.jobs.daily.day_features import day_features
from include.jobs.serving.artifact import LoadedModel, load_artifact
from include.models.config import load_model
from tests.include.online.conftest import MODEL, Tables, until

SAMPLE = 12


def sample(table: pl.DataFrame, count: int, seed: int = 5) -> list[tuple[int, datetime]]:
    """Random machines and hours, in order of time."""
    rows = table.select("machineID", "datetime").rows()
    return sorted(random.Random(seed).sample(rows, count), key=lambda row: row[1])  # noqa: S311 - a sample


def by_training(table: pl.DataFrame, machine: int, hour: datetime) -> dict[str, object]:
    row = table.filter(pl.col("machineID") == machine, pl.col("datetime") == hour)
    return row.drop("machineID", "datetime", "failure").row(0, named=True)


def by_day(fleet: Tables, machine: int, hour: datetime) -> dict[str, object]:
    config, day = load_model(MODEL), datetime(hour.year, hour.month, hour.day)  # noqa: DTZ001 - as tables have it
    tables = {}
    for name in config.daily_scoring.tables:
        table = fleet[name]
        if "datetime" in table.columns:
            table = table.filter(pl.col("datetime") < day + timedelta(days=1))
            if not config.data.tables[name].history:
                table = table.filter(pl.col("datetime") >= day - timedelta(days=1))
        tables[name] = table
    frame = day_features(config, tables, day.date().isoformat())
    assert frame is not None
    row = frame.filter(pl.col("machineID") == machine, pl.col("datetime") == hour)
    return row.drop("machineID", "datetime").row(0, named=True)


def by_request(api: TestClient, fleet: Tables, machine: int, hour: datetime) -> dict[str, object]:
    answer = api.post("/predict", json=until(fleet, machine, hour))
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["predictions"][0])


def by_state(api: TestClient, fleet: Tables, machine: int, hour: datetime) -> dict[str, object]:
    told = api.post("/events", json=until(fleet, machine, hour))
    assert told.status_code == 200, told.text
    answer = api.post("/predict", json={"machineID": machine, "datetime": str(hour)})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["predictions"][0])


def score(loaded: LoadedModel, features: dict[str, object]) -> dict[str, object]:
    frame = pl.DataFrame([features], schema_overrides=dict.fromkeys(features, pl.Float64))
    return dict(loaded.answers(frame).to_dicts()[0])


def test_features_and_scores_are_the_same_to_the_bit(
    api: TestClient, fleet: Tables, training_table: pl.DataFrame, artifact: object
) -> None:
    loaded = load_artifact(artifact)  # type: ignore[arg-type] # a Path
    for machine, hour in sample(training_table, SAMPLE):
        trained = by_training(training_table, machine, hour)
        assert by_day(fleet, machine, hour) == trained
        expected = score(loaded, trained)
        for way in (by_request, by_state):
            found = way(api, fleet, machine, hour)
            assert found["features"] == trained, way.__name__
            assert found["datetime"] == hour.isoformat()
            assert {name: found[name] for name in expected} == expected, way.__name__
