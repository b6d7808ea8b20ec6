"""S3 addresses; what is copied while a program runs, and which error is reported if both fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.local_sagemaker.containers.s3_transfer import TransferError, continuous_uploads, parse_uri


class Bucket:
    """Records uploads; refuses the keys in ``refused``."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.keys: list[str] = []

    def upload_file(self, file: str, bucket: str, key: str, **_: Any) -> None:
        if self.refused and self.refused in key:
            error = {"Code": "AccessDenied", "Message": "no"}
            raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}, "PutObject")
        self.keys.append(key)


@pytest.fixture
def places(tmp_path: Path) -> list[tuple[Path, str]]:
    made = [(tmp_path / name, f"s3://bucket/{name}") for name in ("one", "two")]
    for folder, _ in made:
        folder.mkdir()
    return made


def run(bucket: Any, places: list[tuple[Path, str]], error: Exception | None = None) -> None:
    """A program that writes to every folder at its end, and may then fail."""
    with continuous_uploads(bucket, places):
        for folder, _ in places:
            (folder / "late").write_text("x")
        if error:
            raise error


def test_what_is_written_until_the_end_is_copied(places: list[tuple[Path, str]]) -> None:
    bucket = Bucket()
    run(bucket, places)
    assert sorted(bucket.keys) == ["one/late", "two/late"]


def test_a_copy_that_fails_is_told_and_the_others_are_made(places: list[tuple[Path, str]]) -> None:
    bucket = Bucket(refused="one")
    with pytest.raises(TransferError, match="Artifact upload failed:s3://bucket/one/late"):
        run(bucket, places)
    assert bucket.keys == ["two/late"]


def test_the_programs_own_error_is_not_hidden(places: list[tuple[Path, str]]) -> None:
    with pytest.raises(RuntimeError, match="its own") as failure:
        run(Bucket(refused="one"), places, RuntimeError("its own"))
    assert "Artifact upload failed" in failure.value.__notes__[0]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket.a/some/key",
        "https://s3.amazonaws.com/bucket.a/some/key",
        "https://s3.us-east-1.amazonaws.com/bucket.a/some/key",
        "https://s3-us-west-2.amazonaws.com/bucket.a/some/key",
        "https://bucket.a.s3.amazonaws.com/some/key",
        "https://bucket.a.s3.us-east-1.amazonaws.com/some/key",
        "https://bucket.a.s3.dualstack.us-east-1.amazonaws.com/some/key",
        "https://bucket.a.s3-us-west-2.amazonaws.com/some/key",
    ],
)
def test_one_object_has_many_addresses(uri: str) -> None:
    assert parse_uri(uri) == ("bucket.a", "some/key")


def test_a_bucket_alone() -> None:
    assert parse_uri("s3://bucket") == ("bucket", "")
