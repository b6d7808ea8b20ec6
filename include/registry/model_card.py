"""The model card of a registered version: its purpose, its limits, its training data and its quality.

Format: the JSON schema of SageMaker Model Cards, restricted to what a card inside a model package may contain (its
overview has only the creator and the artifact).
Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-cards.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from include.models.config import ModelConfig
from include.models.config.decision import told
from include.models.config.judging import (
    Verdict,
    explain,
    judge,
    told_of_fairness,
    told_of_refit,
    told_of_segments,
    told_of_suspects,
)
from include.models.config.results import Evaluation
from include.platform.run_folders import Run

LONGEST_DETAIL, LONGEST_OBSERVATION = 1024, 2096  # characters
LINEAGE = ("git_commit", "code_hash", "training_job", "data_sha256", "triggered_by", "started_by", "forced")


def content(
    model: ModelConfig, run: Run, *, artifact: str, evaluation: Evaluation, lineage: Mapping[str, object]
) -> dict[str, object]:
    """A version's card, as the reviewer signs it off.

    Args:
        artifact: S3 URI of model.tar.gz.
        evaluation: of the test split; metrics that could not be measured are omitted.
        lineage: the version's lineage, by name.
    """
    verdicts = judge(model, evaluation, forced="forced" in lineage)
    uses = {"purpose_of_model": model.description, "intended_uses": model.card.intended_uses}
    measured: list[dict[str, object]] = []
    for name, value in evaluation["metrics"].items():
        if value is not None:
            ends = evaluation.get("intervals", {}).get(name)
            notes = {"notes": f"95 %: {ends[0]:.4g} to {ends[1]:.4g}"} if ends else {}
            measured.append({"name": name, "type": "number", "value": value, **notes})
    details = {
        title: _cut(text, LONGEST_DETAIL) for title, text in _details(model, evaluation, verdicts, lineage).items()
    }
    caveats = {"caveats_and_recommendations": model.card.caveats} if model.card.caveats else {}
    return {
        "model_overview": {"model_creator": model.owner, "model_artifact": [artifact]},
        "intended_uses": {key: text for key, text in uses.items() if text},
        "training_details": {"training_observations": f"Trained by {run.dag_id}, run {run.run_id}."},
        "evaluation_details": [
            {
                "name": "test split",
                "datasets": [run.data_manifest],
                "evaluation_observation": _cut("\n".join(map(_gate, verdicts)), LONGEST_OBSERVATION),
                "metric_groups": [{"name": "all", "metric_data": measured}],
            }
        ],
        "additional_information": {"custom_details": details, **caveats},
    }


def _details(
    model: ModelConfig, evaluation: Evaluation, verdicts: list[Verdict], lineage: Mapping[str, object]
) -> dict[str, str]:
    """Details by title, in the order of a review; what older evaluations lack is omitted."""
    metrics = evaluation["metrics"]
    errors = [f"{name} {value:.4g}" for name in ("brier", "ece") if (value := metrics.get(name)) is not None]
    decided = evaluation.get("decision")
    compared = [explain(verdict) for verdict in verdicts if verdict["kind"] == "champion"]
    known = {
        "Data": evaluation.get("data"),
        "Calibration": f"{model.calibration or 'none'}: {', '.join(errors)}" if errors else None,
        "Refit": next(iter(told_of_refit(model, evaluation)), None),
        "Suspicion": next(iter(told_of_suspects(evaluation)), None),
        "Decision": told(decided) if decided else None,
        **{f"Slice {name}": text for name, text in told_of_segments(model, evaluation).items()},
        "Fairness": "; ".join(told_of_fairness(model, evaluation)),
        "Comparison": "; ".join(compared) or "there was no version to compare with",
        "Lineage": ", ".join(f"{name} {lineage[name]}" for name in LINEAGE if lineage.get(name)),
    }
    return {title: text for title, text in known.items() if text}


def _gate(verdict: Verdict) -> str:
    return f"{'passed' if verdict['passed'] else 'NOT PASSED'}: {explain(verdict)}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def request(card: Mapping[str, object]) -> dict[str, str]:
    """CreateModelPackage's ``ModelCard``."""
    return {"ModelCardContent": json.dumps(card), "ModelCardStatus": "PendingReview"}
