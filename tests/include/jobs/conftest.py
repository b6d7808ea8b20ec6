"""A small fleet, processed once by all jobs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from include.models.predictive_maintenance.simulate import simulate
from include.platform.code_bundle import code_files
from tests.include.jobs.job_programs import HYPERPARAMETERS, MODEL, Jobs, Trained

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    code = tmp_path_factory.mktemp("code")
    for name, file in code_files(ROOT):
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, code / name)
    return Jobs(code)


@pytest.fixture(scope="session")
def tables() -> dict[str, pl.DataFrame]:
    return simulate(seed=11, machines=20)


@pytest.fixture(scope="session")
def validated(tables: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("validated")
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="session")
def features(jobs: Jobs, validated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    done = jobs.run("build_features", "--model", MODEL, "--validated", validated, "--features", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def trained(jobs: Jobs, features: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    tracking_uri = f"sqlite:///{folder}/mlflow.db"
    (folder / "hyperparameters.json").write_text(json.dumps(HYPERPARAMETERS))
    done = jobs.run(
        "train_model",
        *("--hyperparameters", folder / "hyperparameters.json"),
        *("--train", features / "train", "--validation", features / "validation", "--model-dir", folder / "model"),
        *("--output-dir", folder / "output"),
        MLFLOW_TRACKING_URI=tracking_uri,
        CODE_HASH="abc123",
        RUN_ID="manual__1",
    )
    assert done.returncode == 0, done.stderr
    packed = folder / "packed"
    packed.mkdir()
    for name in ("model", "output"):
        shutil.make_archive(str(packed / name), "gztar", folder / name)
    return Trained(folder / "model", packed, done.stdout + done.stderr, tracking_uri)
