from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from include.platform.code_bundle import ROOT, START, archive, code_hash, upload_code
from tests.include.local_aws import LocalS3


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "include/__init__.py",
        START,
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
    for parts in ("scoring", "training"):
        assert s3.objects.pop(f"code/{version}/{parts}.json") == b"{}", "no usable model"
    [(key, content)] = dict(s3.objects).items()
    assert key == f"code/{version}/code.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        names = ("include/__init__.py", START, "include/jobs/train.py", "include/models/pumps/model.yaml")
        assert {name: packed.read(name) for name in packed.namelist()} == {
            **{name: name.encode() for name in names},
            "__main__.py": START.encode(),
        }
    assert archive(root) == content


def test_what_is_there_is_not_put_again(s3: LocalS3, root: Path) -> None:
    assert upload_code(s3, "bucket", root) == upload_code(s3, "bucket", root)
    assert len(s3.log) == 3


def test_the_archive_runs_its_programs(tmp_path: Path) -> None:
    """A program that reads files beside it, and takes arguments."""
    file = tmp_path / "code.zip"
    file.write_bytes(archive(ROOT))
    command = [sys.executable, file, "include.models.config.json_schema", "--check"]
    subprocess.run(command, cwd=tmp_path, env={"TMPDIR": str(tmp_path)}, check=True)


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
