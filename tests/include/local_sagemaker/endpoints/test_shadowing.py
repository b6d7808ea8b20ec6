"""Shadow variants receive copies of the requests, and no caller ever sees their answers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import Hosting


def _variant(name: str, model: str, weight: float = 1.0) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": weight,
    }


def _shadowed(hosting: Hosting, share: float, shadow: dict[str, str], **more: Any) -> str:
    config = hosting.name("config")
    hosting.sagemaker.create_endpoint_config(
        EndpointConfigName=config,
        ProductionVariants=[_variant("Production", hosting.model(MODE="name", NAME="production"))],
        ShadowProductionVariants=[_variant("Shadow", hosting.model(**shadow), share)],
        **more,
    )
    return config


def _invocations(hosting: Hosting, endpoint: str, variant: str, metric: str = "Invocations") -> float:
    now = datetime.now(UTC)
    found = hosting.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now + timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in found["Datapoints"]))


def _until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_shadow_gets_all_and_answers_nobody(hosting: Hosting) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/shadow-capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    }
    shadow = {"MODE": "name", "NAME": "shadow"}
    endpoint = hosting.endpoint(_shadowed(hosting, 1.0, shadow, DataCaptureConfig=capture))
    assert {hosting.invoke(endpoint, b"%d" % number) for number in range(20)} == {b"production"}
    _until(lambda: _invocations(hosting, endpoint, "Shadow") == 20)
    described = hosting.sagemaker.describe_endpoint(EndpointName=endpoint)
    assert [one["VariantName"] for one in described["ProductionVariants"]] == ["Production"]
    assert [one["VariantName"] for one in described["ShadowProductionVariants"]] == ["Shadow"]
    with pytest.raises(ClientError, match="Variant Shadow of endpoint"):
        hosting.invoke(endpoint, TargetVariant="Shadow")

    hosting.sagemaker.delete_endpoint(EndpointName=endpoint)  # writes the captured records
    s3, prefix = hosting.client("s3"), f"shadow-capture/{endpoint}/Shadow/"
    _until(lambda: bool(s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["KeyCount"]))
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]
    lines = [
        json.loads(line)["captureData"]
        for key in keys
        for line in s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().splitlines()
    ]
    assert len(lines) == 20
    assert {one["endpointOutput"]["data"] for one in lines} == {"shadow"}


def test_a_share_is_sampled(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(_shadowed(hosting, 0.25, {"MODE": "echo"}))
    for _ in range(400):
        hosting.invoke(endpoint)
    _until(lambda: _invocations(hosting, endpoint, "Production") == 400)
    _until(lambda: _invocations(hosting, endpoint, "Shadow") > 50)
    assert 50 <= _invocations(hosting, endpoint, "Shadow") <= 150  # more than five standard deviations
    hosting.sagemaker.delete_endpoint(EndpointName=endpoint)


def test_a_shadow_that_fails_or_is_slow_harms_nobody(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(_shadowed(hosting, 1.0, {"MODE": "error"}))
    assert hosting.invoke(endpoint) == b"production"
    _until(lambda: _invocations(hosting, endpoint, "Shadow", "Invocation5XXErrors") == 1)
    assert _invocations(hosting, endpoint, "Production", "Invocation5XXErrors") == 0
    slow = _shadowed(hosting, 1.0, {"MODE": "slow"})  # 0.1 s for each answer
    hosting.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=slow)
    hosting.settled(endpoint)
    began = time.monotonic()
    for _ in range(100):
        assert hosting.invoke(endpoint) == b"production"
    assert time.monotonic() - began < 8
    hosting.sagemaker.delete_endpoint(EndpointName=endpoint)


def test_one_production_and_one_shadow_variant(hosting: Hosting) -> None:
    model = hosting.model()
    for production, shadows in ((["A", "B"], ["C"]), (["A"], ["B", "C"])):
        with pytest.raises(ClientError, match="Only one production variant and one shadow variant"):
            hosting.sagemaker.create_endpoint_config(
                EndpointConfigName=hosting.name("config"),
                ProductionVariants=[_variant(name, model) for name in production],
                ShadowProductionVariants=[_variant(name, model) for name in shadows],
            )
