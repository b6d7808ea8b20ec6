"""Training as SageMaker runs it: channels and hyperparameters in, a complete model.tar.gz out."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from include.jobs.serving.artifact import load_artifact
from include.jobs.train_model import objective, parse_hyperparameters
from include.models.config import load_model
from include.models.errors import JobError
from include.models.interface import Examples
from tests.include.jobs.job_programs import MODEL, Jobs, Trained


def test_it_prints_metrics_for_metric_definitions(trained: Trained) -> None:
    printed = dict(line.split("=") for line in trained.output.splitlines() if line.startswith("validation:"))
    assert 0.5 < float(printed["validation:macro_f1"]) <= 1
    assert 0 < float(printed["validation:log_loss"]) < 0.2


@pytest.mark.parametrize(("problem", "answers"), [("binary", [0.1, 0.9]), ("regression", [0.25, 1.0])])
def test_a_tuning_job_hears_its_objective_as_it_goes(
    problem: str, answers: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_model(MODEL).model_copy(update={"problem": problem})
    classes = ["0", "1"] if problem == "binary" else []
    validation = Examples(pl.DataFrame({"x": [1, 2]}), np.array([0, 1]), classes)
    metric, expected = {"binary": ("brier", 0.02), "regression": ("mse", 0.03125)}[problem]
    tell = objective(config, validation, f"validation:{metric}")
    assert tell is not None
    tell(np.array(answers))
    assert capsys.readouterr().out == f"validation:{metric}={expected:.6g}\n"
    assert objective(config, validation, None) is None


def test_metadata_says_what_was_trained_on_what(trained: Trained) -> None:
    metadata = json.loads((trained.model / "metadata.json").read_text())
    assert (metadata["model"], metadata["code_hash"]) == (MODEL, "abc123")
    of_run = json.loads((trained.model.parent / "output" / "training.json").read_text())
    assert of_run["run_id"] == "manual__1"
    assert of_run["fit_seconds"] > 0
    assert metadata["hyperparameters"]["num_boost_round"] == 40
    assert metadata["hyperparameters"]["num_leaves"] == 15
    assert 0 < metadata["fit"]["best_iteration"] <= 40
    assert metadata["validation_metrics"]["macro_f1"] > 0.5
    assert metadata["libraries"]["lightgbm"]


def test_the_artifact_holds_no_pickle_and_its_own_code(trained: Trained) -> None:
    names = {path.relative_to(trained.model).as_posix() for path in trained.model.rglob("*") if path.is_file()}
    assert {"model.txt", "feature_order.json", "drift_profile.json", "golden_requests.json", "metadata.json"} <= names
    assert {
        f"code/include/{name}" for name in ("jobs/serve.py", f"models/{MODEL}/estimator.py", "__init__.py")
    } <= names
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".joblib", ".pyc"))]


def test_golden_requests_are_answered_exactly_and_cover_the_classes(trained: Trained) -> None:
    loaded = load_artifact(trained.model)
    golden = json.loads((trained.model / "golden_requests.json").read_text())
    assert {entry["expected"]["label"] for entry in golden} == set(loaded.classes)
    rows = pl.DataFrame([entry["features"] for entry in golden], schema=dict.fromkeys(loaded.feature_order, pl.Float64))
    assert loaded.answers(rows).to_dicts() == [entry["expected"] for entry in golden]
    one_by_one = [loaded.answers(rows[index]).to_dicts()[0] for index in range(len(rows))]
    assert one_by_one == [entry["expected"] for entry in golden]


def test_the_drift_profile_describes_the_training_split(trained: Trained, features: Path) -> None:
    profile = json.loads((trained.model / "drift_profile.json").read_text())
    train = pl.read_parquet(features / "train" / "features.parquet")
    order = json.loads((trained.model / "feature_order.json").read_text())
    assert list(profile) == order == [column for column in train.columns if column in profile]
    volt = profile["volt_mean_24h"]
    assert volt["shares"] == pytest.approx([0.1] * 10, abs=0.01)
    counts, _ = np.histogram(train["volt_mean_24h"].drop_nulls(), [-np.inf, *volt["edges"], np.inf])
    assert counts.sum() == train["volt_mean_24h"].count()
    assert sum(profile["error1_count_24h"]["shares"]) == pytest.approx(1)
    assert profile["comp1_age_days"]["missing"] == train["comp1_age_days"].null_count() / len(train)


def test_the_same_data_gives_the_same_artifact(jobs: Jobs, trained: Trained, features: Path, tmp_path: Path) -> None:
    again = tmp_path / "model"
    done = jobs.run(
        "train_model",
        SM_MODEL_DIR=str(again),
        SM_OUTPUT_DATA_DIR=str(tmp_path / "output"),
        CODE_HASH="abc123",
        RUN_ID="manual__2",
        **environment(features, trained),
    )
    assert done.returncode == 0, done.stderr
    assert files_of(again) == files_of(trained.model)
    assert len({path.stat().st_mtime for path in (again, *again.rglob("*"))}) == 1, "times are included"


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def environment(features: Path, trained: Trained) -> dict[str, str]:
    hyperparameters = json.loads((trained.model.parent / "hyperparameters.json").read_text())
    return {
        "SM_HPS": json.dumps(hyperparameters),
        "SM_CHANNEL_TRAIN": str(features / "train"),
        "SM_CHANNEL_VALIDATION": str(features / "validation"),
    }


def test_parameters_metrics_and_files_are_tracked(trained: Trained) -> None:
    run_id = trained.mlflow_run_id
    database = trained.tracking_uri.removeprefix("sqlite:///")
    with sqlite3.connect(database) as connection:
        parameters = dict(connection.execute("select key, value from params where run_uuid = ?", [run_id]).fetchall())
        metrics = dict(
            connection.execute("select key, value from latest_metrics where run_uuid = ?", [run_id]).fetchall()
        )
    assert parameters["num_boost_round"] == "40"
    assert metrics["validation_macro_f1"] > 0.5
    assert list(Path(database).parent.glob(f"artifacts/{MODEL}/{run_id}/artifacts/model.txt"))


def test_a_tracking_server_that_never_answers_fails_and_delays_nothing(
    jobs: Jobs, trained: Trained, features: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        accepting = threading.Thread(target=lambda: [silent.accept() for _ in range(9)], daemon=True)
        accepting.start()
        began = time.monotonic()
        done = jobs.run(
            "train_model",
            SM_MODEL_DIR=str(tmp_path / "model"),
            SM_OUTPUT_DATA_DIR=str(tmp_path),
            MLFLOW_TRACKING_URI=f"http://127.0.0.1:{silent.getsockname()[1]}",
            MLFLOW_HTTP_REQUEST_TIMEOUT="2",
            **environment(features, trained),
        )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 60
    assert "WARNING: MLflow tracking at http://127.0.0.1" in done.stderr
    assert json.loads((tmp_path / "training.json").read_text())["mlflow_run_id"] is None


def test_hyperparameters_have_the_types_that_the_estimator_takes() -> None:
    config = load_model(MODEL)
    values = parse_hyperparameters(
        config, {"model": MODEL, "num_leaves": "31.0", "learning_rate": "5e-2", "_tuning_objective_metric": "x"}
    )
    assert values["num_leaves"] == 31
    assert isinstance(values["num_leaves"], int)
    assert values["learning_rate"] == 0.05
    assert values["seed"] == config.training.hyperparameters["seed"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rat": "1"}, "has no hyperparameter 'learning_rat'. Did you mean 'learning_rate'?"),
        ({"num_leaves": "many"}, "hyperparameter num_leaves is 'many'; allowed is a whole number from 2"),
        ({"num_leaves": "31.5"}, "hyperparameter num_leaves is 31.5; allowed is a whole number from 2"),
    ],
)
def test_bad_hyperparameters_are_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(JobError, match=message):
        parse_hyperparameters(load_model(MODEL), given)


def test_a_failure_is_one_message_and_no_traceback(jobs: Jobs, features: Path, tmp_path: Path) -> None:
    done = jobs.run(
        "train_model",
        SM_HPS=json.dumps({"model": MODEL, "num_leaves": "1"}),
        SM_CHANNEL_TRAIN=str(features / "train"),
        SM_CHANNEL_VALIDATION=str(features / "validation"),
        SM_MODEL_DIR=str(tmp_path),
    )
    assert done.returncode == 1
    assert "hyperparameter num_leaves is 1; allowed is a whole number from 2 to 131072." in done.stderr
    assert "Traceback" not in done.stderr


def test_features_that_are_not_there_are_named(jobs: Jobs, features: Path, tmp_path: Path) -> None:
    done = jobs.run(
        "train_model",
        SM_HPS=json.dumps({"model": MODEL}),
        SM_CHANNEL_TRAIN=str(tmp_path),
        SM_CHANNEL_VALIDATION=str(features / "validation"),
        SM_MODEL_DIR=str(tmp_path / "model"),
    )
    assert done.returncode == 1
    assert "features.parquet cannot be read" in done.stderr
    assert "look at that job" in done.stderr
