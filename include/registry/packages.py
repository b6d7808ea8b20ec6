"""Versions in the Model Registry, as deployments need them: one by its number, whether it may be deployed, what it is
made of."""

from __future__ import annotations

from typing import Any, TypedDict

from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from include.platform.storage import split_uri
from include.registry.champion import find_champion


class PackageError(AirflowFailException):
    """A version that cannot be deployed: no retry can help. The message says why and what to do."""


class Package(TypedDict):
    """A model package: small enough to pass between tasks. ``statistics`` is the S3 URI of its quality statistics."""

    arn: str
    version: int
    image: str
    artifact: str
    statistics: str
    metadata: dict[str, str]


def approved_package(sagemaker: Any, s3: Any, group: str, version: int | None) -> Package:
    """A version that may be deployed: approved, with its artifact as it was registered.

    Args:
        sagemaker, s3: boto3 clients.
        version: its number; None for the newest approved one.

    Raises:
        PackageError: it is unknown, not approved, or its artifact is gone or another one.
    """
    if version is None:
        champion = find_champion(sagemaker, group)
        if champion is None:
            raise PackageError(
                f"{group} has no approved version. Register one (the training Dag does) and approve it in the Model "
                "Registry, or on a laptop with make promote."
            )
        arn = champion.arn
    else:
        arn = _arn_of(sagemaker, group, version)
    described = sagemaker.describe_model_package(ModelPackageName=arn)
    if described["ModelApprovalStatus"] != "Approved":
        raise PackageError(
            f"{group} version {described['ModelPackageVersion']} is {described['ModelApprovalStatus']}, not Approved; "
            f"nothing was touched. To approve it: aws sagemaker update-model-package --model-package-arn {arn} "
            "--model-approval-status Approved"
        )
    _require_artifact(s3, group, described)
    return package_of(described)


def package_of(described: dict[str, Any]) -> Package:
    """What there is of DescribeModelPackage's answer."""
    container = described["InferenceSpecification"]["Containers"][0]
    return Package(
        arn=described["ModelPackageArn"],
        version=described["ModelPackageVersion"],
        image=container["Image"],
        artifact=container["ModelDataUrl"],
        statistics=described["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"],
        metadata=described.get("CustomerMetadataProperties", {}),
    )


def _arn_of(sagemaker: Any, group: str, version: int) -> str:
    try:
        pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
        found = {one["ModelPackageVersion"]: one["ModelPackageArn"] for page in pages for one in page[_SUMMARIES]}
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ValidationException", "ResourceNotFound"):
            raise
        found = {}  # the group is made by the first registration
    if version not in found:
        known = ", ".join(map(str, sorted(found))) or "none"
        raise PackageError(f"{group} has no version {version}. Versions there are: {known}. Nothing was touched.")
    arn: str = found[version]
    return arn


_SUMMARIES = "ModelPackageSummaryList"


def _require_artifact(s3: Any, group: str, described: dict[str, Any]) -> None:
    container = described["InferenceSpecification"]["Containers"][0]
    uri, version = container["ModelDataUrl"], described["ModelPackageVersion"]
    bucket, key = split_uri(uri)
    advice = "Nothing was touched. Bring the object back (an earlier version of it in S3), or train and approve anew."
    try:
        found = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey", "NotFound"):
            raise
        raise PackageError(f"the artifact of {group} version {version}, {uri}, is gone. {advice}") from error
    registered = container.get("ModelDataETag")
    if registered and registered.strip('"') != found["ETag"].strip('"'):
        raise PackageError(
            f"{uri} is not what {group} version {version} was registered with: its ETag is {found['ETag']}, the "
            f"registry has {registered}. {advice}"
        )
