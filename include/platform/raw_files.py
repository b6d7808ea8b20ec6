"""The raw data that a run read: keys, sizes and ETags below a prefix in S3."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypedDict

from include.models.config.files import text_bytes
from include.platform.storage import split_uri

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


class RawFile(TypedDict):
    key: str
    bytes: int
    etag: str


def list_raw_data(s3: S3Client, bucket: str, prefix: str) -> list[RawFile]:
    """Every object below a prefix, sorted by key.

    Raises:
        botocore.exceptions.ClientError: the bucket does not exist or is not readable.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [
        {"key": item["Key"], "bytes": item["Size"], "etag": item["ETag"].strip('"')}
        for page in pages
        for item in page.get("Contents", [])
    ]


def copy_files(s3: S3Client, source: str, into: str) -> None:
    """Copies the objects below an S3 URI to a key prefix of the same bucket, under the last parts of their names."""
    bucket, prefix = split_uri(source)
    for file in list_raw_data(s3, bucket, prefix):
        key = into + file["key"].rpartition("/")[2]
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": file["key"]})


def raw_megabytes(files: Iterable[RawFile]) -> float:
    """The approximate size of the files' text in megabytes, uncompressed."""
    return sum(text_bytes(file["key"], file["bytes"]) for file in files) / 2**20


def manifest_digest(files: list[RawFile]) -> str:
    """Equal for two runs if and only if they read the same data."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def lineage_entries(files: list[RawFile], limit: int) -> Mapping[str, str]:
    """``data_<file>`` to ETag, for the first ``limit`` files: the Model Registry keeps few metadata entries."""
    return {f"data_{file['key'].rsplit('/', 1)[-1]}": file["etag"] for file in files[:limit]}
