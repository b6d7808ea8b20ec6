"""moto's S3 on files and rows: moto still parses requests and writes answers, but keeps nothing in memory.

Its models are replaced by subclasses that know where their data is; moto is pinned exactly.
"""

from __future__ import annotations

import copy
import hashlib
import pickle
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, cast

import moto.s3.models as moto_s3
from moto.s3.exceptions import (
    EntityTooSmall,
    InvalidPart,
    MalformedXML,
    MethodNotAllowed,
    NoSuchUpload,
)
from moto.s3.responses import S3Response
from moto.settings import S3_UPLOAD_PART_MIN_SIZE

from include.local_sagemaker.aws.s3_blobs import Blob, FileBytes, encode, new_digest
from include.local_sagemaker.aws.s3_listing import read_token, walk, write_token
from include.local_sagemaker.aws.s3_rows import Keys, Parts, S3Rows, Tags, Uploads
from include.local_sagemaker.core.store import Json


class StoredKey(moto_s3.FakeKey):
    """An object (or a part) with its bytes in a blob."""

    rows: ClassVar[S3Rows]

    def __init__(self, name: Any, value: Any, *arguments: Any, **keywords: Any) -> None:
        super().__init__(name, value, *arguments, **keywords)
        del self._value_buffer, self.lock

    @property  # type: ignore[override] # it stands in for bytes
    def value(self) -> FileBytes:
        return self.rows.blobs.open(self.blob)

    @value.setter
    def value(self, new: bytes | str | FileBytes | Blob) -> None:
        blob = self._blob_of(new)
        self.rows.note_created(blob)
        self.blob = blob.name
        self.contentsize = blob.size
        self.digests = dict(blob.digests)

    def _blob_of(self, value: bytes | str | FileBytes | Blob) -> Blob:
        if isinstance(value, Blob):
            return value
        if isinstance(value, FileBytes):
            blob = self.rows.blobs.copy(value)
            if value.is_whole:
                blob.digests = {**self.rows.source_digests.get(value.path.name, {}), **blob.digests}
            return blob
        if not value and self.rows.incoming is not None:
            incoming, self.rows.incoming = self.rows.incoming, None
            return incoming
        return self.rows.blobs.write([value.encode() if isinstance(value, str) else value])  # a form's field is a str

    @property
    def etag(self) -> str:
        if self._etag is None:
            self._etag = (self.digests.get("MD5") or self.rows.blobs.digest(self.blob, "MD5")).hex()
        return f'"{self._etag}"'

    def digest(self, algorithm: str) -> bytes:
        return self.digests.get(algorithm) or self.rows.blobs.digest(self.blob, algorithm)

    def dispose(self, garbage: bool = False) -> None:
        """Nothing is open; the blob is deleted with its row."""

    def __getstate__(self) -> Json:
        return self.__dict__

    def __setstate__(self, state: Json) -> None:
        self.__dict__.update(state)

    def __del__(self) -> None:
        """Nothing to close."""


class StoredUpload(moto_s3.FakeMultipart):
    """A multipart upload in progress; its parts are rows."""

    rows: ClassVar[S3Rows]

    @property  # type: ignore[override] # they stand in
    def parts(self) -> Parts:
        return Parts(self.rows, self.id)

    @parts.setter
    def parts(self, _: object) -> None:
        """moto begins with an empty dict."""

    @property
    def partlist(self) -> list[int]:
        return list(self.parts)

    @partlist.setter
    def partlist(self, _: object) -> None:
        """As `parts`."""

    def set_part(self, part_id: int, value: bytes | FileBytes) -> StoredKey:
        if part_id < 1:
            raise NoSuchUpload(upload_id=part_id)
        key = StoredKey(
            part_id,
            value,
            account_id=self.account_id,
            region_name=self.region_name,
            encryption=self.sse_encryption,
            kms_key_id=self.kms_key_id,
        )
        self.parts[part_id] = key
        return key

    def list_parts(self, part_number_marker: int, max_parts: int) -> Iterator[moto_s3.FakeKey]:
        numbers = [number for number in self.parts if number > part_number_marker]
        return (self.parts[number] for number in numbers[:max_parts])

    def complete(  # type: ignore[override] # a blob stands in for bytes
        self, body: Iterator[tuple[int, str]]
    ) -> tuple[Blob, str, tuple[str, str, int] | None]:
        parts = [self._part(number, etag) for number, etag in body]
        if not parts:
            raise MalformedXML
        if any(part.contentsize < S3_UPLOAD_PART_MIN_SIZE for part in parts[:-1]):
            raise EntityTooSmall
        etag = hashlib.md5(b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts), usedforsecurity=False)
        names = tuple(part.blob for part in parts)
        joined, self.rows.incoming = self.rows.incoming, None
        if joined is None or joined.sources != names:  # a part has been resent since
            if joined is not None:
                self.rows.note_created(joined)
            joined = self.rows.blobs.join(names)
        self.completed = CompletedUpload(self.id, {int(part.name): part.contentsize for part in parts})
        return joined, f"{etag.hexdigest()}-{len(parts)}", self._checksum(parts, joined)

    def _part(self, number: int, etag: str) -> StoredKey:
        part = self.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise InvalidPart
        return part

    def _checksum(self, parts: list[StoredKey], joined: Blob) -> tuple[str, str, int] | None:
        algorithm = self.metadata.get("x-amz-checksum-algorithm")
        if not algorithm:
            return None
        default = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
        kind = self.metadata.get("x-amz-checksum-type") or default
        if kind == "FULL_OBJECT":
            return kind, encode(self.rows.blobs.digest(joined.name, algorithm)), 1
        digest = new_digest(algorithm)
        for part in parts:
            digest.update(part.digest(algorithm))
        return kind, encode(digest.digest()), len(parts)

    def __getstate__(self) -> Json:
        return self.__dict__


class CompletedUpload:
    """What an object remembers about its upload: the sizes of its parts, for requests by part number."""

    def __init__(self, number: str, sizes: Mapping[int, int]) -> None:
        self.id = number
        self.sizes = dict(sizes)

    @property
    def partlist(self) -> list[int]:
        return list(self.sizes)

    def dispose(self) -> None:
        """There is nothing."""


class StoredBucket(moto_s3.FakeBucket):
    """A bucket with its objects in rows."""

    rows: ClassVar[S3Rows]

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._attach()

    def _attach(self) -> None:
        self.keys = Keys(self.rows, self.name)  # type: ignore[assignment] # they stand in
        self.multiparts = Uploads(self.rows, self.name)  # type: ignore[assignment]

    def __getstate__(self) -> Json:
        return {name: value for name, value in self.__dict__.items() if name not in {"keys", "multiparts"}}

    def __setstate__(self, state: Json) -> None:
        self.__dict__.update(state)
        self._attach()


class StoredS3(moto_s3.S3Backend):
    """moto's S3 with lists from the rows' index: the cost of a page depends only on its length."""

    rows: ClassVar[S3Rows]

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.tagger.tags = Tags(self.rows)  # type: ignore[assignment] # it stands in

    def get_object(
        self,
        bucket_name: str,
        key_name: str,
        version_id: str | None = None,
        part_number: str | None = None,
        return_delete_marker: bool = False,
    ) -> moto_s3.FakeKey | None:
        key = super().get_object(bucket_name, key_name, version_id, None, return_delete_marker)
        if not part_number or not isinstance(key, StoredKey) or key.multipart is None:
            return key
        sizes = cast("CompletedUpload", key.multipart).sizes
        part = copy.copy(key)
        part.contentsize = sizes.get(int(part_number), 0)
        return part if int(part_number) in sizes else None

    def complete_multipart_upload(
        self, bucket_name: str, multipart_id: str, body: Iterator[tuple[int, str]]
    ) -> moto_s3.FakeKey | None:
        if multipart_id not in self.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=multipart_id)
        key = super().complete_multipart_upload(bucket_name, multipart_id, body)
        if key is not None:
            key.multipart = cast("StoredUpload", key.multipart).completed  # type: ignore[assignment] # it stands in
        return key

    def copy_object(  # type: ignore[override] # of what has a checksum of its parts
        self, src_key: StoredKey, dest_bucket_name: str, dest_key_name: str, *arguments: Any, **keywords: Any
    ) -> None:
        super().copy_object(src_key, dest_bucket_name, dest_key_name, *arguments, **keywords)
        if src_key.checksum_type == "COMPOSITE" and src_key.checksum_algorithm:
            copied = cast("StoredKey", self.get_object(dest_bucket_name, dest_key_name))
            copied.checksum_value = encode(copied.digest(src_key.checksum_algorithm))  # a copy has no parts

    def upload_part(self, bucket_name: str, multipart_id: str, part_id: int, value: bytes) -> moto_s3.FakeKey:
        if multipart_id not in self.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=multipart_id)
        return super().upload_part(bucket_name, multipart_id, part_id, value)

    def delete_object(
        self, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> tuple[bool, Json]:
        keys = self.get_bucket(bucket_name).keys
        before = _arns(keys.getlist(key_name, []))
        result = super().delete_object(bucket_name, key_name, version_id, bypass)
        for arn in before - _arns(keys.getlist(key_name, [])):
            self.tagger.delete_all_tags_for_resource(arn)
        return result

    def delete_bucket(self, bucket_name: str) -> moto_s3.FakeBucket | None:
        bucket = super().delete_bucket(bucket_name)
        if bucket is not None:
            for number in list(bucket.multiparts):
                del bucket.multiparts[number]
            self.tagger.delete_all_tags_for_resource(bucket.arn)
        return bucket

    def list_objects(  # type: ignore[override] # in order
        self,
        bucket: moto_s3.FakeBucket,
        prefix: str | None,
        delimiter: str | None,
        marker: str | None,
        max_keys: int | None,
    ) -> tuple[list[StoredKey], list[str], bool, str | None]:
        """The keys and folders of a page, counted together as on AWS; the marker is the last of them."""
        found, truncated = self._page(bucket, prefix, delimiter, marker or "", max_keys)
        keys = [one for one in found if isinstance(one, StoredKey)]
        folders = [one for one in found if isinstance(one, str)]
        return keys, folders, truncated, self._get_name(found[-1]) if truncated and found else None

    def list_objects_v2(  # type: ignore[override] # in order
        self,
        bucket: moto_s3.FakeBucket,
        prefix: str | None,
        delimiter: str | None,
        continuation_token: str | None,
        start_after: str | None,
        max_keys: int,
    ) -> tuple[list[StoredKey | str], bool, str | None]:
        after = read_token(continuation_token) if continuation_token else start_after or ""
        found, truncated = self._page(bucket, prefix, delimiter, after, max_keys)
        return found, truncated, write_token(self._get_name(found[-1])) if truncated and found else None

    def _page(
        self, bucket: moto_s3.FakeBucket, prefix: str | None, delimiter: str | None, after: str, limit: int | None
    ) -> tuple[list[StoredKey | str], bool]:
        """(keys, and folders as strings, in order of name; whether there are more)"""
        if isinstance(bucket, moto_s3.FakeTableStorageBucket):
            raise MethodNotAllowed
        found: list[StoredKey | str] = []
        if limit == 0:
            return found, False
        for item in walk(cast("Keys", bucket.keys), prefix or "", delimiter or "", after):
            if limit is not None and len(found) == limit:
                return found, True
            found.append(item)
        return found, False

    def list_object_versions(
        self,
        bucket_name: str,
        delimiter: str | None = None,
        key_marker: str | None = None,
        max_keys: int | None = 1000,
        prefix: str = "",
        version_id_marker: str | None = None,
    ) -> tuple[list[moto_s3.FakeKey], list[str], list[moto_s3.FakeDeleteMarker], str | None, str | None]:
        keys = cast("Keys", self.get_bucket(bucket_name).keys)
        keys.prefix = prefix or ""  # or moto would look at every object of the bucket
        try:
            return super().list_object_versions(bucket_name, delimiter, key_marker, max_keys, prefix, version_id_marker)
        finally:
            keys.prefix = ""


def _arns(versions: Iterable[object]) -> set[str]:
    return {one.arn for one in versions if isinstance(one, StoredKey)}


_enrich = S3Response._enrich_response


def _enrich_response(headers: dict[str, str], body: str | bytes | FileBytes) -> tuple[dict[str, str], object]:
    """moto's method looks for a request id in every body; this one skips objects."""
    return (_enrich(headers, "")[0], body) if isinstance(body, FileBytes) else _enrich(headers, body)


class S3Storage:
    """Puts the classes above into moto, and keeps its buckets."""

    def __init__(self, rows: S3Rows) -> None:
        self.rows = rows
        self._stored: dict[str, bytes] = {}
        for stored in (StoredKey, StoredUpload, StoredBucket, StoredS3):
            stored.rows = rows
        moto_s3.FakeKey = StoredKey  # type: ignore[misc]
        moto_s3.FakeMultipart = StoredUpload  # type: ignore[misc]
        moto_s3.FakeBucket = StoredBucket  # type: ignore[misc]
        moto_s3.s3_backends.backend = StoredS3
        S3Response._enrich_response = staticmethod(_enrich_response)  # type: ignore[method-assign]
        self._restore()

    def _restore(self) -> None:
        for name, account, partition, state in self.rows.database.rows("SELECT * FROM s3_bucket"):
            moto_s3.s3_backends[account][partition].buckets[name] = pickle.loads(state)  # noqa: S301 - our own row
            moto_s3.s3_backends.bucket_accounts[name] = (partition, account)
            self._stored[name] = state

    @property
    def notifies(self) -> bool:
        """Whether some bucket notifies queues, topics or EventBridge about its objects."""
        return any(bucket.notification_configuration for bucket in self._buckets())

    def _buckets(self) -> Iterator[moto_s3.FakeBucket]:
        for partitions in moto_s3.s3_backends.values():
            for backend in partitions.values():
                yield from backend.buckets.values()

    def end(self, *, committed: bool) -> None:
        """After the transaction."""
        self.rows.end(committed=committed)
        if not committed:
            self._stored.clear()  # the state on disk is no longer known: everything is written next time

    def flush(self) -> None:
        """Writes what a request changed, in the transaction that is open."""
        self.rows.flush()
        present = {bucket.name: bucket for bucket in self._buckets()}
        for name in self._stored.keys() - present:
            self.rows.database.execute("DELETE FROM s3_bucket WHERE name = ?", (name,))
            del self._stored[name]
        for name, bucket in present.items():
            state = pickle.dumps(bucket)
            if self._stored.get(name) != state:
                values = (name, bucket.account_id, bucket.partition, state)
                self.rows.database.execute("INSERT OR REPLACE INTO s3_bucket VALUES (?,?,?,?)", values)
                self._stored[name] = state
