"""Constraints of a training job's request beyond those of the API's model."""

from __future__ import annotations

from pathlib import Path

import regex

from include.local_sagemaker.core.errors import ValidationException
from include.local_sagemaker.core.store import Json
from include.local_sagemaker.jobs import warm_pools

DEFAULT_MAX_RUNTIME = 86400
LONGEST_MAX_RUNTIME = 28 * 86400
# families with local disks, which need no volume: p4d, g5, trn1, m5d, c6gd, ...
_HAS_DISKS = regex.compile(r"ml\.(p4de?|p[5-9][\w-]*|g4dn|g[5-9]\w*|gr\d|trn\d\w*|[a-z]+\d+[a-z]*d[a-z]*)\.")


def check_training(request: Json) -> None:
    """Raises ValidationException: what SageMaker refuses beyond the constraints of its API model."""
    algorithm = request.get("AlgorithmSpecification", {})
    if ("TrainingImage" in algorithm) == ("AlgorithmName" in algorithm):
        raise ValidationException("AlgorithmSpecification must have exactly one of TrainingImage and AlgorithmName.")
    if "AlgorithmName" in algorithm:
        raise ValidationException(f"Could not find algorithm {algorithm['AlgorithmName']}.")
    if "ResourceConfig" not in request or "OutputDataConfig" not in request:
        raise ValidationException("ResourceConfig and OutputDataConfig are required to create a training job.")
    check_resources(request["ResourceConfig"])
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", ())]
    for name in names:
        if names.count(name) > 1:
            raise ValidationException(f"Duplicate channel name {name}: channel names must be unique in a training job.")
    for channel in request.get("InputDataConfig", ()):
        if "S3DataSource" not in channel["DataSource"]:
            raise ValidationException(f"Channel {channel['ChannelName']} must have an S3DataSource.")
    for definition in algorithm.get("MetricDefinitions", ()):
        _check_regex(definition)
    _check_times(request)
    _check_checkpoints(request)
    warm_pools.check(request)


def check_resources(resources: Json) -> None:
    """Check a training job's resources, or those that a tuning job gives each training job.

    Raises:
        ValidationException: no instances, or no volume for instances without local disks.
    """
    groups = resources.get("InstanceGroups") or resources.get("InstanceConfigs") or [resources]
    for group in groups:
        if not {"InstanceType", "InstanceCount"} <= group.keys():
            raise ValidationException("ResourceConfig must have InstanceType and InstanceCount, or InstanceGroups.")
        if group["InstanceCount"] == 0:
            raise ValidationException("InstanceCount must be at least 1.")
        volume = group.get("VolumeSizeInGB", resources.get("VolumeSizeInGB", 0))
        if not volume and not _HAS_DISKS.match(group["InstanceType"]):
            raise ValidationException(
                f"VolumeSizeInGB must be at least 1 for {group['InstanceType']}, which has no local disks."
            )


def _check_regex(definition: Json) -> None:
    try:
        compiled = regex.compile(definition["Regex"])
    except regex.error as error:
        raise ValidationException(
            f"Metric {definition['Name']}: invalid Regex {definition['Regex']!r}: {error}"
        ) from error
    if compiled.groups == 0:
        raise ValidationException(
            f"Metric {definition['Name']}: the Regex {definition['Regex']!r} has no group that captures the value."
        )


def _check_times(request: Json) -> None:
    stopping = request.get("StoppingCondition", {})
    longest = stopping.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME)
    if longest > LONGEST_MAX_RUNTIME:
        raise ValidationException(f"MaxRuntimeInSeconds ({longest}) must not exceed 28 days ({LONGEST_MAX_RUNTIME}).")
    if request.get("EnableManagedSpotTraining"):
        if stopping.get("MaxWaitTimeInSeconds", 0) < longest:
            raise ValidationException(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
            )
    elif "MaxWaitTimeInSeconds" in stopping:
        raise ValidationException(
            "MaxWaitTimeInSeconds above 0 is supported only for managed spot training: set EnableManagedSpotTraining."
        )


def _check_checkpoints(request: Json) -> None:
    path = request.get("CheckpointConfig", {}).get("LocalPath", "/opt/ml/checkpoints")
    if not path.startswith("/opt/ml/") or ".." in Path(path).parts:
        raise ValidationException(f"LocalPath {path} of CheckpointConfig is invalid: it must be below /opt/ml/.")
