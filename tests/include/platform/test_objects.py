"""JSON objects in S3: an absent one is nothing, a damaged one says which it is."""

from __future__ import annotations

import pytest

from include.platform.objects import read_json
from tests.include.local_aws import LocalS3


def test_what_is_not_there_is_none_and_what_is_there_is_read(s3: LocalS3) -> None:
    assert read_json(s3, "s3://bucket/a.json") is None
    s3.objects["a.json"] = b'{"a": 1}'
    assert read_json(s3, "s3://bucket/a.json") == {"a": 1}


@pytest.mark.parametrize("body", [b"", b'{"a": ', b"\xff\xfe"])
def test_what_is_not_json_is_named_with_what_to_do(s3: LocalS3, body: bytes) -> None:
    s3.objects["a.json"] = body
    with pytest.raises(ValueError, match=r"s3://bucket/a\.json is not JSON \(.*\)\. Restore an earlier version of it"):
        read_json(s3, "s3://bucket/a.json")
