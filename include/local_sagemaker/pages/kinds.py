"""The kinds of resources that have pages, by the word in their addresses."""

from __future__ import annotations

from dataclasses import dataclass

from include.local_sagemaker.core.store import (
    ENDPOINT,
    ENDPOINT_CONFIG,
    MODEL,
    MODEL_PACKAGE,
    MODEL_PACKAGE_GROUP,
    PROCESSING_JOB,
    TRAINING_JOB,
    TRANSFORM_JOB,
    TUNING_JOB,
    Json,
    Kind,
)


@dataclass(frozen=True)
class PageKind:
    """A kind, its title, its log group (None if it has none), and the field that holds its state."""

    word: str
    kind: Kind
    title: str
    log_group: str | None = None
    state_field: str = ""

    def state(self, document: Json) -> str:
        return str(document.get(self.state_field or self.kind.status, ""))


KINDS = {
    one.word: one
    for one in (
        PageKind("processing", PROCESSING_JOB, "Processing jobs", "aws/sagemaker/ProcessingJobs"),
        PageKind("training", TRAINING_JOB, "Training jobs", "aws/sagemaker/TrainingJobs"),
        PageKind("transform", TRANSFORM_JOB, "Transform jobs", "aws/sagemaker/TransformJobs"),
        PageKind("tuning", TUNING_JOB, "Tuning jobs", "aws/sagemaker/HyperParameterTuningJobs"),
        PageKind("endpoints", ENDPOINT, "Endpoints", "aws/sagemaker/Endpoints"),
        PageKind("groups", MODEL_PACKAGE_GROUP, "Model package groups"),
        PageKind("packages", MODEL_PACKAGE, "Model packages", state_field="ModelApprovalStatus"),
        PageKind("models", MODEL, "Models"),
        PageKind("configs", ENDPOINT_CONFIG, "Endpoint configurations"),
    )
}
