"""The champion: the model version that people approved last, against which a new one is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError


@dataclass(frozen=True)
class Champion:
    """An approved model package: its ARN and the S3 URI of its model.tar.gz."""

    arn: str
    artifact: str


def find_champion(sagemaker: Any, group: str) -> Champion | None:
    """The newest approved version of a model package group; None where nothing was approved yet.

    Args:
        sagemaker: a boto3 SageMaker client.

    Raises:
        botocore.exceptions.ClientError: SageMaker cannot be asked.
    """
    try:
        approved = sagemaker.list_model_packages(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved",
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=1,
        )["ModelPackageSummaryList"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("ValidationException", "ResourceNotFound"):
            return None  # the group is made by the first registration
        raise
    if not approved:
        return None
    arn = approved[0]["ModelPackageArn"]
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    return Champion(arn, package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])
