"""The code that runs inside SageMaker jobs, as a folder in S3 named by its content.

A job's request names ``code/<hash>/``; so what ran is known forever, and a deploy never changes a running job.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from include.platform.storage import code_prefix

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

CONTENT = ("include/__init__.py", "include/jobs", "include/models")
ROOT = Path(__file__).resolve().parents[2]


def code_hash(root: Path = ROOT) -> str:
    """Twelve hex digits over names and contents of every file of the bundle."""
    digest = hashlib.sha256()
    for name, file in code_files(root):
        content = file.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def upload_code(s3: S3Client, bucket: str, root: Path = ROOT) -> str:
    """Put what is missing of the bundle under ``code/<hash>/``; its hash.

    Raises:
        botocore.exceptions.ClientError: the bucket is absent or may not be written.
    """
    for key, file in missing_code(s3, bucket, root).items():
        s3.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
    return code_hash(root)


def missing_code(s3: S3Client, bucket: str, root: Path = ROOT) -> dict[str, Path]:
    """The files of the bundle that are not under ``code/<hash>/``, by their keys: all, or what a broken-off upload
    has left.

    Raises:
        botocore.exceptions.ClientError: the bucket is absent or may not be read.
    """
    prefix = code_prefix(code_hash(root))
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    there = {item["Key"] for page in pages for item in page.get("Contents", [])}
    return {prefix + name: file for name, file in code_files(root) if prefix + name not in there}


def code_files(root: Path = ROOT) -> Iterator[tuple[str, Path]]:
    """Name in the bundle and path of every file, in the order of their names."""
    for name in CONTENT:
        top = root / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            relative = path.relative_to(root)
            hidden = any(part == "__pycache__" or part.startswith(".") for part in relative.parts)
            if path.is_file() and not hidden:
                yield relative.as_posix(), path
