"""The code that runs inside SageMaker jobs, as an archive in S3 named by its content.

A job's request names ``code/<hash>/code.zip``, so it is always known what ran, and a deploy never changes a running
job. The archive is also a program: ``python code.zip include.jobs.<program> ...``.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from include.models.config import ModelConfig, load_model
from include.platform.code_parts import Parts
from include.platform.objects import ABSENT, read_json, write_text
from include.platform.scoring_parts import scoring_parts_of_models
from include.platform.storage import code_archive, scoring_parts, training_parts
from include.platform.training_parts import training_parts_of_models

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

CONTENT = ("include/__init__.py", "include/jobs", "include/models")
START = "include/jobs/bin/unpack.py"
ROOT = Path(__file__).resolve().parents[2]


def code_hash(root: Path = ROOT) -> str:
    """Twelve hex digits over the names and contents of the bundle's files."""
    digest = hashlib.sha256()
    for name, file in code_files(root):
        content = file.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def git_commit(root: Path = ROOT) -> str | None:
    """The sources' commit, with ``-changed`` if they differ from it; None outside a repository."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}-changed" if git("status", "--porcelain", "--", *CONTENT) else commit
    except (OSError, subprocess.CalledProcessError):
        return None


def upload_code(s3: S3Client, bucket: str, root: Path = ROOT) -> str:
    """Uploads the archive under its hash unless it exists; returns the hash.

    Raises:
        botocore.exceptions.ClientError: the bucket does not exist or is not writable.
    """
    version = code_hash(root)
    if not is_there(s3, bucket, version):
        # first, so that uploaded code always has them
        write_text(s3, scoring_parts(bucket, version), json.dumps(scoring_parts_of_models(root)))
        write_text(s3, training_parts(bucket, version), json.dumps(training_parts_of_models(root)))
        s3.put_object(Bucket=bucket, Key=code_archive(version), Body=archive(root))
    return version


def read_parts(s3: S3Client, uri: str, code_hash: str, model: str) -> Parts:
    """A model's parts stored at ``uri``; the whole code as one part if the upload stored none."""
    found: dict[str, Parts] = read_json(s3, uri) or {}
    return found.get(model) or {"code": code_hash}


def is_there(s3: S3Client, bucket: str, code_hash: str) -> bool:
    """Whether the code of this hash has been uploaded.

    Raises:
        botocore.exceptions.ClientError: the bucket does not exist or is not readable.
    """
    return bool(s3.list_objects_v2(Bucket=bucket, Prefix=code_archive(code_hash)).get("Contents"))


def model_of(s3: S3Client, bucket: str, version: str, name: str) -> ModelConfig | None:
    """A model as the uploaded code of this hash has it, whatever its model.yaml contains now; None if there is no such
    code.

    Raises:
        ConfigError: this code cannot use it, as it was written for another version.
    """
    try:
        body = s3.get_object(Bucket=bucket, Key=code_archive(version))["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ABSENT:
            raise
        return None
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(body)) as packed:
        home = f"include/models/{name}/"
        packed.extractall(folder, [member for member in packed.namelist() if member.startswith(home)])
        return load_model(name, Path(folder) / "include" / "models")


def archive(root: Path = ROOT) -> bytes:
    """The bundle as a zip file that Python runs; the same files always give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as into:
        for name, file in [*code_files(root), ("__main__.py", root / START)]:
            into.writestr(zipfile.ZipInfo(name), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def code_files(root: Path = ROOT) -> Iterator[tuple[str, Path]]:
    """Name in the bundle and path of every file, in the order of their names."""
    for name in CONTENT:
        top = root / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            relative = path.relative_to(root)
            hidden = any(part == "__pycache__" or part.startswith(".") for part in relative.parts)
            if path.is_file() and not hidden:
                yield relative.as_posix(), path
