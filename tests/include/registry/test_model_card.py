"""The model card is within the limits of SageMaker's schema, as CloudFormation states them in its ModelCard."""

from __future__ import annotations

import json

import pytest

from include.models.config import load_model, model_names
from include.models.config.decision import DecisionOutcome
from include.models.config.results import Segment
from include.platform.run_folders import Run
from include.registry import model_card

RUN = Run("my-ml-bucket", "train_m", "manual__2026-01-01T00:00:00+00:00")
DECISION: DecisionOutcome = {
    "threshold": 0.1,
    "asked": "lowest cost",
    "reached": True,
    "ours": {"precision": 0.5, "recall": 0.9, "alarms_per_1000": 30, "cost_per_1000": 20},
    "likeliest": {"precision": 0.9, "recall": 0.5, "alarms_per_1000": 10, "cost_per_1000": 50},
}
KNOWN = {
    "model_overview": {"model_creator", "model_artifact"},  # a model package accepts no more
    "intended_uses": {"purpose_of_model", "intended_uses"},
    "training_details": {"training_observations"},
    "additional_information": {"caveats_and_recommendations", "custom_details"},
}


@pytest.mark.parametrize("name", model_names())
def test_a_card_keeps_to_the_schema(name: str) -> None:
    model = load_model(name)
    card = model_card.content(
        model,
        RUN,
        artifact="s3://b/m.tar.gz",
        evaluation={
            "metrics": {"f1": 0.5, "auc": None, "brier": 0.1, "ece": 0.01},
            "champion": None,
            "intervals": {"f1": (0.4, 0.6)},
            "decision": DECISION,
            "data": "learned from 10 rows",
        },
        lineage={"git_commit": "0" * 40, "forced": "x" * 4000},
    )
    (evaluation,) = card.pop("evaluation_details")
    assert {section: set(content) for section, content in card.items()} == KNOWN
    assert all(
        len(text) <= 2048
        for section in ("intended_uses", "additional_information")
        for text in card[section].values()
        if isinstance(text, str)
    )
    details = card["additional_information"]["custom_details"]
    assert list(details) == ["Data", "Calibration", "Decision", "Comparison", "Lineage"]
    assert all(isinstance(text, str) and len(text) <= 1024 for text in details.values())
    assert "cost per 1,000 rows 20, against 50" in details["Decision"]
    assert details["Lineage"].startswith(f"git_commit {'0' * 40}")
    assert set(evaluation) == {"name", "datasets", "evaluation_observation", "metric_groups"}
    assert "NOT PASSED" in evaluation["evaluation_observation"]
    assert len(evaluation["evaluation_observation"]) <= 2096
    measured = evaluation["metric_groups"][0]["metric_data"]
    assert measured[0] == {"name": "f1", "type": "number", "value": 0.5, "notes": "95 %: 0.4 to 0.6"}


def test_slices_are_told_worst_first_and_protected_ones_with_how_differently_they_are_treated() -> None:
    model = load_model("abalone_age")
    model = model.model_copy(update={"slices": [one.model_copy(update={"protected": True}) for one in model.slices]})
    segments: list[Segment] = [
        {"segment": "F", "rows": 300, "enough": True, "metrics": {"mse": 5.5}, "intervals": {"mse": (4.5, 6.75)}},
        {"segment": "M", "rows": 250, "enough": True, "metrics": {"mse": 4.0}, "intervals": {}},
        {"segment": "I", "rows": 9, "enough": False, "metrics": {"mse": None}, "intervals": {}},
    ]
    card = model_card.content(
        model,
        RUN,
        artifact="s3://b/m.tar.gz",
        evaluation={
            "metrics": {"mse": 4.5, "mae_difference_sex": 0.75},
            "champion": None,
            "slices": {"sex": segments},
        },
        lineage={},
    )
    details = card["additional_information"]["custom_details"]  # type: ignore[index]
    assert details["Slice sex"] == (
        "F: mse 5.5 (4.5 to 6.75), 300 rows; M: mse 4, 250 rows; I: not measured, 9 rows, too few to be judged"
    )
    assert details["Fairness"] == "mae_difference_sex 0.75"


def test_the_request_is_text_that_waits_for_review() -> None:
    request = model_card.request({"model_overview": {}})
    assert request["ModelCardStatus"] == "PendingReview"
    assert json.loads(request["ModelCardContent"]) == {"model_overview": {}}
