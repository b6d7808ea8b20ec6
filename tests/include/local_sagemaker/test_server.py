"""The underlying HTTP server does not alter requests and answers."""

from __future__ import annotations

from typing import Any

BUCKET = "ml-local"


def test_an_objects_metadata_comes_back_as_it_was_put(s3: Any) -> None:
    metadata = {"cut-from": "X-Amz-Meta-Value", "sha256": "0"}
    s3.put_object(Bucket=BUCKET, Key="with-metadata", Body=b"x", Metadata=metadata)
    assert s3.head_object(Bucket=BUCKET, Key="with-metadata")["Metadata"] == metadata


def test_an_empty_object_can_be_put(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    assert s3.head_object(Bucket=BUCKET, Key="empty")["ContentLength"] == 0
