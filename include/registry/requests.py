"""Requests to the Model Registry: groups and versions."""

from __future__ import annotations

from collections.abc import Mapping

from include.models.config import ModelConfig
from include.models.config.results import Evaluation
from include.models.quoting import SILENT
from include.platform.borders import description, metadata
from include.platform.environment import MlEnvironment
from include.platform.request_parts import Request, group_name, owner_tags, role_of, vpc
from include.platform.run_folders import Run
from include.registry import model_card


def model_package_group(model: ModelConfig, environment: MlEnvironment) -> Request:
    return {
        "ModelPackageGroupName": group_name(model),
        "ModelPackageGroupDescription": description(model.description),
        "Tags": owner_tags(model, environment),
    }


def model_package(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    artifact: str,
    lineage: Mapping[str, object],
    evaluation: Evaluation,
) -> Request:
    """A version in the model's package group, pending approval. SageMaker takes its tags from the group.

    Args:
        artifact: S3 URI of model.tar.gz.
        lineage: by name; put important entries first, as the registry keeps only 50.
        evaluation: of the test split, for the model card.
    """
    card = model_card.content(model, run, artifact=artifact, evaluation=evaluation, lineage=lineage)
    return {
        "ModelPackageGroupName": group_name(model),
        "ModelPackageDescription": description(f"{model.description} Trained by {run.dag_id}, run {run.run_id}."),
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
        "ModelCard": model_card.request(card),
        "CustomerMetadataProperties": metadata(lineage),
    }


def hosted_model(model: ModelConfig, environment: MlEnvironment, *, image: str, artifact: str) -> Request:
    """A Model of one version; the operator appends a digest of the rest to ``ModelName``.

    It names image and artifact rather than the model package, which SageMaker would refuse once the version's approval
    is withdrawn: its days can still be rescored.

    Args:
        image: the image that the version was registered with.
        artifact: S3 URI of its model.tar.gz.
    """
    request: Request = {
        "ModelName": group_name(model),
        "PrimaryContainer": {"Image": image, "ModelDataUrl": artifact},
        "ExecutionRoleArn": role_of(model, environment),
        "Tags": owner_tags(model, environment),
    }
    if not model.quotes_values:
        request["PrimaryContainer"]["Environment"] = dict(SILENT)
    if environment.network_isolation:
        request["EnableNetworkIsolation"] = True
    return {**request, "VpcConfig": vpc(environment)} if environment.subnets else request
