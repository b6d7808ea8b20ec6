"""Damaged manifests of scores are read, or refused with a message that names the object."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import strategies as st

from include.score.published import PublishedError, lost_scores, read_published
from tests.fuzz.examples import JSON, attempt, damaged, fuzz
from tests.include.published import manifest

MODEL, DAY = "pumps", "2015-06-01"
FILE = {"key": f"scores/{MODEL}/date={DAY}/part-1.parquet", "rows": 7, "bytes": 100, "sha256": "0" * 64}
JOB = {"task": "score", "instance_type": "ml.m5.large", "instance_count": 1, "billable_seconds": 60}
INPUT = {"key": "daily/pumps/date=2015-06-01/a.csv", "bytes": 3, "etag": "abc"}
GOOD = manifest(MODEL, DAY, files=[FILE], jobs=[JOB], inputs=[INPUT])
FRAGMENTS = [
    b'"',
    b",",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"-1",
    b"1e999",
    b"NaN",
    b"\xff",
    b"\0",
    b"\\ud800",
    b"true",
]


class OneObject:
    """An S3 in which every object is this one."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def get_object(self, **_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.content), "ETag": "abc"}

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Contents": [{"Key": FILE["key"], "Size": 100, "ETag": "abc"}]}]


def changed(name: str, value: Any, *, inside: bool) -> bytes:
    found = json.loads(json.dumps(GOOD))
    place = found[name][0] if inside and isinstance(found[name], list) and found[name] else found
    place[next(iter(place)) if place is not found else name] = value
    return json.dumps(found).encode()


def test_manifests() -> None:
    def check(content: bytes) -> None:
        s3: Any = OneObject(content)
        found, error = attempt(lambda: read_published(s3, "bucket", MODEL, DAY), PublishedError)
        if error:
            assert f"s3://bucket/scores/{MODEL}/date={DAY}/_SUCCESS.json is invalid (" in str(error)
        if found:
            assert lost_scores(s3, "bucket", found) == [
                file["key"] for file in found["files"] if file["key"] != FILE["key"]
            ]
            json.dumps([found["digest"], found["rows"], found["jobs"]])

    other = st.builds(changed, st.sampled_from(sorted(GOOD)), JSON, inside=st.booleans())
    fuzz("manifests", damaged(st.just(json.dumps(GOOD).encode()), FRAGMENTS) | other, check)
