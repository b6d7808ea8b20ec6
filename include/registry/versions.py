"""Versions of a model in the Model Registry: finding one, its contents, and whether it may be deployed.

Three things are recorded separately: the approval (may it be deployed), the decision about its promotion, and its stage
(``Stage``), whose times are in ``history``. The champion is the version in production.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field

from include.platform.borders import description, metadata, original_id
from include.platform.clients import error_code
from include.platform.errors import PermanentError
from include.platform.objects import ABSENT
from include.platform.storage import registered_artifact, split_uri

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker.client import SageMakerClient
    from types_boto3_sagemaker.type_defs import (
        DescribeModelPackageOutputTypeDef,
        ModelLifeCycleTypeDef,
        UpdateModelPackageInputTypeDef,
    )

NO_SUCH_GROUP = NO_SUCH_VERSION = ("ValidationException", "ResourceNotFound")
MOST_CANDIDATES = 10  # newest versions considered
DECISION = "promotion_"  # prefix of the metadata about the decision

# a version's ModelLifeCycle: its stage, and its status in that stage
Stage = tuple[Literal["Staging", "Production"], Literal["Promoted", "Declined", "Serving", "Replaced"]]
PROMOTED: Stage = ("Staging", "Promoted")
DECLINED: Stage = ("Staging", "Declined")
SERVING: Stage = ("Production", "Serving")
REPLACED: Stage = ("Production", "Replaced")


class VersionError(PermanentError):
    """A version does not exist or cannot be deployed; the message says why and what to do."""


class Version(BaseModel):
    """A version of a model: its number, its model package's ARN, the S3 URI of its model.tar.gz.

    It can be validated from richer objects, such as an entry of the production history.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    version: Annotated[int, Field(ge=1)]
    model_package_arn: str
    artifact: Annotated[str, Field(pattern=r"^s3://[^/]+/.+")]


class RegisteredVersion(Version):
    """A version with what else the registry knows: the image that serves it, the ETag of its artifact at registration,
    the S3 URI of its quality statistics, its lineage."""

    image: str
    artifact_etag: str | None = None
    statistics: str | None = None
    metadata: dict[str, str] = {}

    @property
    def evaluation(self) -> str:
        """The S3 URI of its quality statistics; the other files of its evaluation are beside it.

        Raises:
            VersionError: it was registered without them.
        """
        if self.statistics is None:
            raise VersionError(
                f"{self.model_package_arn} names no quality statistics, so its evaluation cannot be found. Versions "
                "that the training Dag registers have them."
            )
        return self.statistics

    @property
    def ran(self) -> tuple[str, str] | None:
        """The Dag and run that registered it; None if its lineage lacks them."""
        dag_id, run_id = self.metadata.get("dag_id"), self.metadata.get("run_id")
        return (dag_id, original_id(run_id)) if dag_id and run_id else None


def newest_approved(sagemaker: SageMakerClient, group: str) -> RegisteredVersion | None:
    """The newest approved version of a model package group; None if nothing is approved yet.

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
        if error_code(error) in NO_SUCH_GROUP:
            return None  # the first registration creates the group
        raise
    return describe(sagemaker, approved[0]["ModelPackageArn"]) if approved else None


def newest_candidate(sagemaker: SageMakerClient, group: str, *, after: int) -> RegisteredVersion | None:
    """The newest version after another that may still go into production: neither rejected nor declined nor
    replaced."""
    newest = sagemaker.list_model_packages(
        ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=MOST_CANDIDATES
    )["ModelPackageSummaryList"]
    for one in newest:
        if one["ModelPackageVersion"] <= after or one["ModelApprovalStatus"] == "Rejected":
            continue
        package = sagemaker.describe_model_package(ModelPackageName=one["ModelPackageArn"])
        life: ModelLifeCycleTypeDef | None = package.get("ModelLifeCycle")
        if life is None or (life["Stage"], life["StageStatus"]) not in (DECLINED, REPLACED):
            return _version_of(package)
    return None


def describe(sagemaker: SageMakerClient, arn: str) -> RegisteredVersion:
    """The version with this model package ARN.

    Raises:
        botocore.exceptions.ClientError: it does not exist, or SageMaker cannot be asked.
    """
    return _version_of(sagemaker.describe_model_package(ModelPackageName=arn))


def find_package(sagemaker: SageMakerClient, group: str, version: int) -> DescribeModelPackageOutputTypeDef | None:
    """The registry's full description of a version, by its number; None if there is no such version."""
    try:
        arn = sagemaker.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
        return sagemaker.describe_model_package(
            ModelPackageName=f"{arn.replace(':model-package-group/', ':model-package/')}/{version}"
        )
    except ClientError as error:
        if error_code(error) in NO_SUCH_VERSION:
            return None
        raise


def find_version(sagemaker: SageMakerClient, group: str, version: int) -> RegisteredVersion:
    """The version with this number, approved or not.

    Raises:
        VersionError: there is no such version.
        botocore.exceptions.ClientError: SageMaker cannot be asked.
    """
    return _version_of(_require_package(sagemaker, group, version))


def approved_version(sagemaker: SageMakerClient, s3: S3Client, group: str, version: int | None) -> RegisteredVersion:
    """A deployable version: approved, with its artifact unchanged since registration.

    Args:
        version: its number; None for the newest approved one.

    Raises:
        VersionError: it is unknown or not approved, or its artifact is missing or has changed.
        botocore.exceptions.ClientError: AWS cannot be asked.
    """
    if version is None:
        newest = newest_approved(sagemaker, group)
        if newest is None:
            raise VersionError(
                f"{group} has no approved version. Register one (the training Dag does) and approve it in the Model "
                "Registry, or on a laptop with make promote."
            )
        version = newest.version
    package = _require_package(sagemaker, group, version)
    if package["ModelApprovalStatus"] != "Approved":
        raise VersionError(
            f"{group} version {version} is {package['ModelApprovalStatus']}, not Approved; nothing was changed. To "
            f"approve it: aws sagemaker update-model-package --model-package-arn {package['ModelPackageArn']} "
            "--model-approval-status Approved"
        )
    found = _version_of(package)
    require_artifact(s3, group, found)
    return found


def keep_decision(sagemaker: SageMakerClient, arn: str, decision: Mapping[str, object], *, promoted: bool) -> None:
    """Records the decision about a version's promotion, replacing earlier ones.

    Raises:
        botocore.exceptions.ClientError: SageMaker cannot be asked.
    """
    kept = metadata({f"{DECISION}{name}": value for name, value in decision.items()})
    found = sagemaker.describe_model_package(ModelPackageName=arn).get("CustomerMetadataProperties", {})
    stale = [name for name in found if name.startswith(DECISION) and name not in kept]
    change: UpdateModelPackageInputTypeDef = {
        "ModelPackageArn": arn,
        "CustomerMetadataProperties": kept,
        "ModelLifeCycle": _lifecycle(PROMOTED if promoted else DECLINED, f"by {decision['by']} at {decision['at']}"),
    }
    if stale:
        change["CustomerMetadataPropertiesToRemove"] = stale
    sagemaker.update_model_package(**change)


def set_stage(sagemaker: SageMakerClient, arn: str, stage: Stage, why: str) -> None:
    """Sets a version's ``ModelLifeCycle`` in the registry.

    Raises:
        botocore.exceptions.ClientError: SageMaker cannot be asked.
    """
    sagemaker.update_model_package(ModelPackageArn=arn, ModelLifeCycle=_lifecycle(stage, why))


def _lifecycle(stage: Stage, why: str) -> ModelLifeCycleTypeDef:
    return {"Stage": stage[0], "StageStatus": stage[1], "StageDescription": description(why)}


def _version_of(package: DescribeModelPackageOutputTypeDef) -> RegisteredVersion:
    container = package["InferenceSpecification"]["Containers"][0]
    return RegisteredVersion(
        version=package["ModelPackageVersion"],
        model_package_arn=package["ModelPackageArn"],
        artifact=container["ModelDataUrl"],
        image=container["Image"],
        artifact_etag=container.get("ModelDataETag"),
        statistics=package.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {}).get("S3Uri"),
        metadata=package.get("CustomerMetadataProperties", {}),
    )


def _require_package(sagemaker: SageMakerClient, group: str, version: int) -> DescribeModelPackageOutputTypeDef:
    if package := find_package(sagemaker, group, version):
        return package
    known = ", ".join(map(str, _numbers(sagemaker, group))) or "none"
    raise VersionError(f"the Model Registry has no version {version} of {group}. It has: {known}. Nothing was changed.")


def _numbers(sagemaker: SageMakerClient, group: str) -> list[int]:
    try:
        pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
        return sorted(one["ModelPackageVersion"] for page in pages for one in page["ModelPackageSummaryList"])
    except ClientError as error:
        if error_code(error) in NO_SUCH_GROUP:
            return []  # the first registration creates the group
        raise


def keep_artifact(s3: S3Client, bucket: str, model: str, trained: str) -> str:
    """Copies a training's artifact to where no job can write. Returns the copy's S3 URI, with which the version is
    registered. It is copied once: a retry finds it.

    Args:
        trained: S3 URI of the model.tar.gz that the training job wrote.

    Raises:
        VersionError: the training's artifact is missing.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    source, key = split_uri(trained)
    etag = _etag(s3, trained)
    if etag is None:
        raise VersionError(f"{trained}, which was evaluated, is gone: nothing was registered. Start a new training.")
    kept = registered_artifact(bucket, model, etag.strip('"'))
    if _etag(s3, kept) is None:
        copy = split_uri(kept)[1]
        s3.copy({"Bucket": source, "Key": key}, bucket, copy, ExtraArgs={"CopySourceIfMatch": etag})
    return kept


def require_artifact(s3: S3Client, group: str, version: Version) -> None:
    """Checks that the artifact is the registered one: it is never overwritten, and a changed one must not run.

    Raises:
        VersionError: the version's artifact is missing, or differs from the registered one.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    advice = "Nothing was changed. Restore the object (from its earlier version in S3), or train and approve again."
    etag = _etag(s3, version.artifact)
    if etag is None:
        raise VersionError(f"the artifact of {group} version {version.version}, {version.artifact}, is gone. {advice}")
    registered = version.artifact_etag if isinstance(version, RegisteredVersion) else None
    if registered and registered.strip('"') != etag.strip('"'):
        raise VersionError(
            f"{version.artifact} is not what {group} version {version.version} was registered with: its ETag is "
            f"{etag}, the registry has {registered}. {advice}"
        )


def _etag(s3: S3Client, uri: str) -> str | None:
    """An object's ETag, with its quotes; None if it does not exist."""
    bucket, key = split_uri(uri)
    try:
        return s3.head_object(Bucket=bucket, Key=key)["ETag"]
    except ClientError as error:
        if error_code(error) not in ABSENT:
            raise
        return None
