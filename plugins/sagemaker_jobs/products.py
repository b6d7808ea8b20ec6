"""Checks that a job's outputs exist in S3: its status only tells that the program exited normally."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

log = logging.getLogger(__name__)

MAY_NOT_LOOK = ("AccessDenied", "AccessDeniedException", "403")


def absent(s3: S3Client, uris: Iterable[str]) -> list[str]:
    """The objects, or folders (with a trailing slash), that do not exist.

    If this role may not look, nothing counts as absent: whoever reads the object will find out.

    Raises:
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    return [uri for uri in uris if not _is_there(s3, uri)]


def unanswered(s3: S3Client, inputs: str, outputs: str) -> list[str]:
    """Objects below ``inputs`` without a ``<name>.out`` of a transform job below ``outputs``."""
    try:
        answered = set(_names(s3, outputs))
        return sorted(name for name in _names(s3, inputs) if f"{name}.out" not in answered)
    except ClientError as error:
        if _code(error) not in MAY_NOT_LOOK:
            raise
        log.warning("not allowed to list %s or %s: %s", inputs, outputs, error)
        return []


def _is_there(s3: S3Client, uri: str) -> bool:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    except ClientError as error:
        if _code(error) not in MAY_NOT_LOOK:
            raise
        log.warning("not allowed to check whether %s exists: %s", uri, error)
        return True
    return bool(found["KeyCount"])


def _names(s3: S3Client, uri: str) -> Iterable[str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
        yield from (item["Key"].rpartition("/")[2] for item in page.get("Contents", []))


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")
