"""The model card against the limits of SageMaker's schema, as CloudFormation states them in its ModelCard."""

from __future__ import annotations

import json

import pytest

from include.models.config import load_model, model_names
from include.platform.storage import Run
from include.registry import model_card

RUN = Run("my-ml-bucket", "train_m", "manual__2026-01-01T00:00:00+00:00")
KNOWN = {
    "model_overview": {"model_creator", "model_artifact"},  # inside a model package no more is taken
    "intended_uses": {"purpose_of_model", "intended_uses"},
    "training_details": {"training_observations"},
    "additional_information": {"caveats_and_recommendations"},
}


@pytest.mark.parametrize("name", model_names())
def test_a_card_keeps_to_the_schema(name: str) -> None:
    model = load_model(name)
    card = model_card.content(
        model,
        RUN,
        artifact="s3://b/m.tar.gz",
        evaluation={"metrics": {"f1": 0.5, "auc": None}, "champion": None, "intervals": {"f1": (0.4, 0.6)}},
    )
    (evaluation,) = card.pop("evaluation_details")
    assert {section: set(content) for section, content in card.items()} == KNOWN
    assert all(
        len(text) <= 2048 for section in ("intended_uses", "additional_information") for text in card[section].values()
    )
    assert set(evaluation) == {"name", "datasets", "metric_groups"}
    assert evaluation["metric_groups"] == [
        {"name": "all", "metric_data": [{"name": "f1", "type": "number", "value": 0.5, "notes": "95 %: 0.4 to 0.6"}]}
    ]


def test_the_request_is_text_that_waits_for_review() -> None:
    request = model_card.request({"model_overview": {}})
    assert request["ModelCardStatus"] == "PendingReview"
    assert json.loads(request["ModelCardContent"]) == {"model_overview": {}}
