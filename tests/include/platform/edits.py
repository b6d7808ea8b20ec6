"""Edits of a copy of the job code and the models, and what they change of what results are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from include.models.config import load_model
from include.platform.code_bundle import ROOT
from include.platform.code_parts import Parts

MODEL = "predictive_maintenance"

# for each section of model.yaml: a text that occurs once, and its replacement
EDITS = {
    "description": ("Which component", "What component"),
    "owner": ("owner: ml-platform", "owner: somebody"),
    "card": ("Planning inspections", "Planning visits"),
    "schedule": ('score: "0 0 * * *"', 'score: "0 1 * * *"'),
    "data": ("every_hours: 1", "every_hours: 2"),
    "split": ("test_days: 152", "test_days: 151"),
    "training": ("num_leaves: 31", "num_leaves: 30"),
    "processing": ("ml.m5.xlarge", "ml.m5.2xlarge"),
    "gates": ("metric: macro_f1, min: 0.90", "metric: macro_f1, min: 0.91"),
    "min_positives": ("min_positives: 40", "min_positives: 41"),
    "champion": ("margin: 0.005", "margin: 0.006"),
    "serving": ("p99_latency_ms: 500", "p99_latency_ms: 400"),
    "scoring": ("look_back_hours: 24", "look_back_hours: 48"),
    "monitoring": ("when: on_drift", "when: never"),
    "code": ('meaning: "trees, at most"', 'meaning: "the most trees"'),
    "features": ("split:   ", "features:\n  exclude: []\nsplit:   "),
    "sinks": ("split:   ", "sinks:\n  kafka: {topic: scores}\nsplit:   "),
    "personal_data": ("problem: multi", "personal_data: true\nproblem: multi"),
    "quote_values": ("problem: multi", "quote_values: false\nproblem: multi"),
    "slices": ("bands: [5, 10, 15]", "bands: [5, 10]"),
    "calibration": ("calibration: beta", "calibration: platt"),
    "decision": ("false_alarm: 1", "false_alarm: 2"),
    "explain": ("reasons: 3", "reasons: 2"),
    "labels": ("horizon_hours: 24", "horizon_hours: 48"),
    "challenger": ("split:   ", "challenger: true\nsplit:   "),
    "tracking": ("split:   ", "tracking: {model_versions: true}\nsplit:   "),
}


def edit_section(root: Path, section: str) -> None:
    edit_model_yaml(root, *EDITS[section])


def edit_model_yaml(root: Path, old: str, new: str, model: str = MODEL) -> None:
    file = root / "include" / "models" / model / "model.yaml"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


@cache
def _as_it_is(parts_of_models: Callable[[Path], dict[str, Parts]]) -> dict[str, Parts]:
    return parts_of_models(ROOT)


def changed_parts(
    root: Path, parts_of_models: Callable[[Path], dict[str, Parts]], edit: Callable[[], object]
) -> dict[str, set[str]]:
    """The parts that an edit changes, by model; only models with changes."""
    before = _as_it_is(parts_of_models)
    edit()
    load_model.cache_clear()
    after = parts_of_models(root)
    assert before.keys() == after.keys()
    found = {model: {part for part in before[model] if before[model][part] != after[model][part]} for model in before}
    return {model: parts for model, parts in found.items() if parts}
