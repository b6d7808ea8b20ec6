"""The model registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.local_server import IMAGE

ARTIFACT = f"s3://{BUCKET}/registry/model.tar.gz"


@pytest.fixture
def group(sagemaker: Any, s3: Any, names: Callable[[str], str]) -> str:
    """A new group, with a capital letter: names keep it, ARNs do not."""
    s3.put_object(Bucket=BUCKET, Key="registry/model.tar.gz", Body=b"a model")
    name = names("Group")
    sagemaker.create_model_package_group(ModelPackageGroupName=name, ModelPackageGroupDescription="pumps")
    return name


# what a package without a group must name
TYPES = {
    "SupportedTransformInstanceTypes": ["ml.m5.large"],
    "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
}


def _specification(url: str = ARTIFACT) -> dict[str, Any]:
    return {
        "Containers": [{"Image": IMAGE, "ModelDataUrl": url}],
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }


def _register(sagemaker: Any, group: str, **more: Any) -> str:
    request = {"ModelPackageGroupName": group, "InferenceSpecification": _specification(), **more}
    arn: str = sagemaker.create_model_package(**request)["ModelPackageArn"]
    return arn


def test_versions_count_up_and_are_never_given_twice(sagemaker: Any, group: str) -> None:
    arns = [_register(sagemaker, group) for _ in range(3)]
    assert [arn.rpartition("/")[2] for arn in arns] == ["1", "2", "3"]
    assert arns[0] == f"arn:aws:sagemaker:us-east-1:123456789012:model-package/{group.lower()}/1"
    sagemaker.delete_model_package(ModelPackageName=arns[2])
    assert _register(sagemaker, group).endswith("/4")


def test_a_repeated_request_makes_no_second_package(sagemaker: Any, group: str) -> None:
    first = _register(sagemaker, group, ClientToken="run-1")
    assert _register(sagemaker, group, ClientToken="run-1") == first
    with pytest.raises(ClientError, match=r"\(ConflictException\).*already used with different parameters"):
        _register(sagemaker, group, ClientToken="run-1", Domain="MACHINE_LEARNING")
    assert _register(sagemaker, group, ClientToken="run-2").endswith("/2")
    sagemaker.delete_model_package(ModelPackageName=first)
    assert _register(sagemaker, group, ClientToken="run-1").endswith("/3")


def test_describe_by_arn_and_name(sagemaker: Any, s3: Any, group: str) -> None:
    metrics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": "s3://b/evaluation.json"}}}
    arn = _register(sagemaker, group, ModelMetrics=metrics, CustomerMetadataProperties={"run": "r1"})
    for name in (arn, f"{group}/1"):
        package = sagemaker.describe_model_package(ModelPackageName=name)
        assert package["ModelPackageArn"] == arn
    assert (package["ModelPackageGroupName"], package["ModelPackageVersion"]) == (group, 1)
    assert package["ModelPackageStatus"] == "Completed"
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["ModelMetrics"] == metrics
    assert package["CustomerMetadataProperties"] == {"run": "r1"}
    etag = s3.head_object(Bucket=BUCKET, Key="registry/model.tar.gz")["ETag"].strip('"')
    assert package["InferenceSpecification"]["Containers"][0]["ModelDataETag"] == etag
    with pytest.raises(ClientError, match=r"\(ValidationException\).*ModelPackage arn.*/99 does not exist"):
        sagemaker.describe_model_package(ModelPackageName=f"{group}/99")


def test_updates_merge_metadata_and_keep_the_rest(sagemaker: Any, group: str) -> None:
    arn = _register(sagemaker, group, CustomerMetadataProperties={"a": "1", "b": "2"})
    sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="all gates passed"
    )
    sagemaker.update_model_package(
        ModelPackageArn=arn,
        CustomerMetadataProperties={"b": "3", "c": "4"},
        CustomerMetadataPropertiesToRemove=["a"],
        ModelLifeCycle={"Stage": "Production", "StageStatus": "Live"},
        AdditionalInferenceSpecificationsToAdd=[{"Name": "small", **_specification()}],
    )
    package = sagemaker.describe_model_package(ModelPackageName=arn)
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["ApprovalDescription"] == "all gates passed"
    assert package["CustomerMetadataProperties"] == {"b": "3", "c": "4"}
    assert package["ModelLifeCycle"]["Stage"] == "Production"
    assert [one["Name"] for one in package["AdditionalInferenceSpecifications"]] == ["small"]
    with pytest.raises(ClientError, match="names must be unique"):
        sagemaker.update_model_package(
            ModelPackageArn=arn, AdditionalInferenceSpecificationsToAdd=[{"Name": "small", **_specification()}]
        )
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "pumps"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "pumps"}]


def test_lists_filter_before_they_page(sagemaker: Any, group: str) -> None:
    arns = [_register(sagemaker, group) for _ in range(12)]
    for arn in arns[1::3]:
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    paginator = sagemaker.get_paginator("list_model_packages")

    def versions(**filters: Any) -> list[int]:
        pages = paginator.paginate(ModelPackageGroupName=group, PaginationConfig={"PageSize": 3}, **filters)
        return [one["ModelPackageVersion"] for page in pages for one in page["ModelPackageSummaryList"]]

    assert versions() == list(range(12, 0, -1))
    assert versions(SortOrder="Ascending") == list(range(1, 13))
    assert versions(ModelApprovalStatus="Approved") == [11, 8, 5, 2]
    assert versions(ModelApprovalStatus="Approved", SortOrder="Ascending") == [2, 5, 8, 11]
    newest = sagemaker.list_model_packages(
        ModelPackageGroupName=group, ModelApprovalStatus="Approved", SortBy="CreationTime", SortOrder="Descending",
        MaxResults=1,
    )["ModelPackageSummaryList"]  # fmt: skip
    assert newest[0]["ModelPackageArn"] == arns[10]
    assert newest[0]["ModelApprovalStatus"] == "Approved"
    with pytest.raises(ClientError, match="Invalid NextToken"):
        sagemaker.list_model_packages(ModelPackageGroupName=group, NextToken="bm9uc2Vuc2U=")


def test_what_a_package_without_a_group_must_name(sagemaker: Any, names: Callable[[str], str]) -> None:
    for missing in TYPES:
        specification = {**_specification(), **{key: TYPES[key] for key in TYPES if key != missing}}
        with pytest.raises(ClientError, match=rf"ValidationException.*{missing} is required"):
            sagemaker.create_model_package(ModelPackageName=names("alone"), InferenceSpecification=specification)


def test_additional_specifications_are_fifteen_with_their_own_names(sagemaker: Any, group: str) -> None:
    def additional(*numbers: int) -> list[dict[str, Any]]:
        return [{"Name": f"one{number}", "Containers": [{"Image": IMAGE}]} for number in numbers]

    with pytest.raises(ClientError, match="names must be unique"):
        _register(sagemaker, group, AdditionalInferenceSpecifications=additional(1, 1))
    arn = _register(sagemaker, group, AdditionalInferenceSpecifications=additional(*range(10)))
    with pytest.raises(ClientError, match="There would be 16 AdditionalInferenceSpecifications; 15 fit"):
        sagemaker.update_model_package(
            ModelPackageArn=arn, AdditionalInferenceSpecificationsToAdd=additional(*range(10, 16))
        )


def test_unversioned_packages_are_apart(sagemaker: Any, group: str, names: Callable[[str], str]) -> None:
    _register(sagemaker, group)
    name = names("alone")
    sagemaker.create_model_package(ModelPackageName=name, InferenceSpecification=_specification() | TYPES)
    assert sagemaker.describe_model_package(ModelPackageName=name)["ModelPackageName"] == name
    listed = sagemaker.list_model_packages(NameContains="alone")["ModelPackageSummaryList"]
    assert [one["ModelPackageName"] for one in listed] == [name]
    both = sagemaker.list_model_packages(ModelPackageType="Both", MaxResults=100)["ModelPackageSummaryList"]
    assert {"alone" in one.get("ModelPackageName", "") for one in both} == {True, False}


def test_batch_describe_tells_which_are_missing(sagemaker: Any, group: str) -> None:
    arn = _register(sagemaker, group)
    answer = sagemaker.batch_describe_model_package(ModelPackageArnList=[arn, f"{arn}9"])
    assert answer["ModelPackageSummaries"][arn]["ModelPackageVersion"] == 1
    assert answer["BatchDescribeModelPackageErrorMap"][f"{arn}9"]["ErrorCode"] == "ValidationException"


def test_only_an_empty_group_can_be_deleted(sagemaker: Any, group: str) -> None:
    arn = _register(sagemaker, group)
    with pytest.raises(ClientError, match=r"\(ConflictException\)"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    with pytest.raises(ClientError, match=r"\(ValidationException\).*does not exist"):
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)


def test_bad_requests(sagemaker: Any, group: str) -> None:
    with pytest.raises(ClientError, match=r"\(ValidationException\).*Model Package Group already exists: arn:"):
        sagemaker.create_model_package_group(ModelPackageGroupName=group)
    specification = {"InferenceSpecification": _specification()}
    cases: list[tuple[str, dict[str, Any]]] = [
        ("Both ModelPackageName and ModelPackageGroupName", {"ModelPackageName": "x", "ModelPackageGroupName": group}),
        ("Missing ARN", {}),
        ("does not exist", {"ModelPackageGroupName": "nowhere"}),
        ("Tags cannot be supplied", {"ModelPackageGroupName": group, "Tags": [{"Key": "a", "Value": "b"}]}),
        ("clientToken", {"ModelPackageGroupName": group, "ClientToken": "no spaces allowed"}),
    ]
    for message, request in cases:
        with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
            sagemaker.create_model_package(**specification, **request)
    with pytest.raises(ClientError, match=r"\(ValidationException\).*Could not find model data at s3://"):
        _register(sagemaker, group, InferenceSpecification=_specification(f"s3://{BUCKET}/registry/gone.tar.gz"))
    assert sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"] == []
