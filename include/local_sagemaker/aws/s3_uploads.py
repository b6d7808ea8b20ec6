"""The body of a PutObject or UploadPart goes into a blob before moto sees the request, which then has none.

So no body is ever in memory as a whole, and its digests are checked against the client's.
"""

from __future__ import annotations

import base64
import binascii
import io
import pickle
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO
from urllib.parse import parse_qs, unquote
from wsgiref.types import WSGIEnvironment

from include.local_sagemaker.aws.s3_blobs import CHUNK, VERIFIED, Blob, Blobs, encode
from include.local_sagemaker.aws.s3_rows import S3Rows

_ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
# in the query of a request whose body is an object's or a part's: others (acl, tagging, ...) have XML
_QUERY = {"partNumber", "uploadId", "x-id", "AWSAccessKeyId", "Signature", "Expires", "versionId"}
_LONGEST_LINE = 16384


class UploadError(Exception):
    """Refused as S3 refuses it: `code` and the message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def has_object_body(environ: WSGIEnvironment) -> bool:
    """Whether the request's body is an object or a part of one."""
    _, _, key = environ.get("PATH_INFO", "").lstrip("/").partition("/")
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    return (
        environ["REQUEST_METHOD"] == "PUT"
        and bool(key)
        and "HTTP_X_AMZ_COPY_SOURCE" not in environ
        and all(name in _QUERY or name.lower().startswith("x-amz-") for name in query)
    )


def receive(environ: WSGIEnvironment, blobs: Blobs) -> tuple[Blob, WSGIEnvironment]:
    """The blob with the request's body, and the request without it.

    Raises:
        UploadError: the body is cut short, or does not match its digests.
    """
    headers = {
        name.removeprefix("HTTP_X_AMZ_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_X_AMZ_")
    }
    algorithm = (headers.get("sdk-checksum-algorithm") or _announced(headers)).upper()
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = _Body(environ["wsgi.input"], length, framed=headers.get("content-sha256", "").startswith("STREAMING-"))
    blob = blobs.write(body.chunks(), [algorithm] if algorithm else [])
    try:
        given = headers.get(f"checksum-{algorithm.lower()}") or body.trailers.get(
            f"x-amz-checksum-{algorithm.lower()}", ""
        )
        _verify(blob, algorithm, given, environ.get("HTTP_CONTENT_MD5", ""))
    except UploadError:
        blobs.delete([blob.name])
        raise
    bare = {**environ, "wsgi.input": io.BytesIO(), "CONTENT_LENGTH": "0"}
    bare["HTTP_X_AMZ_CONTENT_SHA256"] = "UNSIGNED-PAYLOAD"
    if algorithm:
        bare["HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM"] = algorithm
        bare[f"HTTP_X_AMZ_CHECKSUM_{algorithm}"] = given or encode(blob.digests[algorithm])
    return blob, bare


def join_parts(environ: WSGIEnvironment, rows: S3Rows) -> Blob | None:
    """The blob of a CompleteMultipartUpload, assembled before moto handles the request, as that may take seconds. None
    for any other request, or if moto will refuse it."""
    upload = parse_qs(environ.get("QUERY_STRING", "")).get("uploadId")
    if environ["REQUEST_METHOD"] != "POST" or not upload:
        return None
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    numbers = [int(number) for number in re.findall(rb"<PartNumber>\s*(\d+)\s*</PartNumber>", body)]
    sql = "SELECT number, state FROM s3_part WHERE upload = ?"
    parts = {number: pickle.loads(state) for number, state in rows.database.rows(sql, upload)}  # noqa: S301 - our own
    if not numbers or not set(numbers) <= parts.keys():
        return None
    try:
        return rows.blobs.join(parts[number].blob for number in numbers)
    except FileNotFoundError:  # a part is being sent again
        return None


def source_digests(environ: WSGIEnvironment, rows: S3Rows) -> Mapping[str, Mapping[str, bytes]]:
    """The digests of the blob that a CopyObject copies, computed before moto handles the request, as that may take
    seconds.

    Its MD5, and where it has a checksum of its parts that of the whole.
    """
    source = environ.get("HTTP_X_AMZ_COPY_SOURCE", "")
    path, _, query = source.partition("?")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    row = rows.database.row("SELECT state FROM s3_object WHERE bucket = ? AND name = ?", (bucket, key))
    version = parse_qs(query).get("versionId")
    for item in reversed(pickle.loads(row[0]) if row else ()):  # noqa: S301 - our own row
        if hasattr(item, "digests") and version in (None, [item.version_id]):
            try:
                whole = [item.checksum_algorithm] if item.checksum_type == "COMPOSITE" else []
                return {item.blob: {name: item.digest(name) for name in {"MD5", *whole, *item.digests}}}
            except FileNotFoundError:  # it is being deleted
                return {}
    return {}


def _announced(headers: dict[str, str]) -> str:
    """The algorithm of a client that names none but sends a checksum, in a header or after the body."""
    named = [headers.get("trailer", "").removeprefix("x-amz-checksum-").upper()]
    named += [one for one in _ALGORITHMS if f"checksum-{one.lower()}" in headers]
    return next((one for one in named if one in _ALGORITHMS), "")


def _verify(blob: Blob, algorithm: str, given: str, md5: str) -> None:
    if algorithm in VERIFIED and given and given != encode(blob.digests[algorithm]):
        raise UploadError(
            "BadDigest", f"The {algorithm} you specified did not match the calculated checksum ({given} was given)."
        )
    if md5:
        try:
            expected = base64.b64decode(md5, validate=True)
        except binascii.Error as error:
            raise UploadError("InvalidDigest", "The Content-MD5 you specified was invalid.") from error
        if expected != blob.digests["MD5"]:
            raise UploadError("BadDigest", "The Content-MD5 you specified did not match what we received.")


class _Body:
    """A request's body: plain, or in aws-chunked framing followed by trailers.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
    """

    def __init__(self, stream: BinaryIO, length: int, *, framed: bool) -> None:
        self._stream = stream
        self._length = length
        self._framed = framed
        self.trailers: dict[str, str] = {}

    def chunks(self) -> Iterator[bytes]:
        if not self._framed:
            yield from self._read(self._length)
            return
        while size := self._chunk_size():
            yield from self._read(size)
            self._line()
        while line := self._line():
            name, _, value = line.partition(":")
            self.trailers[name.strip().lower()] = value.strip()

    def _chunk_size(self) -> int:
        line = self._line()
        try:
            return int(line.partition(";")[0], 16)  # a signature may follow
        except ValueError as error:
            raise UploadError("IncompleteBody", f"The body is not in aws-chunked framing at {line[:80]!r}.") from error

    def _line(self) -> str:
        return self._stream.readline(_LONGEST_LINE).decode("latin-1").rstrip("\r\n")

    def _read(self, size: int) -> Iterator[bytes]:
        while size:
            chunk = self._stream.read(min(size, CHUNK))
            if not chunk:
                raise UploadError(
                    "IncompleteBody",
                    "You did not provide the number of bytes specified by the Content-Length HTTP header.",
                )
            size -= len(chunk)
            yield chunk
