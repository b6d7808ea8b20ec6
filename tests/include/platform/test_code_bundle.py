from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from include.platform.code_bundle import code_hash, upload_code


class FakeS3:
    """A bucket in memory, with as much of boto3's client as the upload uses."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts = 0

    def get_paginator(self, operation: str) -> FakeS3:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803 - as boto3 spells it
        return [{"Contents": [{"Key": key} for key in self.objects if key.startswith(Prefix)]}, {}]

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803 - as boto3 spells it
        self.objects[Key] = Body
        self.puts += 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "include/__init__.py",
        "include/jobs/train.py",
        "include/models/pumps/model.yaml",
        "include/jobs/__pycache__/train.pyc",
        "include/ops/run.py",
        "dags/train.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_uploads_jobs_and_models_and_nothing_else(root: Path) -> None:
    s3 = FakeS3()
    version = upload_code(s3, "bucket", root)
    assert s3.objects == {
        f"code/{version}/{name}": name.encode()
        for name in ("include/__init__.py", "include/jobs/train.py", "include/models/pumps/model.yaml")
    }


def test_a_second_upload_puts_only_what_is_missing(root: Path) -> None:
    s3 = FakeS3()
    version = upload_code(s3, "bucket", root)
    del s3.objects[f"code/{version}/include/jobs/train.py"]
    assert upload_code(s3, "bucket", root) == version
    assert s3.puts == 4


@pytest.mark.parametrize("change", ["content", "name", "border"])
def test_any_change_is_another_version(root: Path, change: str) -> None:
    before = code_hash(root)
    if change == "content":
        (root / "include" / "jobs" / "train.py").write_text("other")
    elif change == "name":
        (root / "include" / "jobs" / "train.py").rename(root / "include" / "jobs" / "fit.py")
    else:
        (root / "include" / "jobs" / "a.py").write_text("")
    assert code_hash(root) != before


def test_caches_change_nothing(root: Path) -> None:
    before = code_hash(root)
    (root / "include" / "models" / "__pycache__").mkdir()
    (root / "include" / "models" / "__pycache__" / "x.pyc").write_text("x")
    assert code_hash(root) == before
