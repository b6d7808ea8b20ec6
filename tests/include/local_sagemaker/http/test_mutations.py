"""Almost valid requests: any mistake gets an AWS error, never an internal error."""

from __future__ import annotations

import copy
import json
import random
import time
from typing import Any

import pytest

from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting
from tests.include.local_sagemaker.jobs.test_transform import Transforms
from tests.include.local_sagemaker.jobs.test_tuning import GRID, RANGES, tuning_request
from tests.include.local_sagemaker.local_server import IMAGE, ROLE, call

ODD: tuple[Any, ...] = (
    None, "", "x" * 300, "s3://", "s3://nowhere/x", "arn:aws:sagemaker:us-east-1:123456789012:model-package/x/1", "$[",
    -1, 0, 1, 10**12, 1.5, True, [], {}, [{}], {"x": "y"}, "None", "Line", "é\u0000",
)  # fmt: skip
ROUNDS = 60


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in below for place in _places(item, (*path, key)))]


def _mutated(request: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A copy with one or two values replaced or removed."""
    changed = copy.deepcopy(request)
    for _ in range(dice.choice((1, 1, 2))):
        *parents, last = dice.choice(_places(changed)[1:])
        holder: Any = changed
        for key in parents:
            holder = holder[key]
        if dice.random() < 0.3:
            del holder[last]
        else:
            holder[last] = dice.choice(ODD)
        if not changed:
            break
    return changed


def _requests(hosting: Hosting) -> dict[str, dict[str, Any]]:
    transforms = Transforms(hosting)
    endpoint = hosting.endpoint(hosting.config(hosting.model()))
    group = hosting.name("group")
    hosting.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    specification = {"Containers": [{"Image": IMAGE, "ModelDataUrl": ARTIFACT}], "SupportedContentTypes": ["text/csv"]}
    package = hosting.sagemaker.create_model_package(ModelPackageGroupName=group, InferenceSpecification=specification)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": transforms.model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1,
        "ContainerStartupHealthCheckTimeoutInSeconds": 60,
    }
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 10,
        "DestinationS3Uri": f"s3://{BUCKET}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    routing = {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 0,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
    }
    deployment = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": 0},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "nowhere"}]},
    }
    transform = transforms.request(
        transforms.put(a_csv=b"1,2\n"), DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input"}
    )
    transform |= {"MaxPayloadInMB": 1, "MaxConcurrentTransforms": 1, "BatchStrategy": "MultiRecord"}
    container = {"Image": IMAGE, "ModelDataUrl": ARTIFACT, "Environment": {"A": "b"}}
    return {
        "CreateModel": {"ModelName": "mutated", "ExecutionRoleArn": ROLE, "PrimaryContainer": container},
        "CreateEndpointConfig": {
            "EndpointConfigName": "mutated",
            "ProductionVariants": [variant],
            "DataCaptureConfig": capture,
        },
        "UpdateEndpoint": {
            "EndpointName": endpoint,
            "EndpointConfigName": "nowhere",
            "RetainAllVariantProperties": True,
            "DeploymentConfig": deployment,
        },
        "UpdateEndpointWeightsAndCapacities": {
            "EndpointName": endpoint,
            "DesiredWeightsAndCapacities": [{"VariantName": "B", "DesiredWeight": 1, "DesiredInstanceCount": 1}],
        },
        "CreateModelPackage": {
            "ModelPackageGroupName": group,
            "InferenceSpecification": specification,
            "ClientToken": "a-token",
            "CustomerMetadataProperties": {"a": "b"},
        },
        "UpdateModelPackage": {
            "ModelPackageArn": package["ModelPackageArn"],
            "ModelApprovalStatus": "Approved",
            "CustomerMetadataProperties": {"a": "b"},
            "CustomerMetadataPropertiesToRemove": ["b"],
            "ModelLifeCycle": {"Stage": "a", "StageStatus": "b"},
        },
        "ListModelPackages": {"ModelPackageGroupName": group, "MaxResults": 1, "NextToken": "W10=", "SortBy": "Name"},
        "CreateTransformJob": transform,
        "CreateHyperParameterTuningJob": tuning_request("mutated-grid", GRID, "Grid"),
        "ListTrainingJobsForHyperParameterTuningJob": {
            "HyperParameterTuningJobName": "nowhere",
            "NextToken": "W10=",
            "SortBy": "FinalObjectiveMetricValue",
        },
    }


@pytest.mark.slow
def test_almost_right_requests(hosting: Hosting) -> None:
    dice = random.Random(11)  # noqa: S311  the same requests every time
    requests = _requests(hosting)
    requests["CreateHyperParameterTuningJob "] = tuning_request("mutated-random", RANGES)
    codes = set()
    for operation, request in requests.items():
        for _ in range(ROUNDS):
            mutated = _mutated(request, dice)
            status, answer = call(hosting.server, operation.strip(), json.dumps(mutated).encode())
            assert status in (200, 400), (operation, mutated, answer)
            codes.add(answer.get("__type"))
    # an accepted job may fail, but must not hang or cause an internal error
    for kind in ("transform", "hyper_parameter_tuning"):
        lists = getattr(hosting.sagemaker, f"list_{kind}_jobs")
        for status in ("InProgress", "Stopping"):
            deadline = 400
            while any(lists(StatusEquals=status).get(key) for key in _LISTS):
                deadline -= 1
                assert deadline, f"{kind} jobs hang in {status}"
                time.sleep(0.1)
    assert {"ValidationException", "SerializationException"} <= codes
    assert "Traceback" not in hosting.server.log, hosting.server.log


_LISTS = ("TransformJobSummaries", "HyperParameterTuningJobSummaries")


def test_odd_invocations(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(hosting.config(hosting.model()))
    for body, content_type in ((b"", "text/csv"), (b"\x00" * 10, "no type"), (b"1", "a" * 1000)):
        assert hosting.invoke(endpoint, body, ContentType=content_type) == body
