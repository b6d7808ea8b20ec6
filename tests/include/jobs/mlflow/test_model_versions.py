"""Each model package is one version in MLflow, which loads it unchanged; the alias champion follows production."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include.jobs import move_champion_alias, track_model_version
from include.jobs.features.feature_table import feature_columns, read_split
from include.jobs.mlflow import model_versions
from include.jobs.mlflow.mlflow_model import write_mlflow_model
from include.jobs.serving.artifact import load_artifact
from include.models.config import load_model
from include.models.errors import JobError
from tests.include.jobs.job_programs import MODEL, Trained

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/predictive-maintenance/{}"
LOAD = """
import sys, mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/predictive_maintenance@champion")
print(model.predict(pandas.read_parquet(sys.argv[2])).to_json(orient="records"))
"""


@pytest.fixture(scope="module")
def tracked(trained: Trained, features: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The store of a run that logged its model, and the run's id."""
    from mlflow import MlflowClient

    rows = read_split(features / "validation")
    run_id = trained.mlflow_run_id
    folder = tmp_path_factory.mktemp("mlflow") / model_versions.MODEL_FOLDER
    write_mlflow_model(trained.model, rows.select(feature_columns(load_model(MODEL), rows)), folder)
    MlflowClient(trained.tracking_uri).log_artifacts(run_id, str(folder), model_versions.MODEL_FOLDER)
    return trained.tracking_uri, run_id


@pytest.mark.slow
def test_versions_follow_registration_promotion_and_rollback(
    trained: Trained, tracked: tuple[str, str], features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked[0])
    store = client(tracked)
    for version in (1, 1, 2):  # the second is a retry
        package = ["--model", MODEL, "--model-package", ARN.format(version)]
        track_model_version.main([*package, "--run-id", tracked[1]])
    versions = {version.version: version.tags for version in store.search_model_versions(f"name='{MODEL}'")}
    assert {int(number): tags[model_versions.PACKAGE] for number, tags in versions.items()} == {
        1: ARN.format(1),
        2: ARN.format(2),
    }
    for version in (2, 2, 1):  # promoted, cleared, rolled back
        move_champion_alias.main(["--model", MODEL, "--model-package", ARN.format(version)])
        assert int(store.get_model_version_by_alias(MODEL, "champion").version) == version

    rows = read_split(features / "test").head(40)
    rows = rows.select(feature_columns(load_model(MODEL), rows))
    rows.write_parquet(tmp_path / "rows.parquet")
    command = [sys.executable, "-c", LOAD, tracked[0], str(tmp_path / "rows.parquet")]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded = load_artifact(trained.model)
    answered = pl.DataFrame(json.loads(done.stdout.splitlines()[-1]))
    wanted = loaded.predict(rows)
    for index, name in enumerate(loaded.classes):
        assert answered[f"probability_{name}"].to_list() == pytest.approx(wanted[:, index].tolist(), abs=1e-9)


def test_a_package_that_mlflow_does_not_know(tracked: tuple[str, str]) -> None:
    store = client(tracked)
    with pytest.raises(JobError, match=r"no version of predictive_maintenance for .*/77: .* in production regardless"):
        model_versions.move_champion(store, MODEL, ARN.format(77))


def test_a_run_without_a_model(tracked: tuple[str, str]) -> None:
    store = client(tracked)
    empty = store.create_run(store.create_experiment("empty")).info.run_id
    with pytest.raises(JobError, match=rf"the MLflow run {empty} has no model"):
        model_versions.register(store, MODEL, empty, ARN.format(1))


def test_a_run_that_is_not_there(tracked: tuple[str, str]) -> None:
    with pytest.raises(JobError, match=r"MLflow at .* refused: .*not found.* it repeats nothing"):
        model_versions.register(client(tracked), MODEL, "0" * 32, ARN.format(1))


def test_no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(JobError, match="MLFLOW_TRACKING_URI is not set"):
        model_versions.client()


def client(tracked: tuple[str, str]) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracked[0])
