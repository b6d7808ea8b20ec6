"""One bucket in memory, with as much of boto3's client as tasks use, S3's conditional writes among it."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from botocore.exceptions import ClientError


class FakeS3:
    """``log`` has every change in order, as ``(operation, key)``; ``fail_at`` a key whose change fails, once."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.log: list[tuple[str, str]] = []
        self.fail_at: str | None = None

    def etag(self, key: str) -> str | None:
        return f'"{hashlib.md5(self.objects[key]).hexdigest()}"' if key in self.objects else None  # noqa: S324

    def _changed(self, operation: str, key: str) -> None:
        if self.fail_at and self.fail_at in key:
            self.fail_at = None
            raise ClientError({"Error": {"Code": "InternalError"}}, operation)
        self.log.append((operation, key))

    def get_paginator(self, operation: str) -> FakeS3:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803 - as boto3 spells it
        found = [
            {"Key": key, "Size": len(body), "ETag": self.etag(key)}
            for key, body in sorted(self.objects.items())
            if key.startswith(Prefix)
        ]
        return [{"Contents": found}, {}]

    def list_objects_v2(self, Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:  # noqa: N803
        found = self.paginate(Bucket, Prefix)[0]["Contents"][:MaxKeys]
        return {"Contents": found} if found else {}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Key]), "ETag": self.etag(Key)}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        return {"ContentLength": len(self.objects[Key])}

    def put_object(self, Bucket: str, Key: str, Body: bytes, ContentType: str = "", **only_if: str) -> None:  # noqa: N803
        found = self.etag(Key)
        if (only_if.get("IfNoneMatch") == "*" and found) or only_if.get("IfMatch", found) != found:
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        self._changed("put", Key)
        self.objects[Key] = Body

    def copy_object(self, Bucket: str, Key: str, CopySource: dict[str, str]) -> None:  # noqa: N803
        self._changed("copy", Key)
        self.objects[Key] = self.objects[CopySource["Key"]]

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> None:  # noqa: N803
        for each in Delete["Objects"]:
            self._changed("delete", each["Key"])
            del self.objects[each["Key"]]
