"""The report's list of differences from production."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from include.jobs.evaluation.changes import Change, changes, gates_in, gates_of
from include.jobs.serving.artifact import LoadedModel
from include.models.config import Gate, load_model

CONFIG = load_model("tabular_classifier")


def loaded(features: list[str], **changed: Any) -> LoadedModel:
    metadata: Any = {
        "rows": {"train": 7000},
        "hyperparameters": {"rounds": 100, "seed": 1},
        "code_hash": "0123456789ab",
        "git_commit": "abcdef0123456789",
        "learned_from": {"first": "2015-01-01 06:00:00", "last": "2015-03-31", "rows": 8000},
        **changed,
    }
    return LoadedModel(metadata, features, None, None)  # type: ignore[arg-type]


def test_nothing_has_changed() -> None:
    model = loaded(["a", "b"])
    assert changes(CONFIG, model, model, gates_of(CONFIG)) == []


def test_data_code_hyperparameters_and_features() -> None:
    before = loaded(["a", "b"], git_commit=None)
    later = {"first": "2015-02-01", "last": "2015-04-30", "rows": 9000}
    now = loaded(["b", "c"], rows={"train": 8000}, hyperparameters={"rounds": 200, "seed": 1}, learned_from=later)
    assert changes(CONFIG, now, before, None) == [
        Change("training rows", "7,000", "8,000"),
        Change("data", "2015-01-01 to 2015-03-31", "2015-02-01 to 2015-04-30"),
        Change("commit", "unknown", "abcdef012345"),
        Change("rounds", "100", "200"),
        Change("features", "1 gone: a", "1 new: c"),
    ]


def test_gates_are_those_of_the_versions_own_model_yaml() -> None:
    model = loaded(["a"])
    edited = CONFIG.model_copy(update={"gates": [Gate(metric="roc_auc", min=0.5)]})
    found = changes(edited, model, model, gates_of(CONFIG))
    assert Change("gate of roc_auc", gates_of(CONFIG).get("gate of roc_auc", "–"), "≥ 0.5") in found
    assert all(one.what.startswith("gate of ") for one in found)


def test_gates_of_an_artifact_that_cannot_be_read(tmp_path: Path) -> None:
    assert gates_in(tmp_path, CONFIG.name) is None
