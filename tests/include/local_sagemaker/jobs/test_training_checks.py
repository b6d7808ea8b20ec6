"""Requirements on training job requests beyond the API model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.job_requests import finished_training, training

Names = Callable[[str], str]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 28 * 86400 + 1}}, "must not exceed 28 days"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/tmp/c"}}, "must be below /opt/ml/"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/../../c"}}, "must be below /opt/ml/"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/c", "LocalPath": "/opt/mlx"}}, "must be below /opt/ml/"),
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds"),
    ],
)
def test_refused(sagemaker: Any, names: Names, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
        sagemaker.create_training_job(**{**training(names("no"), ["true"]), **change})


def test_checkpoints_may_lie_elsewhere_below_opt_ml(sagemaker: Any, s3: Any, names: Names) -> None:
    name = names("elsewhere")
    checkpoints = {"S3Uri": f"https://s3.amazonaws.com/ml-local/{name}", "LocalPath": "/opt/ml/mine"}
    command = ["sh", "-c", "echo 7 > /opt/ml/mine/count"]
    sagemaker.create_training_job(**training(name, command, CheckpointConfig=checkpoints))
    assert finished_training(sagemaker, name)["TrainingJobStatus"] == "Completed"
    assert s3.get_object(Bucket="ml-local", Key=f"{name}/count")["Body"].read() == b"7\n"


def test_checkpoints_in_no_bucket_fail_the_job(sagemaker: Any, names: Names) -> None:
    name = names("nowhere")
    sagemaker.create_training_job(**training(name, ["true"], CheckpointConfig={"S3Uri": "s3://there-is-none/c"}))
    job = finished_training(sagemaker, name)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Data download failed:s3://there-is-none/c")


GROUP = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "InstanceGroupName": "one"}


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"InstanceType": "ml.m5.large", "InstanceCount": 0, "VolumeSizeInGB": 1}, "InstanceCount must be at least 1"),
        ({"InstanceType": "ml.m5.large", "InstanceCount": 1}, "VolumeSizeInGB must be at least 1 for ml.m5.large"),
        ({"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 0}, "VolumeSizeInGB must be at least 1"),
        ({"InstanceGroups": [GROUP, {**GROUP, "InstanceCount": 0}], "VolumeSizeInGB": 1}, "InstanceCount must be"),
        ({"InstanceGroups": [GROUP]}, "VolumeSizeInGB must be at least 1"),
        (
            {"InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
            "must have InstanceType and InstanceCount, or InstanceGroups",
        ),
    ],
)
def test_resources_that_no_job_can_have(sagemaker: Any, names: Names, resources: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
        sagemaker.create_training_job(**training(names("no"), ["true"], ResourceConfig=resources))


def test_instances_with_disks_need_no_volume(sagemaker: Any, names: Names) -> None:
    for kind in ("ml.g5.xlarge", "ml.p4d.24xlarge", "ml.r5d.large", "ml.g6e.xlarge", "ml.trn1.2xlarge"):
        request = training(names("disks"), ["true"], ResourceConfig={"InstanceType": kind, "InstanceCount": 1})
        sagemaker.create_training_job(**request)
        finished_training(sagemaker, request["TrainingJobName"])
