"""Reads and writes S3 objects: as JSON, as text, and conditionally on an ETag. Independent of Airflow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from include.platform.storage import split_uri

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

ABSENT = ("NoSuchKey", "404")
OVERTAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


def read_json(s3: S3Client, uri: str) -> Any:
    """The content of a JSON object; None if it does not exist. Raises: as ``parsed``."""
    body, _ = read_versioned(s3, uri)
    return None if body is None else parsed(uri, body)


def parsed(uri: str, body: bytes) -> Any:
    """The content of a JSON object that has been read.

    Raises:
        ValueError: it is not JSON; the message says what to do.
    """
    try:
        return json.loads(body)
    except ValueError as error:  # not UTF-8 either
        raise ValueError(
            f"{uri} is not JSON ({error}). Restore an earlier version of it, then clear this task."
        ) from error


def read_versioned(s3: S3Client, uri: str) -> tuple[bytes | None, str | None]:
    """An object's content and ETag, for ``write_if_unchanged``; (None, None) if it does not exist."""
    bucket, key = split_uri(uri)
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ABSENT:
            raise
        return None, None
    return found["Body"].read(), found["ETag"]


def write_if_unchanged(
    s3: S3Client, uri: str, body: bytes, etag: str | None, content_type: str = "application/json"
) -> bool:
    """Writes an object unless it has changed since it was read; returns whether it was written.

    Args:
        etag: as returned by ``read_versioned``; None if there was no object.

    Raises:
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    bucket, key = split_uri(uri)
    try:
        if etag:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, IfMatch=etag)
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] not in OVERTAKEN:
            raise
        return False
    return True


def write_text(s3: S3Client, uri: str, content: str, content_type: str = "application/json") -> None:
    """Writes a text object."""
    bucket, key = split_uri(uri)
    s3.put_object(Bucket=bucket, Key=key, Body=content.encode(), ContentType=content_type)
