"""The bytes of S3's objects: one file each, written completely before anything refers to it, and never changed."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

CHUNK = 2**20
# CRC32C and CRC64NVME need libraries that are not installed: the client's value is stored unverified
VERIFIED = ("CRC32", "SHA1", "SHA256")


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


def new_digest(algorithm: str) -> Digest:
    """An algorithm of x-amz-checksum-*; CRC32 for those that cannot be computed here, as moto does."""
    if algorithm in {"SHA1", "SHA256"}:
        return hashlib.new(algorithm.lower(), usedforsecurity=False)
    return _Crc32()


def encode(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


class FileBytes:
    """A part of a file in place of `bytes`: it has a length, is sliced, and is iterated in chunks without being read.

    The file is opened at once, so it can be read to the end even if its object is deleted meanwhile.
    """

    def __init__(self, file: BinaryIO, path: Path, start: int, end: int) -> None:
        self._file = file
        self.path = path
        self._start, self._end = start, end

    @classmethod
    def open(cls, path: Path) -> FileBytes:
        return cls(path.open("rb"), path, 0, path.stat().st_size)

    @property
    def is_whole(self) -> bool:
        return self._start == 0 and self._end == os.fstat(self._file.fileno()).st_size

    def __len__(self) -> int:
        return self._end - self._start

    def __getitem__(self, part: slice) -> FileBytes:
        start, end, _ = part.indices(len(self))
        return FileBytes(self._file, self.path, self._start + start, self._start + max(start, end))

    def __iter__(self) -> Iterator[bytes]:
        position = self._start
        while position < self._end:
            chunk = os.pread(self._file.fileno(), min(CHUNK, self._end - position), position)
            if not chunk:
                raise OSError(f"{self.path} is shorter than it was; somebody else writes to the state directory.")
            position += len(chunk)
            yield chunk

    def __bytes__(self) -> bytes:
        return b"".join(self)

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(bytes(self))

    def decode(self, *arguments: str) -> str:
        return bytes(self).decode(*arguments)


@dataclass
class Blob:
    """A file that was written; `digests` by the names of S3's checksum algorithms, and "MD5"."""

    name: str
    size: int
    digests: Mapping[str, bytes] = field(default_factory=dict)
    sources: tuple[str, ...] = ()  # the blobs it was assembled from

    @property
    def md5(self) -> str:
        return self.digests["MD5"].hex()


class Blobs:
    """A directory of blobs. Its user tracks which are referred to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        for number in range(256):
            (directory / f"{number:02x}").mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        return self._directory / name[:2] / name

    def open(self, name: str) -> FileBytes:
        return FileBytes.open(self.path(name))

    def names(self) -> Iterator[str]:
        return (entry.name for folder in os.scandir(self._directory) for entry in os.scandir(folder))

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            self.path(name).unlink(missing_ok=True)

    def write(self, chunks: Iterable[bytes], algorithms: Iterable[str] = ()) -> Blob:
        """A new blob, with its digests: always MD5, and the algorithms that are asked for."""
        name, size = uuid.uuid4().hex, 0
        digests = {"MD5": hashlib.md5(usedforsecurity=False), **{name: new_digest(name) for name in algorithms}}
        try:
            with self.path(name).open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    size += len(chunk)
                    for digest in digests.values():
                        digest.update(chunk)
        except BaseException:  # the client's fault, or the disk is full
            self.path(name).unlink(missing_ok=True)
            raise
        return Blob(name, size, {algorithm: digest.digest() for algorithm, digest in digests.items()})

    def copy(self, value: FileBytes) -> Blob:
        """A hard link to the same bytes if the disk supports it; blobs never change. It has no digests."""
        if not value.is_whole:
            return self.write(value)
        blob = Blob(uuid.uuid4().hex, len(value))
        try:
            os.link(value.path, self.path(blob.name))
        except OSError:  # no links on this file system, or its object is being deleted
            return self.write(value)
        return blob

    def join(self, names: Iterable[str]) -> Blob:
        """One blob of several, in their order."""
        blob = Blob(uuid.uuid4().hex, 0, sources=tuple(names))
        try:
            with self.path(blob.name).open("xb") as file:
                for name in blob.sources:
                    with self.path(name).open("rb") as part:
                        _append(part, file)
                blob.size = file.tell()
        except OSError:
            self.path(blob.name).unlink(missing_ok=True)
            raise
        return blob

    def digest(self, name: str, algorithm: str) -> bytes:
        digest = hashlib.md5(usedforsecurity=False) if algorithm == "MD5" else new_digest(algorithm)
        for chunk in self.open(name):
            digest.update(chunk)
        return digest.digest()


def _append(source: BinaryIO, target: Any) -> None:
    if hasattr(os, "copy_file_range"):  # the kernel copies, or only marks the blocks as shared
        try:
            target.flush()
            while os.copy_file_range(source.fileno(), target.fileno(), 2**30):
                pass
        except OSError:  # not on this file system: the rest is copied below
            source.seek(os.lseek(source.fileno(), 0, os.SEEK_CUR))
        else:
            source.seek(0, io.SEEK_END)
        target.seek(0, io.SEEK_END)
    shutil.copyfileobj(source, target, CHUNK)
