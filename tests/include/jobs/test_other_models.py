"""A new model is a folder: a regression and a binary classifier of a few lines go through every job unchanged."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from include.jobs.serving.payload import Columns, parse
from tests.include.jobs.job_programs import Jobs

MODEL_YAML = """
name: toy
description: A straight line.
owner: tests
problem: {problem}
data:
  tables:
    points: {{file: points.csv, columns: {{id: integer, time: timestamp, x: number, y: {kind}}}, key: [id]}}
  key: [id]
  time: time
  label: y
  classes: {classes}
split: {{test_days: 20, validation_days: 20}}
training:
  instance_type: ml.m5.large
  hyperparameters: {{ridge: 0.001}}
processing: {{instance_type: ml.m5.large}}
gates: [{{metric: {metric}, {bound}}}]
champion: {{metric: {metric}, direction: {direction}, margin: 0.1}}
serving: {{instance_type: ml.m5.large}}
code:
  features: {{columns: [x, x_squared]}}
  estimator:
    hyperparameters: {{ridge: {{type: number, default: 0.001, min: 0, meaning: how much weights are held down}}}}
"""
FEATURES = """
import polars as pl

def build_features(tables, with_label=True):
    return tables["points"].select("id", "time", "x", (pl.col("x") ** 2).alias("x_squared"), *["y"] * with_label)
"""
ESTIMATOR = """
import json
import numpy as np

def _design(features):
    return np.column_stack([np.ones(len(features)), features.fill_null(0).to_numpy()])

def fit(train, validation, hyperparameters):
    a = _design(train.features)
    return np.linalg.solve(a.T @ a + hyperparameters["ridge"] * np.eye(a.shape[1]), a.T @ train.target)

def predict(model, features):
    values = _design(features) @ model
    if {binary}:
        p = np.clip(values, 0.01, 0.99)
        return np.column_stack([1 - p, p])
    return values

def save(model, folder):
    (folder / "weights.json").write_text(json.dumps(model.tolist()))

def load(folder):
    return np.array(json.loads((folder / "weights.json").read_text()))

def describe(model):
    return {{"weights": len(model)}}

def importance(model):
    return dict(zip(["x", "x_squared"], np.abs(model[1:]).tolist()))
"""


@dataclass(frozen=True)
class Toy:
    """The files of one toy model, and the jobs that run it."""

    jobs: Jobs
    home: Path

    def run(self, name: str, *arguments: object, **variables: str) -> str:
        done = self.jobs.run(name, *arguments, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(params=["regression", "binary"])
def toy(request: pytest.FixtureRequest, jobs: Jobs, tmp_path: Path) -> Toy:
    binary = request.param == "binary"
    code = Path(shutil.copytree(jobs.code, tmp_path / "code"))
    folder = code / "include" / "models" / "toy"
    folder.mkdir()
    rule = ("accuracy", "min: 0.8", "maximize") if binary else ("mse", "max: 0.1", "minimize")
    kind, classes = ("string", '["no", "yes"]') if binary else ("number", "null")
    words = dict(zip(("metric", "bound", "direction"), rule, strict=True)) | {"kind": kind, "classes": classes}
    (folder / "model.yaml").write_text(MODEL_YAML.format(problem=request.param, **words))
    (folder / "features.py").write_text(FEATURES)
    (folder / "estimator.py").write_text(ESTIMATOR.format(binary=binary))
    (folder / "__init__.py").touch()
    x = np.random.default_rng(1).normal(0, 1, 800)
    y = pl.Series("y", np.where(x > 0, "yes", "no")) if binary else pl.Series("y", 3 * x + 1)
    start = datetime.fromisoformat("2020-01-01")
    times = [start + timedelta(hours=3 * index) for index in range(len(x))]
    points = pl.DataFrame({"id": range(len(x)), "time": times, "x": x}).with_columns(y)
    (tmp_path / "validated").mkdir()
    points.write_parquet(tmp_path / "validated" / "points.parquet")
    return Toy(Jobs(code), tmp_path)


def mean_of_test(home: Path) -> float:
    target = pl.read_parquet(home / "features/test/**/*.parquet")["y"].mean()
    assert isinstance(target, float)
    return target


def test_it_is_built_trained_evaluated_and_answers(toy: Toy) -> None:
    home, binary = toy.home, "binary" in (toy.home / "code/include/models/toy/model.yaml").read_text()
    common = ("--model", "toy", "--validated", home / "validated", "--features", home / "features")
    toy.run("build_features", *common)
    channels = {f"SM_CHANNEL_{name.upper()}": str(home / "features" / name) for name in ("train", "validation")}
    channels["SM_OUTPUT_DATA_DIR"] = str(home / "output")
    hyperparameters = json.dumps({"model": "toy"})
    printed = toy.run("train_model", SM_HPS=hyperparameters, SM_MODEL_DIR=str(home / "model"), **channels)
    assert ("validation:accuracy=" if binary else "validation:mse=") in printed
    assert not (home / "model/code/include/models/predictive_maintenance").exists()
    (home / "packed").mkdir()
    shutil.make_archive(str(home / "packed/model"), "gztar", home / "model")
    places = ("--artifact", home / "packed", "--champion", home / "packed", "--evaluation", home / "evaluation")
    toy.run("evaluate_model", *common, *places)
    found = json.loads((home / "evaluation/metrics.json").read_text())
    metric = "accuracy" if binary else "mse"
    assert found["champion"][metric] == found["metrics"][metric]
    assert (found["metrics"][metric] > 0.8) if binary else (found["metrics"][metric] < 0.01)
    mean = json.loads((home / "evaluation/reference.json").read_text()).get("answer_mean")
    assert mean is None if binary else mean == pytest.approx(mean_of_test(home), abs=0.01), "a day's mean is beside it"
    page = (home / "evaluation/report.html").read_text()
    assert "All 3 gates hold" in page
    golden = json.loads((home / "model/golden_requests.json").read_text())
    features = json.loads((home / "model/feature_order.json").read_text())
    assert features == ["x", "x_squared"]
    row = parse(json.dumps(golden[0]["features"]).encode(), "application/json", Columns(features))
    value = row["x"][0]
    if binary:
        assert golden[0]["expected"]["label"] == ("yes" if value > 0 else "no")
    else:
        assert golden[0]["expected"]["value"] == pytest.approx(3 * value + 1, abs=0.01)
