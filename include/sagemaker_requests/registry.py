"""The Model Registry: groups and versions."""

from __future__ import annotations

from collections.abc import Mapping

from include.config import MlEnvironment
from include.models.config import ModelConfig
from include.sagemaker_requests import model_card
from include.sagemaker_requests.common import Request, group_name, tag_list
from include.storage import Run


def model_package_group(model: ModelConfig, environment: MlEnvironment) -> Request:
    return {
        "ModelPackageGroupName": group_name(model),
        "ModelPackageGroupDescription": model.description,
        "Tags": tag_list({**environment.tags, "model": model.name, "owner": model.owner}),
    }


def model_package(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    artifact: str,
    metadata: Mapping[str, str],
    metrics: Mapping[str, float | None],
) -> Request:
    """A version of the model's package, pending approval. SageMaker takes its tags from the group.

    Args:
        artifact: S3 URI of model.tar.gz.
        metadata: lineage; at most 50 entries of 256 characters.
        metrics: of the test split, for the model card.
    """
    return {
        "ModelPackageGroupName": group_name(model),
        "ModelPackageDescription": f"{model.description} Trained by {run.dag_id}, run {run.run_id}."[:1024],
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [{"Image": environment.image_uri, "ModelDataUrl": artifact}],
            "SupportedContentTypes": ["text/csv", "application/json", "application/jsonlines"],
            "SupportedResponseMIMETypes": ["text/csv", "application/json", "application/jsonlines"],
            "SupportedRealtimeInferenceInstanceTypes": [model.serving.instance_type],
            "SupportedTransformInstanceTypes": [model.serving.instance_type],
        },
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {"ContentType": "application/json", "S3Uri": run.evaluation_statistics},
            },
        },
        "ModelCard": model_card.request(model_card.content(model, run, artifact=artifact, metrics=metrics)),
        "CustomerMetadataProperties": dict(metadata),
    }
