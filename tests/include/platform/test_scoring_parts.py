"""What a day's scores are made of: which edit makes scored days due, of which model, and what is said of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from include.models.config import ModelConfig, load_model
from include.platform.code_bundle import ROOT, code_files
from include.platform.scoring_parts import parts_of_models

MODEL = "predictive_maintenance"
Edit = Callable[[Path], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, file in code_files(ROOT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / name)
    return tmp_path


def changed(root: Path, edit: Callable[[], object]) -> dict[str, set[str]]:
    """The parts that an edit changes, by model, where it changes any."""
    before = parts_of_models(root)
    edit()
    load_model.cache_clear()
    after = parts_of_models(root)
    assert before.keys() == after.keys()
    found = {model: {part for part in before[model] if before[model][part] != after[model][part]} for model in before}
    return {model: parts for model, parts in found.items() if parts}


# of each section of model.yaml an edit, and what days are due for then; None: they stay as they are
SECTIONS: dict[str, tuple[str, str, str | None]] = {
    "description": ("Which component", "What component", None),
    "owner": ("owner: ml-platform", "owner: somebody", None),
    "card": ("Planning inspections", "Planning visits", None),
    "schedule": ('score: "0 0 * * *"', 'score: "0 1 * * *"', None),
    "data": ("every_hours: 1", "every_hours: 2", "model.yaml (data)"),
    "split": ("test_days: 152", "test_days: 151", None),
    "training": ("num_leaves: 31", "num_leaves: 30", None),
    "processing": ("ml.m5.xlarge", "ml.m5.2xlarge", None),
    "gates": ("metric: macro_f1, min: 0.90", "metric: macro_f1, min: 0.91", None),
    "min_positives": ("min_positives: 40", "min_positives: 41", None),
    "champion": ("margin: 0.005", "margin: 0.006", None),
    "serving": ("p99_latency_ms: 500", "p99_latency_ms: 400", None),
    "scoring": ("look_back_hours: 24", "look_back_hours: 48", "model.yaml (scoring)"),
    "monitoring": ("retrain: true", "retrain: false", None),
    "code": ('meaning: "trees, at most"', 'meaning: "the most trees"', None),
    "features": ("split:   ", "features:\n  exclude: []\nsplit:   ", None),
    "sinks": ("split:   ", "sinks:\n  kafka: {topic: scores}\nsplit:   ", None),
    "tracking": ("split:   ", "tracking: {model_versions: true}\nsplit:   ", None),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_of_model_yaml_counts_if_scoring_reads_it(root: Path, section: str) -> None:
    file = root / "include" / "models" / MODEL / "model.yaml"
    old, new, why = SECTIONS[section]
    text = file.read_text()
    assert text.count(old) == 1
    found = changed(root, lambda: file.write_text(text.replace(old, new)))
    assert found == ({MODEL: {why}} if why else {})


def test_every_section_is_edited() -> None:
    assert SECTIONS.keys() == ModelConfig.model_fields.keys() - {"name", "problem", "budget"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("instance_count: 2           #", "instance_count: 4           #"),
        ("scoring:\n", "scoring:\n  one_job_mb: 1\n"),
        ("scoring:\n", "scoring:\n  # what it is for\n"),
    ],
)
def test_how_and_when_it_is_done_is_no_part_of_the_scores(root: Path, old: str, new: str) -> None:
    file = root / "include" / "models" / MODEL / "model.yaml"
    text = file.read_text()
    assert old in text
    assert changed(root, lambda: file.write_text(text.replace(old, new))) == {}


ALL = {"abalone_age", "electricity", "machine_downtime", MODEL, "tabular_classifier"}


@pytest.mark.parametrize(
    ("path", "models", "part"),
    [
        ("jobs/validate_raw_data.py", ALL, "code"),
        ("jobs/daily/day_features.py", ALL, "code"),
        ("jobs/daily/answering.py", ALL, "code"),
        ("jobs/validation/suites.py", ALL, "code"),
        ("jobs/features/drift_profile.py", ALL, "code"),
        ("models/raw/reader.py", ALL, "code"),
        ("models/tabular/features.py", ALL, "code"),
        ("models/config/kinds.py", ALL, "code"),
        (f"models/{MODEL}/features.py", {MODEL}, "code of the features"),
        (f"models/{MODEL}/expectations/telemetry.json", {MODEL}, "expectations"),
        (f"models/{MODEL}/expectations/telemetry_continuity.json", {MODEL}, "expectations"),
        ("jobs/train_model.py", set(), ""),
        ("jobs/evaluation/metrics.py", set(), ""),
        ("jobs/sinks/kafka.py", set(), ""),
        ("jobs/mlflow/tracking.py", set(), ""),
        ("jobs/templates/validation.html.jinja", set(), ""),
        (f"models/{MODEL}/estimator.py", set(), ""),
        (f"models/{MODEL}/evaluation.py", set(), ""),
        (f"models/{MODEL}/simulate.py", set(), ""),
        (f"models/{MODEL}/expectations/failures.json", set(), ""),
        (f"models/{MODEL}/expectations/features.json", set(), ""),
        ("models/electricity/features.py", {"electricity"}, "code of the features"),
    ],
)
def test_a_folder_counts_if_scoring_reads_it(root: Path, path: str, models: set[str], part: str) -> None:
    file = root / "include" / path
    text = file.read_text()
    found = changed(root, lambda: file.write_text(f"{text}\n"))
    assert found == {model: {part} for model in models}


def test_a_broken_model_leaves_the_others_as_they_are(root: Path) -> None:
    before = parts_of_models(root)
    (root / "include" / "models" / "electricity" / "model.yaml").write_text("name: [")
    load_model.cache_clear()
    after = parts_of_models(root)
    assert after == {model: parts for model, parts in before.items() if model != "electricity"}
