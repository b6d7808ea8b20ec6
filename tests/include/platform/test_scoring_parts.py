"""What a day's scores depend on: which edit makes which model's scored days due, and the message about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from include.models.config import ModelConfig, load_model
from include.platform.scoring_parts import scoring_parts_of_models
from tests.include.platform.edits import EDITS, MODEL, changed_parts, edit_section


def changed(root: Path, edit: Callable[[], object]) -> dict[str, set[str]]:
    return changed_parts(root, scoring_parts_of_models, edit)


# the sections that scoring reads; the others do not affect scored days
READ = {"data", "scoring"}


@pytest.mark.parametrize("section", EDITS)
def test_a_section_of_model_yaml_counts_if_scoring_reads_it(root: Path, section: str) -> None:
    found = changed(root, lambda: edit_section(root, section))
    assert found == ({MODEL: {f"model.yaml ({section})"}} if section in READ else {})


def test_every_section_is_edited() -> None:
    assert EDITS.keys() == ModelConfig.model_fields.keys() - {"name", "problem", "budget"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("instance_count: 2           #", "instance_count: 4           #"),
        ("scoring:\n", "scoring:\n  one_job_mb: 1\n"),
        ("scoring:\n", "scoring:\n  # what it is for\n"),
    ],
)
def test_how_and_when_it_is_done_is_not_part_of_the_scores(root: Path, old: str, new: str) -> None:
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
    before = scoring_parts_of_models(root)
    (root / "include" / "models" / "electricity" / "model.yaml").write_text("name: [")
    load_model.cache_clear()
    after = scoring_parts_of_models(root)
    assert after == {model: parts for model, parts in before.items() if model != "electricity"}
