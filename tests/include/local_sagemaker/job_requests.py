"""Requests for small jobs, and waiting for them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tests.include.local_sagemaker.local_server import IMAGE, ROLE

Json = dict[str, Any]
_ACTIVE = {"InProgress", "Stopping"}


def processing(name: str, command: Sequence[str], **more: Any) -> Json:
    """`inputs` and `outputs` (name -> S3 URI) are at /opt/ml/processing/{input,output}/<name>."""
    inputs, outputs = more.pop("inputs", {}), more.pop("outputs", {})
    upload = more.pop("upload", "EndOfJob")
    distribution = more.pop("distribution", "FullyReplicated")
    return {
        "ProcessingJobName": name,
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": more.pop("image", IMAGE), "ContainerEntrypoint": list(command)},
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": more.pop("instances", 1),
                "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 10,
            }
        },
        "ProcessingInputs": [
            {
                "InputName": key,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": f"/opt/ml/processing/input/{key}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                    "S3DataDistributionType": distribution,
                },
            }
            for key, uri in inputs.items()
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": key,
                    "S3Output": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/output/{key}",
                        "S3UploadMode": upload,
                    },
                }
                for key, uri in outputs.items()
            ]
        },
        **more,
    }


def training(name: str, command: Sequence[str] | None, output: str = "s3://ml-local/models", **more: Any) -> Json:
    """`channels`: name -> S3 URI; `metrics`: name -> expression."""
    algorithm = {"TrainingImage": more.pop("image", IMAGE), "TrainingInputMode": "File"}
    if command is not None:
        algorithm["ContainerEntrypoint"] = list(command)
    if "metrics" in more:
        algorithm["MetricDefinitions"] = [{"Name": key, "Regex": regex} for key, regex in more.pop("metrics").items()]
    channels = more.pop("channels", {})
    distribution = more.pop("distribution", "FullyReplicated")
    request = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": algorithm,
        "OutputDataConfig": {"S3OutputPath": output},
        "ResourceConfig": {
            "InstanceCount": more.pop("instances", 1),
            "InstanceType": "ml.m5.large",
            "VolumeSizeInGB": 10,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": more.pop("seconds", 60)},
        **more,
    }
    if channels:
        request["InputDataConfig"] = [
            {
                "ChannelName": key,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": uri,
                        "S3DataDistributionType": distribution,
                    }
                },
            }
            for key, uri in channels.items()
        ]
    return request


def finished_processing(sagemaker: Any, name: str, seconds: float = 60) -> Json:
    return _finished(lambda: sagemaker.describe_processing_job(ProcessingJobName=name), "ProcessingJobStatus", seconds)


def finished_training(sagemaker: Any, name: str, seconds: float = 60) -> Json:
    return _finished(lambda: sagemaker.describe_training_job(TrainingJobName=name), "TrainingJobStatus", seconds)


def _finished(describe: Any, status: str, seconds: float) -> Json:
    deadline = time.monotonic() + seconds
    while (found := describe())[status] in _ACTIVE:
        assert time.monotonic() < deadline, f"still {found[status]} after {seconds} s"
        time.sleep(0.03)
    result: Json = found
    return result


def run_processing(sagemaker: Any, request: Json) -> Json:
    sagemaker.create_processing_job(**request)
    return finished_processing(sagemaker, request["ProcessingJobName"])


def run_training(sagemaker: Any, request: Json) -> Json:
    sagemaker.create_training_job(**request)
    return finished_training(sagemaker, request["TrainingJobName"])


def log_lines(logs: Any, group: str, job: str) -> list[str]:
    """All lines of all streams of a job, through CloudWatch Logs; none before the log group exists."""
    lines = []
    try:
        streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    for stream in streams:
        token: Json = {}
        while True:
            page = logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True, **token
            )
            lines += [event["message"] for event in page["events"]]
            if token.get("nextToken") == page["nextForwardToken"]:
                break
            token = {"nextToken": page["nextForwardToken"]}
    return lines


def keys(s3: Any, prefix: str) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket="ml-local", Prefix=prefix).get("Contents", ())]
