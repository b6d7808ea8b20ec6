"""Transfers between S3 and a job's directories: what SageMaker downloads before a program runs and uploads during or
after it."""

from __future__ import annotations

import gzip
import json
import logging
import re
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from include.local_sagemaker.core.at_the_end import at_the_end
from include.local_sagemaker.core.errors import is_passing

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

_UPLOADS = TransferConfig(multipart_threshold=64 * 2**20, multipart_chunksize=64 * 2**20, use_threads=False)
_COPY_BYTES = 2**20
_BUCKET_HOST = re.compile(r"(?P<bucket>.+)\.s3([.-][a-z0-9-]+)*\.amazonaws\.com")


class TransferError(Exception):
    """A download or upload failed; the message is what SageMaker's FailureReason says after "ClientError: "."""


@dataclass(frozen=True)
class S3Object:
    key: str
    relative: str  # where it belongs below the local directory
    size: int


def parse_uri(uri: str) -> tuple[str, str]:
    """("bucket", "key/or/prefix") of s3://bucket/key/or/prefix, or of the same as an https:// address, in which the
    bucket is part of the host's name or the first part of the path."""
    scheme, _, rest = uri.partition("://")
    host, _, path = rest.partition("/")
    if scheme == "s3":
        return host, path
    if match := _BUCKET_HOST.fullmatch(host):
        return match["bucket"], path
    bucket, _, key = path.partition("/")
    return bucket, key


def join_uri(prefix: str, *parts: str) -> str:
    return "/".join([prefix.rstrip("/"), *parts])


def list_prefix(s3: S3Client, uri: str, *, region: str, role: str) -> list[S3Object]:
    """All objects whose key starts with the prefix, in order of key. Raises TransferError when there are none."""
    bucket, prefix = parse_uri(uri)
    found = []
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):  # a console-made "folder"
                    found.append(S3Object(item["Key"], _relative(item["Key"], prefix), item["Size"]))
    except ClientError as error:
        if is_passing(error):
            raise
        raise TransferError(f"Data download failed:{_nothing_found(uri, bucket, region, role)}") from error
    if not found:
        raise TransferError(f"Data download failed:{_nothing_found(uri, bucket, region, role)}")
    return found


def has_objects(s3: S3Client, uri: str) -> bool:
    """Whether any object's key starts with the prefix. Raises TransferError when that cannot be told."""
    bucket, prefix = parse_uri(uri)
    try:
        return s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)["KeyCount"] > 0
    except ClientError as error:
        if is_passing(error):
            raise
        raise TransferError(f"Data download failed:{uri}: {error.response['Error']['Message']}") from error


def _nothing_found(uri: str, bucket: str, region: str, role: str) -> str:
    return (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in '
        f"the selected region ({region}), that objects exist under that S3 prefix, and that the role "
        f'"{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )


def _relative(key: str, prefix: str) -> str:
    """The path below the prefix if that names a folder (with or without its slash), otherwise from its last folder
    on."""
    if prefix.endswith("/") or prefix == "":
        return key[len(prefix) :]
    if key.startswith(prefix + "/"):
        return key[len(prefix) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def list_manifest(s3: S3Client, uri: str) -> tuple[str, list[S3Object]]:
    """(bucket, objects) that a ManifestFile names: [{"prefix": "s3://b/p/"}, "a.csv", ...]."""
    content = read_bytes(s3, uri)
    try:
        head, *names = json.loads(content)
        prefix = head["prefix"]
    except (ValueError, TypeError, KeyError) as error:
        raise TransferError(f"Data download failed:The manifest {uri} is not a list of a prefix and names.") from error
    bucket, folder = parse_uri(prefix)
    if not names:
        names, folder = [PurePosixPath(folder).name], folder[: folder.rfind("/") + 1]
    objects = []
    for name in names:
        try:
            size = s3.head_object(Bucket=bucket, Key=folder + name)["ContentLength"]
        except ClientError as error:
            if is_passing(error):
                raise
            raise TransferError(
                f"Data download failed:The manifest {uri} names s3://{bucket}/{folder}{name}: not found"
            ) from error
        objects.append(S3Object(folder + name, name, size))
    return bucket, objects


def read_bytes(s3: S3Client, uri: str) -> bytes:
    bucket, key = parse_uri(uri)
    try:
        content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if is_passing(error):
            raise
        raise TransferError(f"Data download failed:{uri}: {error.response['Error']['Message']}") from error
    return content


def download(
    s3: S3Client, bucket: str, objects: Iterable[S3Object], directory: Path, interrupted: Callable[[], bool]
) -> None:
    """Writes every object to its place; returns early when interrupted. Raises TransferError for a key that would
    leave the directory or cannot be a file (another key lies below it)."""
    top = directory.resolve()
    for item in objects:
        if interrupted():
            return
        target = (directory / item.relative).resolve()
        if not target.is_relative_to(top):
            raise TransferError(f"Data download failed:s3://{bucket}/{item.key} lies outside of its prefix")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            body = s3.get_object(Bucket=bucket, Key=item.key)["Body"]
            with target.open("wb") as file:
                while chunk := body.read(_COPY_BYTES):
                    file.write(chunk)
        except ClientError as error:
            if is_passing(error):
                raise
            message = error.response["Error"]["Message"]
            raise TransferError(f"Data download failed:s3://{bucket}/{item.key}: {message}") from error
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise TransferError(
                f"Data download failed:s3://{bucket}/{item.key} is both a file and a folder; a job's disk cannot be"
            ) from error


def bucket_key(s3: S3Client, bucket: str) -> str | None:
    """The KMS key that a bucket encrypts its objects with, if it has one of its own."""
    try:
        rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    except ClientError as error:
        if is_passing(error):
            raise
        return None  # there is no such bucket, or it has no setting
    return rules[0].get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID")


def upload_file(s3: S3Client, file: Path, uri: str) -> None:
    bucket, key = parse_uri(uri)
    try:
        s3.upload_file(str(file), bucket, key, Config=_UPLOADS)
    except Exception as error:  # boto3 wraps failures in several types, including a bare OSError
        if is_passing(error):
            raise
        raise TransferError(f"Artifact upload failed:{uri}: {error}") from error


def files_below(directory: Path) -> Iterator[Path]:
    return (path for path in sorted(directory.rglob("*")) if path.is_file())


def upload_tree(s3: S3Client, directory: Path, uri: str) -> None:
    """Every file below the directory to the same path below the URI."""
    for file in files_below(directory):
        upload_file(s3, file, join_uri(uri, file.relative_to(directory).as_posix()))


def upload_archive(s3: S3Client, directories: Iterable[Path], uri: str) -> None:
    """One tar.gz of the directories' content (several hosts' files are merged, as by SageMaker)."""
    with tempfile.TemporaryFile() as packed:
        # level 1: models compress little, and time to a result counts
        # the header has no time, so that the same files give the same bytes
        with (
            gzip.GzipFile(fileobj=packed, mode="wb", filename="", compresslevel=1, mtime=0) as stream,
            tarfile.open(fileobj=stream, mode="w") as archive,
        ):
            for directory in directories:
                for entry in sorted(directory.iterdir()):
                    archive.add(entry, arcname=entry.name)
        packed.seek(0)
        bucket, key = parse_uri(uri)
        try:
            s3.upload_fileobj(packed, bucket, key, Config=_UPLOADS)
        except Exception as error:  # as in upload_file
            if is_passing(error):
                raise
            raise TransferError(f"Artifact upload failed:{uri}: {error}") from error


@contextmanager
def continuous_uploads(s3: S3Client, places: Iterable[tuple[Path, str]]) -> Iterator[None]:
    """Copies directories to S3 while the block runs, and once more at its end.

    Raises TransferError at the end; if the block fails, its error is raised, with a note.
    """
    uploads = [ContinuousUpload(s3, directory, uri) for directory, uri in places]
    with at_the_end(upload.finish for upload in uploads):
        yield


class ContinuousUpload:
    """Copies a directory to S3 again and again while a program writes there, and once more at the end."""

    def __init__(self, s3: S3Client, directory: Path, uri: str, *, interval: float = 1.0) -> None:
        self._s3, self._directory, self._uri, self._interval = s3, directory, uri, interval
        self._seen: dict[Path, tuple[int, int]] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"upload-{uri}", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Uploads what is left. Raises TransferError."""
        self._ending.set()
        self._thread.join()
        self._upload_changed()

    def _run(self) -> None:
        while not self._ending.wait(self._interval):
            try:
                self._upload_changed()
            except Exception:  # finish() meets the same error and raises it, unless it was temporary
                log.exception("copying %s to %s failed; trying again", self._directory, self._uri)

    def _upload_changed(self) -> None:
        for file in files_below(self._directory):
            try:
                status = file.stat()
            except FileNotFoundError:  # the program removed it meanwhile
                continue
            version = (status.st_mtime_ns, status.st_size)
            if self._seen.get(file) != version:
                upload_file(self._s3, file, join_uri(self._uri, file.relative_to(self._directory).as_posix()))
                self._seen[file] = version
