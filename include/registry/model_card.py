"""The model card of a registered version: what it is for, what to be careful about, what it learned from and how well.

Form: the JSON schema of SageMaker Model Cards, as far as a card inside a model package goes (the overview holds no more
than who made it and its artifact).
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-cards.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from include.models.config import ModelConfig
from include.models.config.results import Evaluation
from include.platform.storage import Run


def content(model: ModelConfig, run: Run, *, artifact: str, evaluation: Evaluation) -> dict[str, Any]:
    """A version's card.

    Args:
        artifact: S3 URI of model.tar.gz.
        evaluation: of the test split; metrics that could not be measured are left out.
    """
    uses = {"purpose_of_model": model.description, "intended_uses": model.card.intended_uses}
    measured: list[dict[str, Any]] = []
    for name, value in evaluation["metrics"].items():
        if value is not None:
            ends = evaluation.get("intervals", {}).get(name)
            notes = {"notes": f"95 %: {ends[0]:.4g} to {ends[1]:.4g}"} if ends else {}
            measured.append({"name": name, "type": "number", "value": value, **notes})
    card: dict[str, Any] = {
        "model_overview": {"model_creator": model.owner, "model_artifact": [artifact]},
        "intended_uses": {key: text for key, text in uses.items() if text},
        "training_details": {"training_observations": f"Trained by {run.dag_id}, run {run.run_id}."},
        "evaluation_details": [
            {
                "name": "test split",
                "datasets": [run.data_manifest],
                "metric_groups": [{"name": "all", "metric_data": measured}],
            }
        ],
    }
    if model.card.caveats:
        card["additional_information"] = {"caveats_and_recommendations": model.card.caveats}
    return card


def request(card: Mapping[str, Any]) -> dict[str, str]:
    """The member ``ModelCard`` of CreateModelPackage."""
    return {"ModelCardContent": json.dumps(card), "ModelCardStatus": "PendingReview"}
