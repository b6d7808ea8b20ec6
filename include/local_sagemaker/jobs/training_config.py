"""What a training program finds in /opt/ml/input/config and, without a private /opt/ml, in its environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from include.local_sagemaker.core.store import Json


def toolkit_variables(document: Json) -> dict[str, str]:
    """What SageMaker's training toolkit would set. A plain container does not get these; without a private /opt/ml they
    tell a program where its directories are."""
    channels = {
        f"SM_CHANNEL_{channel['ChannelName'].upper()}": f"/opt/ml/input/data/{channel['ChannelName']}"
        for channel in document.get("InputDataConfig", ())
    }
    return {
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_OUTPUT_DIR": "/opt/ml/output",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
        "SM_INPUT_DIR": "/opt/ml/input",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
        "SM_HPS": json.dumps(document.get("HyperParameters", {})),
        **channels,
    }


def write_config(directory: Path, document: Json, hosts: list[str], host: str) -> None:
    algorithm, resources = document["AlgorithmSpecification"], document["ResourceConfig"]
    groups = resources.get(
        "InstanceGroups",
        [
            {
                "InstanceGroupName": "homogeneousCluster",
                "InstanceType": resources.get("InstanceType"),
                "InstanceCount": len(hosts),
            }
        ],
    )
    members = dict(_group_members(groups, hosts))
    mine = next(group for group in groups if host in members[group["InstanceGroupName"]])
    resource_config = {
        "current_host": host,
        "current_instance_type": mine["InstanceType"],
        "current_group_name": mine["InstanceGroupName"],
        "hosts": hosts,
        "instance_groups": [
            {
                "instance_group_name": group["InstanceGroupName"],
                "instance_type": group["InstanceType"],
                "hosts": members[group["InstanceGroupName"]],
            }
            for group in groups
        ],
        "network_interface_name": "lo",
    }
    input_data = {
        channel["ChannelName"]: {
            "TrainingInputMode": channel.get("InputMode", algorithm["TrainingInputMode"]),
            "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                "S3DataDistributionType", "FullyReplicated"
            ),
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
        }
        for channel in document.get("InputDataConfig", ())
    }
    for name, content in (
        ("hyperparameters.json", document.get("HyperParameters", {})),
        ("inputdataconfig.json", input_data),
        ("resourceconfig.json", resource_config),
    ):
        (directory / name).write_text(json.dumps(content))


def _group_members(groups: list[Json], hosts: list[str]) -> Iterator[tuple[str, list[str]]]:
    first = 0
    for group in groups:
        yield group["InstanceGroupName"], hosts[first : first + group["InstanceCount"]]
        first += group["InstanceCount"]
