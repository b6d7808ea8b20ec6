from __future__ import annotations

from pathlib import Path

import pytest

from include.platform.code_bundle import code_hash, upload_code
from tests.include.local_aws import LocalS3


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


def test_uploads_jobs_and_models_and_nothing_else(s3: LocalS3, root: Path) -> None:
    version = upload_code(s3, "bucket", root)
    assert dict(s3.objects) == {
        f"code/{version}/{name}": name.encode()
        for name in ("include/__init__.py", "include/jobs/train.py", "include/models/pumps/model.yaml")
    }


def test_a_second_upload_puts_only_what_is_missing(s3: LocalS3, root: Path) -> None:
    version = upload_code(s3, "bucket", root)
    del s3.objects[f"code/{version}/include/jobs/train.py"]
    assert upload_code(s3, "bucket", root) == version
    assert len(s3.log) == 4


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
