"""The evaluation job: metrics for gates, statistics for the registry, a report for people, and MLflow."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from include.models.config import load_model
from tests.include.jobs.job_programs import MODEL, Jobs, Trained


@pytest.fixture(scope="module")
def evaluation(
    jobs: Jobs, trained: Trained, features: Path, validated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    done = jobs.run(
        "evaluate_model",
        *places(trained.packed, features, validated, folder),
        *("--champion", trained.packed, "--training", trained.packed),
        MLFLOW_TRACKING_URI=trained.tracking_uri,
    )
    assert done.returncode == 0, done.stderr
    return folder


def places(artifact: Path, features: Path, validated: Path, evaluation: Path) -> list[object]:
    folders = {"artifact": artifact, "features": features, "validated": validated, "evaluation": evaluation}
    return ["--model", MODEL, *(part for name, folder in folders.items() for part in (f"--{name}", folder))]


def test_metrics_hold_every_gate_and_beat_the_baselines(evaluation: Path) -> None:
    text = (evaluation / "metrics.json").read_text()
    assert len(text) < 16_000
    found = json.loads(text)
    config = load_model(MODEL)
    assert {gate.measured for gate in config.gates} | {config.champion.metric} <= found["metrics"].keys()
    assert found["champion"].items() <= found["metrics"].items()
    assert set(found["baselines"]) == {"majority", "persistence"}
    for baseline in found["baselines"].values():
        assert baseline["macro_f1"] < found["metrics"]["macro_f1"] - 0.3
        assert baseline["failure_events_caught"] < found["metrics"]["failure_events_caught"]
    assert found["metrics"]["failure_events"] > 20
    assert found["suspects"] == []


def test_registry_statistics_agree_with_the_metrics(evaluation: Path) -> None:
    metrics = json.loads((evaluation / "metrics.json").read_text())
    figures = json.loads((evaluation / "evaluation.json").read_text())["multiclass_classification_metrics"]
    assert figures["accuracy"]["value"] == metrics["metrics"]["accuracy"]
    matrix = figures["confusion_matrix"]
    assert sum(sum(row.values()) for row in matrix.values()) == metrics["rows"]
    right = sum(matrix[name][name] for name in matrix)
    assert right / metrics["rows"] == pytest.approx(metrics["metrics"]["accuracy"])


def test_golden_requests_lie_beside_the_metrics(evaluation: Path, trained: Trained) -> None:
    golden = (evaluation / "golden_requests.json").read_bytes()
    assert golden == (trained.model / "golden_requests.json").read_bytes()
    order = json.loads((trained.model / "feature_order.json").read_text())
    entries = json.loads(golden)
    assert entries
    assert all(list(entry["features"]) == order for entry in entries)


def test_the_report_stands_alone_and_shows_everything(evaluation: Path) -> None:
    page = (evaluation / "report.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page), "the report must be self-contained"
    assert "<script" not in page
    for title in (
        "Confusion matrix",
        "Precision and recall",
        "Calibration",
        "Feature importance",
        "Permutation",
        "Contributions",
        "Score over time",
    ):
        assert f"<h3>{title}" in page
    assert page.count("<svg") == 8
    gates = re.search(r'<table class="numbers" id="gates">(.*?)</table>', page, re.DOTALL)
    assert gates
    assert gates[1].count("<tr>") == 3 + len(load_model(MODEL).gates), "a head, enough rows, the gates, the champion"
    assert "majority" in page
    assert "persistence" in page


def test_test_metrics_and_report_join_the_training_run(evaluation: Path, trained: Trained) -> None:
    run_id = json.loads((evaluation / "metrics.json").read_text())["mlflow_run_id"]
    database = trained.tracking_uri.removeprefix("sqlite:///")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select key, value from latest_metrics where run_uuid = ?", [run_id]).fetchall()
    tracked = dict(rows)
    assert tracked["test_macro_f1"] == json.loads((evaluation / "metrics.json").read_text())["metrics"]["macro_f1"]
    assert "validation_macro_f1" in tracked
    assert list(Path(database).parent.glob(f"artifacts/{MODEL}/{run_id}/artifacts/report.html"))


def test_without_a_champion_there_is_none(
    jobs: Jobs, trained: Trained, features: Path, validated: Path, tmp_path: Path
) -> None:
    done = jobs.run("evaluate_model", *places(trained.packed, features, validated, tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "metrics.json").read_text())["champion"] is None
    assert "No version is in production yet" in (tmp_path / "report.html").read_text()


def test_a_champion_with_other_features_is_not_compared_which_is_said(
    jobs: Jobs, trained: Trained, features: Path, validated: Path, tmp_path: Path
) -> None:
    old = Path(shutil.copytree(trained.model, tmp_path / "old"))
    order = json.loads((old / "feature_order.json").read_text())
    (old / "feature_order.json").write_text(json.dumps(["noise_mean_3h", *order[1:]]))
    (tmp_path / "champion").mkdir()
    shutil.make_archive(str(tmp_path / "champion" / "model"), "gztar", old)
    done = jobs.run(
        "evaluate_model",
        *places(trained.packed, features, validated, tmp_path / "out"),
        *("--champion", tmp_path / "champion", "--versions", "4"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["champion"] is None
    assert (
        "needs the feature noise_mean_3h, which this feature table does not have" in found["production"][0]["why_not"]
    )
    assert "Not compared with version 4" in (tmp_path / "out" / "report.html").read_text()


def test_a_damaged_archive_is_named(jobs: Jobs, features: Path, validated: Path, tmp_path: Path) -> None:
    (tmp_path / "model.tar.gz").write_bytes(b"\x1f\x8b no archive")
    done = jobs.run("evaluate_model", *places(tmp_path, features, validated, tmp_path / "out"))
    assert done.returncode == 1
    assert "model.tar.gz cannot be unpacked" in done.stderr
    assert "Traceback" not in done.stderr
