"""A service for a small fleet: its artifact is trained in a moment, its backend runs in this process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from include.jobs.features.feature_table import examples
from include.jobs.serving.artifact import load_artifact, save_artifact
from include.models.config import load_model
from include.models.loader import estimator, feature_builder
from include.models.predictive_maintenance.simulate import simulate
from include.online.answering import Answering
from include.online.app import application
from include.online.backends import LocalBackend, Version, _Serving
from include.online.service import Service
from include.online.settings import Settings
from include.online.shape import Shape
from include.online.state import FeatureState, SqliteStore

MODEL = "predictive_maintenance"
FEW_TREES = {
    "num_boost_round": 8,
    "early_stopping_rounds": 8,
    "class_balance": 0.5,
    "num_leaves": 7,
    "min_data_in_leaf": 5,
    "seed": 7,
    "learning_rate": 0.3,
}
Tables = dict[str, pl.DataFrame]


@pytest.fixture(scope="session")
def fleet() -> Tables:
    """The first two months of a few machines."""
    tables = simulate(seed=11, machines=6)
    end = tables["telemetry"]["datetime"].min() + timedelta(days=60)  # type: ignore[operator]
    return {
        name: table.filter(pl.col("datetime") < end) if "datetime" in table.columns else table
        for name, table in tables.items()
    }


@pytest.fixture(scope="session")
def training_table(fleet: Tables) -> pl.DataFrame:
    return feature_builder(MODEL).build_features(fleet)


@pytest.fixture(scope="session")
def artifact(training_table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = load_model(MODEL)
    rows = examples(config, training_table)
    fitted = estimator(MODEL).fit(rows, rows, FEW_TREES)
    folder = tmp_path_factory.mktemp("artifact")
    save_artifact(folder, config, fitted, rows, rows, {})
    return folder


def loaded_backend(model: str, artifact: Path) -> LocalBackend:
    """A backend that serves an artifact's folder and never changes."""
    backend = LocalBackend(load_model(model), lambda: None, None)  # type: ignore[arg-type] # it asks S3 nothing
    backend._serving = _Serving(Version("7", "s3://bucket/model.tar.gz"), load_artifact(artifact))
    return backend


def service_of(model: str, artifact: Path, state: Path | None, backend: LocalBackend | None = None) -> Service:
    shape = Shape(load_model(model))
    remembered = FeatureState(shape, SqliteStore(state)) if state else None
    backend, max_rows = backend or loaded_backend(model, artifact), 10_000
    return Service(shape, Answering(shape, feature_builder(model), backend, remembered), backend, remembered, max_rows)


@pytest.fixture
def service(artifact: Path, tmp_path: Path) -> Service:
    return service_of(MODEL, artifact, tmp_path / "state.db")


@pytest.fixture
def api(service: Service) -> Iterator[TestClient]:
    settings = Settings(model=MODEL, bucket="bucket")
    with TestClient(application(settings, service), base_url="http://127.0.0.1:8765") as client:
        yield client


def until(fleet: Tables, machine: int, moment: datetime, hours: int = 25) -> dict[str, list[dict[str, object]]]:
    """A machine's events up to a moment, as in JSON: what its windows need, and its whole history in maint."""
    found = {}
    for name in ("telemetry", "errors", "maint", "machines"):
        rows = fleet[name].filter(pl.col("machineID") == machine)
        if "datetime" in rows.columns:
            rows = rows.filter(pl.col("datetime") <= moment)
            if name != "maint":
                rows = rows.filter(pl.col("datetime") > moment - timedelta(hours=hours))
            rows = rows.with_columns(pl.col("datetime").dt.strftime("%Y-%m-%d %H:%M:%S"))
        found[name] = rows.to_dicts()
    return found
