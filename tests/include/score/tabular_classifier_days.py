"""The days of tabular_classifier, on which scoring is tested. Tests that import this module are left out without it."""

from __future__ import annotations

from include.models.config import ModelConfig, load_model
from include.platform.environment import EXAMPLE, MlEnvironment
from include.platform.storage import daily_partition

MODEL, GROUP = load_model("tabular_classifier"), "tabular-classifier"
BUCKET = MlEnvironment.model_validate_json(EXAMPLE).bucket
DAYS_THERE = ["2026-01-05", "2026-01-06", "2026-01-07"]


def raw_key(day: str, model: ModelConfig = MODEL) -> str:
    """The key of the day's only file."""
    return f"{daily_partition(model.name, day)}{model.data.tables[model.daily_scoring.tables[0]].file}"
