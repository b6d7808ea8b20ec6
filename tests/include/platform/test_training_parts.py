"""What a training depends on: which edit makes which model due for training, and the message about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.platform.training_parts import SECTIONS, training_parts_of_models
from tests.include.platform.edits import EDITS, MODEL, changed_parts, edit_model_yaml, edit_section

MODELS = {"abalone_age", "electricity", "machine_downtime", MODEL, "tabular_classifier"}
# ``training`` is known when a training is requested; the edit of ``features`` changes no value, that of ``code`` only
# texts for people
READ = {
    "data",
    "split",
    "slices",
    "gates",
    "min_positives",
    "champion",
    "calibration",
    "decision",
    "explain",
    "tracking",
}
UNREAD = EDITS.keys() - READ


def changed(root: Path, edit: Callable[[], object]) -> dict[str, set[str]]:
    return changed_parts(root, training_parts_of_models, edit)


@pytest.mark.parametrize("section", EDITS)
def test_a_section_of_model_yaml_counts_if_training_reads_it(root: Path, section: str) -> None:
    found = changed(root, lambda: edit_section(root, section))
    assert found == ({} if section in UNREAD else {MODEL: {f"model.yaml ({section})"}})


@pytest.mark.parametrize(
    ("model", "section", "old", "new"),
    [
        ("tabular_classifier", "features", "TWF, HDF, PWF", "TWF, HDF"),
        (MODEL, "code", "type: integer, default: 300", "type: integer, default: 301"),
    ],
)
def test_so_do_sections_of_which_that_edit_says_nothing(
    root: Path, model: str, section: str, old: str, new: str
) -> None:
    assert section in SECTIONS
    found = changed(root, lambda: edit_model_yaml(root, old, new, model))
    assert found == {model: {f"model.yaml ({section})"}}


@pytest.mark.parametrize(
    ("path", "models", "part"),
    [
        ("jobs/train_model.py", MODELS, "code"),
        ("jobs/validation/suites.py", MODELS, "code"),
        ("jobs/evaluation/metrics.py", MODELS, "code"),
        ("jobs/serve.py", MODELS, "code"),
        ("models/raw/reader.py", MODELS, "code"),
        ("models/tabular/estimator.py", MODELS, "code"),  # the single rule that gates may be over is one of its trees
        ("jobs/merge_shards.py", MODELS, "code of several machines"),
        (f"models/{MODEL}/features.py", {MODEL}, "code of the features"),
        (f"models/{MODEL}/estimator.py", {MODEL}, "code of the estimator"),
        (f"models/{MODEL}/evaluation.py", {MODEL}, "code of the evaluation"),
        (f"models/{MODEL}/expectations/failures.json", {MODEL}, "expectations"),
        (f"models/{MODEL}/expectations/features.json", {MODEL}, "expectations"),
        (f"models/{MODEL}/simulate.py", set(), ""),
        ("jobs/score_day.py", set(), ""),
        ("jobs/score_batch.py", set(), ""),
        ("jobs/validate_scores.py", set(), ""),
        ("jobs/sinks/kafka.py", set(), ""),
        ("jobs/split_days.py", set(), ""),
        ("jobs/templates/evaluation.html.jinja", set(), ""),
        ("models/tabular/new_model.py", set(), ""),
    ],
)
def test_a_file_counts_if_training_reads_it(root: Path, path: str, models: set[str], part: str) -> None:
    file = root / "include" / path
    text = file.read_text()
    assert changed(root, lambda: file.write_text(f"{text}\n")) == {model: {part} for model in models}
