"""A job's inputs: which objects each host gets, and where they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from include.local_sagemaker.containers.s3_transfer import S3Object, download, list_manifest, list_prefix, parse_uri
from include.local_sagemaker.jobs.job_queue import Job

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


@dataclass(frozen=True)
class Channel:
    """One S3 input: `directory` is below /opt/ml, relative to it."""

    uri: str
    directory: str
    data_type: str = "S3Prefix"  # or ManifestFile
    distribution: str = "FullyReplicated"  # or ShardedByS3Key


def fetch(job: Job, channels: Sequence[Channel], roots: Sequence[Path], role: str) -> None:
    """Downloads every channel for every host (`roots` are the hosts' /opt/ml); returns early if the job should stop.
    Raises TransferError."""
    s3 = job.region.client("s3")
    for channel in channels:
        bucket, objects = _objects(s3, channel, job.region.name, role)
        for index, root in enumerate(roots):
            directory = root / channel.directory
            directory.mkdir(parents=True, exist_ok=True)
            mine = objects[index :: len(roots)] if channel.distribution == "ShardedByS3Key" else objects
            download(s3, bucket, mine, directory, job.interrupted)


def _objects(s3: S3Client, channel: Channel, region: str, role: str) -> tuple[str, list[S3Object]]:
    if channel.data_type == "ManifestFile":
        return list_manifest(s3, channel.uri)
    return parse_uri(channel.uri)[0], list_prefix(s3, channel.uri, region=region, role=role)
