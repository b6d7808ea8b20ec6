"""Search over training jobs and the registry."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.job_requests import run_training, training

IMAGE_AND_DATA = {
    "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ml-jobs:1",
    "ModelDataUrl": "s3://ml-local/m.tar.gz",
}


@pytest.fixture(scope="module", autouse=True)
def _there(sagemaker: Any, s3: Any) -> None:
    """Three versions of a model, and two training jobs."""
    s3.put_object(Bucket="ml-local", Key="m.tar.gz", Body=b"packed")
    sagemaker.create_model_package_group(
        ModelPackageGroupName="searched", ModelPackageGroupDescription="pumps", Tags=[{"Key": "team", "Value": "pumps"}]
    )
    sagemaker.create_model_package_group(ModelPackageGroupName="other-searched")
    for number in (1, 2, 3):
        sagemaker.create_model_package(
            ModelPackageGroupName="searched",
            ModelApprovalStatus="Approved" if number == 2 else "PendingManualApproval",
            InferenceSpecification={
                "Containers": [IMAGE_AND_DATA],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
            CustomerMetadataProperties={"metric_f1": f"0.{number}"},
        )
    for number, rounds in ((1, "10"), (2, "200")):
        s3.put_object(Bucket="ml-local", Key=f"searched/{number}/x.csv", Body=b"1\n")
        run_training(
            sagemaker,
            training(
                f"searched-{number}",
                ["sh", "-c", f"echo 'f1=0.{number}'"],
                channels={"train": f"s3://ml-local/searched/{number}/", "validation": "s3://ml-local/searched/1/"},
                metrics={"validation:f1": "f1=([0-9.]+)"},
                HyperParameters={"rounds": rounds},
                Tags=[{"Key": "project", "Value": f"p{number}"}],
            ),
        )


def found(sagemaker: Any, resource: str, *filters: dict[str, str], **more: Any) -> list[str]:
    """Names or versions, in the order of the answer."""
    expression = {"Filters": list(filters), **more.pop("expression", {})}
    expression = {key: value for key, value in expression.items() if value}
    request = {"Resource": resource, **({"SearchExpression": expression} if expression else {}), **more}
    results = [one[resource] for one in sagemaker.search(**request)["Results"]]
    return [str(one.get("ModelPackageVersion") or one.get(f"{resource}Name")) for one in results]


def where(name: str, value: str, operator: str = "Equals") -> dict[str, str]:
    return {"Name": name, "Operator": operator, "Value": value}


OF_THE_GROUP = where("ModelPackageGroupName", "searched")
SECOND = ["searched-2"]
OURS = where("TrainingJobName", "searched-", "Contains")


def test_versions_by_their_group_newest_first(sagemaker: Any) -> None:
    assert found(sagemaker, "ModelPackage", OF_THE_GROUP, SortBy="CreationTime") == ["3", "2", "1"]
    ascending = {"SortBy": "ModelPackageVersion", "SortOrder": "Ascending"}
    assert found(sagemaker, "ModelPackage", OF_THE_GROUP, **ascending) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("one", "versions"),
    [
        (where("ModelApprovalStatus", "Approved"), {"2"}),
        (where("ModelApprovalStatus", "Approved", "NotEquals"), {"1", "3"}),
        (where("ModelPackageVersion", "2", "GreaterThanOrEqualTo"), {"2", "3"}),
        (where("ModelPackageVersion", "10", "LessThan"), {"1", "2", "3"}),
        (where("ModelApprovalStatus", "Rejected, Approved", "In"), {"2"}),
        (where("CustomerMetadataProperties.metric_f1", "0.15", "GreaterThan"), {"2", "3"}),
        (where("InferenceSpecification.Containers.ModelDataUrl", "m.tar", "Contains"), {"1", "2", "3"}),
        (where("CreationTime", "2020-01-01T00:00:00", "LessThan"), set()),
        (where("CreationTime", "2020-01-01T00:00:00", "GreaterThan"), {"1", "2", "3"}),
        ({"Name": "ModelPackageDescription", "Operator": "Exists"}, set()),
        ({"Name": "ModelPackageDescription", "Operator": "NotExists"}, {"1", "2", "3"}),
    ],
)
def test_filters(sagemaker: Any, one: dict[str, str], versions: set[str]) -> None:
    assert set(found(sagemaker, "ModelPackage", OF_THE_GROUP, one)) == versions


def test_groups_by_name_and_tag(sagemaker: Any) -> None:
    assert found(sagemaker, "ModelPackageGroup", where("Tags.team", "pumps")) == ["searched"]
    by_name = where("ModelPackageGroupName", "SEARCHED", "Contains")
    assert set(found(sagemaker, "ModelPackageGroup", by_name)) == {"searched", "other-searched"}


def test_training_jobs_by_metrics_hyperparameters_and_tags(sagemaker: Any) -> None:
    assert found(sagemaker, "TrainingJob", OURS, where("Metrics.validation:f1", "0.15", "GreaterThan")) == [
        "searched-2"
    ]
    # compared as numbers: as texts, "200" would precede "50"
    assert found(sagemaker, "TrainingJob", OURS, where("HyperParameters.rounds", "50", "GreaterThan")) == SECOND
    assert found(sagemaker, "TrainingJob", where("Tags.project", "p1")) == ["searched-1"]
    best_first = found(sagemaker, "TrainingJob", OURS, SortBy="Metrics.validation:f1")
    assert best_first == ["searched-2", "searched-1"]


def test_nested_filters_are_about_one_item(sagemaker: Any) -> None:
    def with_channel(name: str, uri: str) -> list[str]:
        filters = [
            where("InputDataConfig.ChannelName", name),
            where("InputDataConfig.DataSource.S3DataSource.S3Uri", uri, "Contains"),
        ]
        nested = [{"NestedPropertyName": "InputDataConfig", "Filters": filters}]
        return found(sagemaker, "TrainingJob", OURS, expression={"NestedFilters": nested})

    assert with_channel("train", "searched/2") == ["searched-2"]
    assert with_channel("validation", "searched/2") == []


def test_expressions_within_expressions(sagemaker: Any) -> None:
    either = {"Operator": "Or", "Filters": [where("ModelPackageVersion", "1"), where("ModelPackageVersion", "3")]}
    assert set(found(sagemaker, "ModelPackage", OF_THE_GROUP, expression={"SubExpressions": [either]})) == {"1", "3"}


def test_pages_hold_each_once(sagemaker: Any) -> None:
    pages = sagemaker.get_paginator("search").paginate(
        Resource="ModelPackage", SearchExpression={"Filters": [OF_THE_GROUP]}, PaginationConfig={"PageSize": 2}
    )
    listed = [one["ModelPackage"]["ModelPackageVersion"] for page in pages for one in page["Results"]]
    assert sorted(listed) == [1, 2, 3]
    assert sagemaker.search(Resource="ModelPackage", MaxResults=1)["TotalHits"]["Value"] >= 3


def test_what_cannot_be_searched_is_refused(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="does not search the resource Experiment; it searches TrainingJob"):
        sagemaker.search(Resource="Experiment")
    with pytest.raises(ClientError, match="does not support VisibilityConditions"):
        sagemaker.search(Resource="TrainingJob", VisibilityConditions=[{"Key": "Tags.team", "Value": "x"}])
    with pytest.raises(ClientError, match="does not support CrossAccountFilterOption CrossAccount"):
        sagemaker.search(Resource="TrainingJob", CrossAccountFilterOption="CrossAccount")
    with pytest.raises(ClientError, match="Unknown property name: Nothing"):
        sagemaker.search(Resource="TrainingJob", SortBy="Nothing")
    with pytest.raises(ClientError, match="takes no Value"):
        found(sagemaker, "TrainingJob", where("TrainingJobName", "x", "Exists"))
    with pytest.raises(ClientError, match="needs a Value"):
        found(sagemaker, "TrainingJob", {"Name": "TrainingJobName", "Operator": "Equals"})
