"""Unused endpoint configurations and Models, against a stubbed client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from sagemaker_jobs.failures import RequestRefused, Throttled
from sagemaker_jobs.hosting import content_name, delete_endpoint, ensure_endpoint_config, ensure_model, prune

from .conftest import Answers

OLD, NEW = datetime.now(UTC) - timedelta(hours=2), datetime.now(UTC)
ARN = "arn:aws:sagemaker:eu-west-1:123456789012"


def digest(number: int) -> str:
    return f"pumps-{number:012x}"


def expect_pages(sagemaker: Stubber, operation: str, field: str, filters: dict[str, Any], *pages: list[Any]) -> None:
    for number, page in enumerate(pages, 1):
        token = {} if number == 1 else {"NextToken": str(number)}
        following = {} if number == len(pages) else {"NextToken": str(number + 1)}
        sagemaker.add_response(operation, {field: page, **following}, {**filters, **token})


def config(name: str, created: datetime = OLD) -> dict[str, Any]:
    return {"EndpointConfigName": name, "EndpointConfigArn": f"{ARN}:endpoint-config/{name}", "CreationTime": created}


def model(name: str, created: datetime = OLD) -> dict[str, Any]:
    return {"ModelName": name, "ModelArn": f"{ARN}:model/{name}", "CreationTime": created}


def test_what_nobody_needs_is_removed_and_nothing_else(sagemaker: Answers) -> None:
    ours = {"NameContains": "pumps"}
    times = {"CreationTime": OLD, "LastModifiedTime": OLD}
    endpoint = {"EndpointName": "pumps", "EndpointArn": f"{ARN}:endpoint/pumps", "EndpointStatus": "Updating", **times}
    expect_pages(sagemaker, "list_endpoints", "Endpoints", ours, [endpoint])
    pending = {"EndpointConfigName": digest(1), "PendingDeploymentSummary": {"EndpointConfigName": digest(2)}}
    sagemaker.add_response("describe_endpoint", {**endpoint, **pending}, {"EndpointName": "pumps"})
    made = [config(digest(number)) for number in (1, 2, 3, 4)]
    others = [config("other-pumps-000000000005"), config("pumps-by-hand"), config(f"{digest(6)}-copy")]
    pages = [made, [config(digest(7), NEW), config(digest(8)), *others]]
    expect_pages(sagemaker, "list_endpoint_configs", "EndpointConfigs", ours, *pages)
    job = {
        "TransformJobName": "score",
        "TransformJobArn": f"{ARN}:transform-job/score",
        "TransformJobStatus": "InProgress",
        "CreationTime": OLD,
    }
    running = {"StatusEquals": "InProgress"}
    expect_pages(sagemaker, "list_transform_jobs", "TransformJobSummaries", running, [job])
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}}
    request = {
        "ModelName": digest(0x20),
        "TransformInput": {"DataSource": source},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    sagemaker.add_response("describe_transform_job", {**job, **request}, {"TransformJobName": "score"})
    # in use, about to be, marked to be kept, and young: described in any order
    kept = [digest(number) for number in (1, 2, 3, 7)]
    variants = [{"VariantName": "A", "ModelName": digest(0x21)}, {"VariantName": "B", "ModelName": digest(0x22)}]
    for _ in kept:
        sagemaker.add_response("describe_endpoint_config", {**config("any"), "ProductionVariants": variants})
    for number in (4, 8):
        sagemaker.add_response("delete_endpoint_config", {}, {"EndpointConfigName": digest(number)})
    models = [model(digest(number)) for number in (0x20, 0x21, 0x22, 0x24)] + [
        model(digest(0x25), NEW),
        model("pumps-own"),
    ]
    expect_pages(sagemaker, "list_models", "Models", ours, models, [model(digest(0x28))])
    for number in (0x24, 0x28):
        sagemaker.add_response("delete_model", {}, {"ModelName": digest(number)})
    removed = prune(sagemaker.client, "pumps", [digest(3)])
    assert removed == {"endpoint_configs": [digest(4), digest(8)], "models": [digest(0x24), digest(0x28)]}
    asked = [params["EndpointConfigName"] for name, params in sagemaker.asked if name == "DescribeEndpointConfig"]
    assert sorted(asked) == kept


@pytest.mark.parametrize(
    ("code", "expected"), [("AccessDeniedException", RequestRefused), ("ThrottlingException", Throttled)]
)
def test_what_cannot_be_pruned_is_said(sagemaker: Stubber, code: str, expected: type[Exception]) -> None:
    sagemaker.add_client_error("list_endpoints", code, "not today", 400)
    with pytest.raises(expected, match=r"refused to remove stale resources of pumps: .*not today"):
        prune(sagemaker.client, "pumps", [])


@pytest.mark.parametrize(
    ("code", "expected"), [("AccessDeniedException", RequestRefused), ("ThrottlingException", Throttled)]
)
def test_a_model_that_cannot_be_looked_for_is_said(sagemaker: Stubber, code: str, expected: type[Exception]) -> None:
    request = {"ModelName": "pumps"}
    sagemaker.add_client_error("describe_model", code, "not today", 400)
    said = rf"refused to describe the model {content_name('pumps', request)}: .*not today"
    with pytest.raises(expected, match=said):
        ensure_model(sagemaker.client, request)


def test_a_configuration_that_cannot_be_made_is_said(sagemaker: Stubber) -> None:
    sagemaker.add_client_error("describe_endpoint_config", "ValidationException")
    sagemaker.add_client_error("create_endpoint_config", "ValidationException", "not this one", 400)
    request = {"EndpointConfigName": "pumps", "ProductionVariants": [{"VariantName": "A"}]}
    with pytest.raises(
        RequestRefused, match=r"refused to create the endpoint config pumps-[0-9a-f]{12}: .*not this one"
    ):
        ensure_endpoint_config(sagemaker.client, request, "model")


def endpoint(status: str) -> dict[str, Any]:
    times = {"CreationTime": OLD, "LastModifiedTime": OLD}
    return {"EndpointName": "pumps", "EndpointArn": f"{ARN}:endpoint/pumps", "EndpointStatus": status, **times}


@pytest.mark.parametrize("status", ["InService", "Failed", "Deleting"])
def test_an_endpoint_is_deleted_once_and_its_end_awaited(sagemaker: Stubber, status: str) -> None:
    sagemaker.add_response("describe_endpoint", endpoint(status), {"EndpointName": "pumps"})
    if status != "Deleting":
        sagemaker.add_response("delete_endpoint", {}, {"EndpointName": "pumps"})
    sagemaker.add_client_error("describe_endpoint", "ValidationException", "Could not find endpoint", 400)
    assert delete_endpoint(sagemaker.client, "pumps")


def test_an_endpoint_that_is_gone_is_not_deleted_and_one_that_may_not_be_looked_at_is_not_taken_as_gone(
    sagemaker: Stubber,
) -> None:
    sagemaker.add_client_error("describe_endpoint", "ValidationException", "Could not find endpoint", 400)
    assert not delete_endpoint(sagemaker.client, "pumps")
    sagemaker.add_client_error("describe_endpoint", "AccessDeniedException", "not today", 400)
    with pytest.raises(ClientError, match="not today"):
        delete_endpoint(sagemaker.client, "pumps")


def test_names_of_content_stay_what_they_are() -> None:
    """With other names, a deployment would create every Model and configuration a second time."""
    request = {"ModelName": "pumps", "PrimaryContainer": {"Image": "image"}}
    assert content_name("pumps", request) == "pumps-62b78e06c755"
    assert (
        content_name("pumps", {**request, "ModelName": "x", "EndpointConfigName": "y", "Tags": []})
        == "pumps-62b78e06c755"
    )
    assert content_name("a" * 49 + "-and-more", request) == "a" * 49 + "-62b78e06c755"
