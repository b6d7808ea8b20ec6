"""The estimated cost of a training."""

from __future__ import annotations

from typing import Any

import pytest

from include.models.config import load_model
from include.platform.environment import EXAMPLE, parse_ml_environment
from include.train.costs import estimate

MODEL = load_model("electricity")
ENVIRONMENT = parse_ml_environment(EXAMPLE).model_copy(update={"region": "us-east-1"})
HOUR = 3600.0
LONGEST = MODEL.processing.max_runtime_minutes / 60


def spent(**seconds: float) -> Any:
    return {task: {"task_id": task, "seconds": number} for task, number in seconds.items()}


@pytest.mark.parametrize(
    ("given", "known", "hours", "how"),
    [
        ({}, {"prepare_data": HOUR, "train_model": HOUR, "evaluate_model": HOUR}, 3, "as in its last run"),
        ({"tune": True}, {"prepare_data": HOUR, "train_model": HOUR, "evaluate_model": HOUR}, 10, "as in its last run"),
        ({}, {"prepare_data": HOUR, "evaluate_model": HOUR}, 2.5, "train_model at the limit max_runtime_minutes"),
        ({}, {"prepare_data": HOUR, "train_model": HOUR}, 2 + LONGEST, "evaluate_model at the limit"),
        ({"tune": True}, {"prepare_data": HOUR, "evaluate_model": HOUR}, 6, "tune_model at the limit"),
        (
            {"tune": True},
            {"prepare_data": HOUR, "train_model": HOUR, "tune_model": 2 * HOUR, "evaluate_model": HOUR},
            4,
            "as in its last run",
        ),
        (
            {"shared": True},
            dict.fromkeys(("cut_data", "prepare_shards", "merge_shards", "train_model", "evaluate_model"), HOUR),
            5,
            "as in its last run",
        ),
    ],
)
def test_estimates(given: dict[str, Any], known: dict[str, float], hours: float, how: str) -> None:
    asked = {"tune": False, "instance_type": None, "shared": False} | given
    found = estimate(MODEL, ENVIRONMENT, spent(**known), **asked)
    assert found["usd"] == pytest.approx(hours * 0.115, abs=0.001)
    assert how in found["how"]


@pytest.mark.parametrize(
    ("types", "form", "hours"),
    [
        ({"processing": "ml.m5.xlarge"}, None, 2 + 1 + 2),  # twice the price
        ({"training": "ml.m5.xlarge"}, None, 1 + 2 + 1),
        ({"training": "ml.m5.xlarge"}, "ml.m5.large", 3),  # the form overrides it
        ({}, "ml.m5.xlarge", 4),
    ],
)
def test_jobs_cost_what_the_instances_they_run_on_cost(types: dict[str, str], form: str | None, hours: float) -> None:
    environment = ENVIRONMENT.model_copy(update={"instance_types": types})
    known = spent(prepare_data=HOUR, train_model=HOUR, evaluate_model=HOUR)
    found = estimate(MODEL, environment, known, tune=False, instance_type=form, shared=False)
    assert found["usd"] == pytest.approx(hours * 0.115, abs=0.001)


def test_an_unknown_price_is_said() -> None:
    found = estimate(MODEL, ENVIRONMENT, {}, tune=False, instance_type="ml.p5.48xlarge", shared=False)
    assert found == {"usd": "unknown", "how": "the price of ml.p5.48xlarge in us-east-1 is unknown"}
