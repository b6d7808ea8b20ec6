"""The schema for editors is up to date, accepts the shipped models, and refuses what an editor can detect as wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from include.models.config import MODELS_FOLDER, model_names
from include.models.config.json_schema import EDITOR_LINE, FILE, main

MODEL = "predictive_maintenance"
SCHEMA = Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))


def content(name: str) -> Any:
    """The document as an editor sees it: moments are texts."""
    read = yaml.safe_load((MODELS_FOLDER / name / "model.yaml").read_text(encoding="utf-8"))
    return json.loads(json.dumps(read, default=str))


def test_it_is_a_schema_and_up_to_date() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)
    assert main(["--check"]) == 0


def test_a_stale_one_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("include.models.config.json_schema.FILE", tmp_path / "model.schema.json")
    assert main(["--check"]) == 1
    assert "is stale: python -m include.models.config.json_schema writes it" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0


@pytest.mark.parametrize("name", model_names())
def test_what_is_shipped_is_taken_and_names_the_schema(name: str) -> None:
    assert [error.message for error in SCHEMA.iter_errors(content(name))] == []
    text = (MODELS_FOLDER / name / "model.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"{EDITOR_LINE}\n")
    assert (MODELS_FOLDER / name / EDITOR_LINE.partition("$schema=")[2]).resolve() == FILE


BROKEN: list[tuple[str, Any]] = [
    ("name", "Predictive-Maintenance"),
    ("description", ""),
    ("owner", 7),
    ("problem", "multi-class"),
    ("shedule", {}),
    ("schedule.train", "Mondays"),
    ("schedule.score", "0 * * * *"),
    ("data.tables", {}),
    ("data.tables.errors.file", "PdM errors.xlsx"),
    ("data.tables.errors.colums", {}),
    ("data.tables.errors.columns.errorID", "text"),
    ("data.tables.errors.columns.errorID", {"kind": "string", "heading": "x"}),
    ("data.tables.errors.max_rejected_share", 2),
    ("data.key", []),
    ("data.classes", [0, 1]),
    ("split.kind", "sideways"),
    ("split.test_days", 0),
    ("split.test_share", 0.2),
    ("training.instance_type", "m5.large"),
    ("training.instance_type", "ml.m5.lrage"),
    ("training.max_runtime_minutes", "60"),
    ("training.hyperparameters.num_leaves", [31]),
    ("training.tuning.strategy", "Guess"),
    ("training.tuning.objective.direction", "up"),
    ("training.tuning.max_jobs", 0),
    ("training.tuning.ranges", {}),
    ("training.tuning.ranges.num_leaves.scale", "log"),
    ("gates", []),
    ("gates.0.maximum", 1),
    ("gates.0.min", "high"),
    ("champion.direction", "more"),
    ("champion.margin", -1),
    ("serving.mode", "cloud"),
    ("serving.deployment.strategy", "blue"),
    ("serving.data_capture_percent", 120),
    ("serving.serverless", {"memory_mb": 2000}),
    ("serving.alarms.p99_latency", 500),
    ("scoring.tables", []),
    ("scoring.wait_hours", -1),
    ("monitoring.max_psi", 0),
    ("monitoring.min_rows", 5),
    ("sinks.kafka.topic", "a topic"),
    ("sinks", {"kafka": {}}),
    ("code.estimator.library", "xgboost"),
    ("code.estimator.hyperparameters", {"alpha": {"type": "float", "default": 1, "meaning": "x"}}),
]


@pytest.mark.parametrize(("path", "value"), BROKEN, ids=[f"{path}: {value}" for path, value in BROKEN])
def test_what_is_broken_is_refused(path: str, value: Any) -> None:
    broken = content(MODEL)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = broken
    for part in way:
        place = place[part] if isinstance(part, int) else place.setdefault(part, {})
    place[last] = value
    assert list(SCHEMA.iter_errors(broken))


@pytest.mark.parametrize("key", ["name", "problem", "data", "split", "training", "gates", "champion", "serving"])
def test_what_is_missing_is_seen(key: str) -> None:
    broken = content(MODEL)
    del broken[key]
    assert list(SCHEMA.iter_errors(broken))
