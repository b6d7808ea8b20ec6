"""Changes and requests to an endpoint that SageMaker refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.hosting import Hosting

MEGABYTE = 1024 * 1024


def _config(hosting: Hosting, *names: str, kind: str = "ml.m5.large", instances: int = 1, **more: Any) -> str:
    config = hosting.name("config")
    variants = [
        {
            "VariantName": name,
            "ModelName": hosting.model(MODE="echo"),
            "InstanceType": kind,
            "InitialInstanceCount": instances,
        }
        for name in names or ("AllTraffic",)
    ]
    hosting.sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=variants, **more)
    return config


def _serverless(hosting: Hosting) -> str:
    config = hosting.name("config")
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
    variant = {"VariantName": "AllTraffic", "ModelName": hosting.model(MODE="echo"), "ServerlessConfig": serverless}
    hosting.sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[variant])
    return config


def _target(endpoint: str) -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


@pytest.fixture
def endpoint(hosting: Hosting) -> Iterator[str]:
    name = hosting.endpoint(_config(hosting))
    yield name
    hosting.sagemaker.delete_endpoint(EndpointName=name)


@pytest.fixture(scope="module")
def serverless(hosting: Hosting) -> Iterator[str]:
    name = hosting.endpoint(_serverless(hosting))
    yield name
    hosting.sagemaker.delete_endpoint(EndpointName=name)


def _update(hosting: Hosting, endpoint: str, config: str, **more: Any) -> dict[str, Any]:
    hosting.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config, **more)
    return hosting.settled(endpoint)


def test_a_scaled_variant_keeps_its_instance_type(hosting: Hosting, endpoint: str) -> None:
    scaling = hosting.client("application-autoscaling")
    scaling.register_scalable_target(**_target(endpoint), MinCapacity=1, MaxCapacity=3)
    other = _config(hosting, kind="ml.c5.xlarge")
    for config in (other, _config(hosting, "Another")):
        with pytest.raises(ClientError, match=r"\"AllTraffic\" must be deregistered as scalable target"):
            _update(hosting, endpoint, config)
    same = _config(hosting)
    assert _update(hosting, endpoint, same)["EndpointConfigName"] == same
    scaling.deregister_scalable_target(**_target(endpoint))
    assert _update(hosting, endpoint, other)["EndpointConfigName"] == other


def test_deletion_takes_the_scalable_target_away(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(_config(hosting))
    scaling = hosting.client("application-autoscaling")
    scaling.register_scalable_target(**_target(endpoint), MinCapacity=1, MaxCapacity=3)
    hosting.sagemaker.delete_endpoint(EndpointName=endpoint)
    left = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert endpoint not in str(left)


def test_serverless_and_instances_do_not_become_each_other(hosting: Hosting, endpoint: str, serverless: str) -> None:
    cases = ((endpoint, _serverless(hosting)), (serverless, _config(hosting)), (serverless, _config(hosting, "Other")))
    for name, config in cases:
        with pytest.raises(ClientError, match="cannot change between serverless and instances"):
            _update(hosting, name, config)
    assert hosting.settled(endpoint)["EndpointStatus"] == "InService"


@pytest.mark.parametrize(("megabytes", "which"), [(4, "serverless"), (6, "endpoint")])
def test_a_body_that_is_too_large_is_413(
    hosting: Hosting, request: pytest.FixtureRequest, megabytes: int, which: str
) -> None:
    name, most = request.getfixturevalue(which), megabytes * MEGABYTE
    assert len(hosting.invoke(name, b"x" * most)) == most
    with pytest.raises(ClientError) as refused:
        hosting.invoke(name, b"x" * (most + 1))
    answer = refused.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("413", 413)
    assert f"HTTP content length exceeded {most} bytes" in answer["Error"]["Message"]


def _routing(kind: str, name: str, size: tuple[str, int], wait: int = 1) -> dict[str, Any]:
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, name: {"Type": size[0], "Value": size[1]}}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


def _rolling(size: tuple[str, int]) -> dict[str, Any]:
    batch = {"Type": size[0], "Value": size[1]}
    return {"RollingUpdatePolicy": {"MaximumBatchSize": batch, "WaitIntervalInSeconds": 1}}


@pytest.mark.parametrize(
    ("instances", "policy", "refusal"),
    [
        (1, _routing("CANARY", "CanarySize", ("INSTANCE_COUNT", 1)), "CanarySize must be at most 50%"),
        (2, _routing("CANARY", "CanarySize", ("INSTANCE_COUNT", 2)), "CanarySize must be at most 50%"),
        (2, _routing("CANARY", "CanarySize", ("CAPACITY_PERCENT", 51)), "CanarySize must be at most 50%"),
        (1, _routing("LINEAR", "LinearStepSize", ("INSTANCE_COUNT", 1)), "LinearStepSize must be at least 10%"),
        (2, _routing("LINEAR", "LinearStepSize", ("CAPACITY_PERCENT", 9)), "LinearStepSize must be at least 10%"),
        (2, _routing("LINEAR", "LinearStepSize", ("CAPACITY_PERCENT", 60)), "LinearStepSize must be at least 10%"),
        (2, _rolling(("INSTANCE_COUNT", 2)), "MaximumBatchSize must be at least 5%"),
        (2, _rolling(("CAPACITY_PERCENT", 4)), "MaximumBatchSize must be at least 5%"),
        (
            2,
            {
                "BlueGreenUpdatePolicy": {
                    **_routing("CANARY", "CanarySize", ("CAPACITY_PERCENT", 50), 500)["BlueGreenUpdatePolicy"],
                    "TerminationWaitInSeconds": 200,
                    "MaximumExecutionTimeoutInSeconds": 600,
                }
            },
            "MaximumExecutionTimeoutInSeconds",
        ),
    ],
)
def test_deployments_that_the_fleet_does_not_allow(
    hosting: Hosting, endpoint: str, instances: int, policy: dict[str, Any], refusal: str
) -> None:
    with pytest.raises(ClientError, match=rf"ValidationException.*{refusal}"):
        _update(hosting, endpoint, _config(hosting, instances=instances), DeploymentConfig=policy)


def test_steps_need_the_same_variants(hosting: Hosting, endpoint: str, serverless: str) -> None:
    steps = _routing("CANARY", "CanarySize", ("CAPACITY_PERCENT", 50))
    with pytest.raises(ClientError, match="same variant names: AllTraffic are not Another"):
        _update(hosting, endpoint, _config(hosting, "Another"), DeploymentConfig=steps)
    with pytest.raises(ClientError, match="RollingUpdatePolicy is not supported for serverless"):
        _update(hosting, serverless, _serverless(hosting), DeploymentConfig=_rolling(("CAPACITY_PERCENT", 50)))


@pytest.mark.parametrize(("which", "count"), [("endpoint", 0), ("serverless", 2)])
def test_instance_counts(hosting: Hosting, request: pytest.FixtureRequest, which: str, count: int) -> None:
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": count}]
    with pytest.raises(ClientError, match="DesiredInstanceCount"):
        hosting.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=request.getfixturevalue(which), DesiredWeightsAndCapacities=wanted
        )
