"""A raw file's bytes: hashed as they are stored, and unpacked."""

from __future__ import annotations

import gzip
import hashlib
import io
from typing import IO, Any

import pyarrow as pa


class Hashed(io.RawIOBase):
    """A file's bytes as they are, counted and hashed as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # what io.BufferedReader hands in
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        self._hash.update(content)
        self.size += len(content)
        return len(content)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class _Unpacked(io.RawIOBase):
    """An unpacking pyarrow stream as a raw IO object."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # what io.BufferedReader hands in
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


def unpacked(stored: io.BufferedReader[Any], suffix: str) -> io.BufferedReader[Any] | gzip.GzipFile:
    """A file's unpacked content, by its name's ending."""
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=stored)
    if suffix == ".zst":  # pyarrow's streams are file objects like Python's
        return io.BufferedReader(_Unpacked(pa.CompressedInputStream(stored, "zstd")), 1 << 20)
    return stored
