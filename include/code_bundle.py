"""The code that runs inside SageMaker jobs, as a folder in S3 named by its content.

A job's request names ``code/<hash>/``; so what ran is known for ever, and a deploy never changes a running job.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from include.storage import code_prefix

PACKAGES = ("jobs", "models")
ROOT = Path(__file__).parent


def code_hash(root: Path = ROOT) -> str:
    """Twelve hex digits over names and contents of every file of the bundle."""
    digest = hashlib.sha256()
    for file in _files(root):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def upload_code(s3: Any, bucket: str, root: Path = ROOT) -> str:
    """Put the bundle under ``code/<hash>/`` where it is not there yet; its hash.

    Args:
        s3: a boto3 S3 client.

    Raises:
        botocore.exceptions.ClientError: the bucket is absent or may not be written.
    """
    version = code_hash(root)
    prefix = code_prefix(version)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    there = {item["Key"] for page in pages for item in page.get("Contents", [])}
    for file in _files(root):
        key = prefix + file.relative_to(root).as_posix()
        if key not in there:
            s3.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
    return version


def _files(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*")):
            relative = path.relative_to(root).parts
            if path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in relative):
                yield path
