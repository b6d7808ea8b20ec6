"""S3's metadata of objects, in rows of SQLite: moto reads a key's versions and changes them, and the changed rows are
written at the end of the request. So no object stays in memory longer than its request.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING

from include.local_sagemaker.aws.s3_blobs import Blob, Blobs
from include.local_sagemaker.core.database import Database

if TYPE_CHECKING:
    from moto.s3.models import FakeDeleteMarker, FakeKey

    from include.local_sagemaker.aws.s3_backend import StoredKey, StoredUpload

    Version = FakeKey | FakeDeleteMarker

SCHEMA = """
CREATE TABLE IF NOT EXISTS s3_bucket (name TEXT PRIMARY KEY, account TEXT NOT NULL, partition TEXT NOT NULL,
    state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS s3_object (bucket TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL,
    listed INTEGER NOT NULL, state BLOB NOT NULL, PRIMARY KEY (bucket, name));
CREATE TABLE IF NOT EXISTS s3_upload (bucket TEXT NOT NULL, id TEXT NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (bucket, id));
CREATE TABLE IF NOT EXISTS s3_part (upload TEXT NOT NULL, number INTEGER NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (upload, number));
CREATE TABLE IF NOT EXISTS s3_tags (arn TEXT PRIMARY KEY, state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS s3_blob (name TEXT PRIMARY KEY);
"""
LAST = "\U0010ffff"  # sorts after every name that begins with the text before it
Key = tuple[object, ...]
ObjectTags = dict[str, str | None]


class Table[Row]:
    """A table's rows as Python values: loaded when asked for, and written by `flush` if they changed meanwhile."""

    def __init__(
        self,
        database: Database,
        name: str,
        keys: tuple[str, ...],
        extra: dict[str, Callable[[Row], int]] | None = None,
        held: Callable[[Row], Iterable[str]] = lambda value: (),
    ) -> None:
        """`extra` are columns that follow from a value; `held` are the names of the blobs that it refers to."""
        self._db = database
        self._name = name
        self._extra = extra or {}
        self._held = held
        self._where = " AND ".join(f"{key} = ?" for key in keys)
        columns = [*keys, *self._extra, "state"]
        self._insert = f"INSERT OR REPLACE INTO {name} ({','.join(columns)}) VALUES ({','.join('?' * len(columns))})"  # noqa: S608
        self._loaded: dict[Key, tuple[Row | None, bytes | None, set[str]]] = {}

    def get(self, *key: object) -> Row | None:
        if key not in self._loaded:
            row = self._db.row(f"SELECT state FROM {self._name} WHERE {self._where}", key)  # noqa: S608
            value = None if row is None else pickle.loads(row[0])  # noqa: S301 - our own row
            self._loaded[key] = (value, row and row[0], set(self._held(value)) if value else set())
        return self._loaded[key][0]

    def put(self, value: Row | None, *key: object) -> None:
        """None, or an empty value, if there is no row."""
        self.get(*key)
        self._loaded[key] = (value, *self._loaded[key][1:])

    def flush(self) -> tuple[set[str], set[str]]:
        """Writes what changed. Returns the blobs that are referred to, and those that no longer are."""
        held: set[str] = set()
        released: set[str] = set()
        for key, (value, stored, before) in self._loaded.items():
            state = pickle.dumps(value) if value else None
            now = set(self._held(value)) if value else set()
            held |= now
            released |= before - now
            if state is None and stored is not None:
                self._db.execute(f"DELETE FROM {self._name} WHERE {self._where}", key)  # noqa: S608
            elif value and state != stored:
                self._db.execute(self._insert, (*key, *(column(value) for column in self._extra.values()), state))
            self._loaded[key] = (value, state, now)
        return held, released

    def forget(self) -> None:
        self._loaded.clear()


class S3Rows:
    """All tables of S3, and the blobs that they refer to."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self.database = database
        self.blobs = blobs
        self.objects: Table[list[Version]] = Table(
            database,
            "s3_object",
            ("bucket", "name"),
            {"size": lambda versions: sum(getattr(one, "contentsize", 0) for one in versions), "listed": _is_listed},
            held=lambda versions: [one.blob for one in versions if hasattr(one, "blob")],
        )
        self.uploads: Table[StoredUpload] = Table(database, "s3_upload", ("bucket", "id"))
        self.parts: Table[StoredKey] = Table(database, "s3_part", ("upload", "number"), held=lambda part: [part.blob])
        self.tags: Table[ObjectTags] = Table(database, "s3_tags", ("arn",))
        self.incoming: Blob | None = None  # the body of the request being answered
        self.source_digests: Mapping[str, Mapping[str, bytes]] = {}  # of the blob that it copies, by its name
        self._created: set[str] = set()
        self._doomed: set[str] = set()
        self._sweep()

    def _sweep(self) -> None:
        """Deletes the files of requests that were never answered."""
        known = {name for (name,) in self.database.rows("SELECT name FROM s3_blob")}
        self.blobs.delete([name for name in self.blobs.names() if name not in known])

    def note_created(self, blob: Blob) -> None:
        self._created.add(blob.name)

    def flush(self) -> None:
        """Writes what the request changed, in the transaction that is open."""
        held: set[str] = set()
        released: set[str] = set()
        for table in (self.objects, self.parts, self.uploads, self.tags):
            kept, left = table.flush()
            held |= kept
            released |= left
        new = self._created & held
        # a part's blob may have become its object's
        gone = (released | self._created) - held
        self.database.executemany("INSERT OR IGNORE INTO s3_blob VALUES (?)", [(name,) for name in new])
        self.database.executemany("DELETE FROM s3_blob WHERE name = ?", [(name,) for name in gone])
        self._doomed |= gone
        self._created -= new

    def end(self, *, committed: bool) -> None:
        """Forgets the request and deletes files that nothing refers to any more."""
        self.blobs.delete(self._doomed if committed else self._created)
        if self.incoming is not None:  # moto refused the request
            self.blobs.delete([self.incoming.name])
            self.incoming = None
        self.source_digests = {}
        self._created.clear()
        self._doomed.clear()
        for table in (self.objects, self.uploads, self.parts, self.tags):
            table.forget()


def _is_listed(versions: list[Version]) -> int:
    """Whether the key exists for requests without a version: its newest version is not a delete marker."""
    return int(hasattr(versions[-1], "contentsize"))


class Tags(MutableMapping[str, ObjectTags]):
    """The tags of S3's objects and buckets by ARN, in place of the dict of moto's tagging service."""

    def __init__(self, rows: S3Rows) -> None:
        self._rows = rows

    def __contains__(self, arn: object) -> bool:
        return self._rows.tags.get(arn) is not None

    def __getitem__(self, arn: str) -> ObjectTags:
        found = self._rows.tags.get(arn)
        if found is None:
            raise KeyError(arn)
        return found

    def __setitem__(self, arn: str, tags: ObjectTags) -> None:
        self._rows.tags.put(tags, arn)

    def __delitem__(self, arn: str) -> None:
        self._rows.tags.put(None, arn)

    def __iter__(self) -> Iterator[str]:
        return (arn for (arn,) in self._rows.database.rows("SELECT arn FROM s3_tags"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Keys:
    """The objects of a bucket, in place of moto's `_VersionedKeyStore`: a key has a list of versions, newest last."""

    def __init__(self, rows: S3Rows, bucket: str) -> None:
        self._rows = rows
        self._bucket = bucket
        self.prefix = ""  # what `iterlists` is limited to

    def getlist(self, key: str, default: list[Version] | None = None) -> list[Version] | None:
        return self._versions(key) or default

    def setlist(self, key: str, versions: list[Version]) -> None:
        self._rows.objects.put(list(versions), self._bucket, key)

    def get(self, key: str, default: Version | None = None) -> Version | None:
        versions = self._versions(key)
        return versions[-1] if versions else default

    def _versions(self, key: str) -> list[Version]:
        return self._rows.objects.get(self._bucket, key) or []

    def __contains__(self, key: str) -> bool:
        return bool(self._versions(key))

    def __getitem__(self, key: str) -> Version:
        if key not in self:
            raise KeyError(key)
        return self._versions(key)[-1]

    def __setitem__(self, key: str, version: Version) -> None:
        self.setlist(key, [*self._versions(key), version])

    def pop(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self.setlist(key, [])

    def page(self, prefix: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        """The next rows (name, pickled versions) after `after` with the prefix, in order, without those with a delete
        marker as their newest version."""
        sql = "SELECT name, state FROM s3_object WHERE bucket = ? AND name >= ? AND name < ? AND name > ? AND listed"
        values = (self._bucket, prefix, prefix + LAST, after, limit)
        return self._rows.database.rows(f"{sql} ORDER BY name LIMIT ?", values)

    def iterlists(self) -> Iterator[tuple[str, list[Version]]]:
        after, end = "", self.prefix + LAST
        sql = "SELECT name, state FROM s3_object WHERE bucket = ? AND name >= ? AND name < ? AND name > ? ORDER BY name"
        while page := self._rows.database.rows(f"{sql} LIMIT 1000", (self._bucket, self.prefix, end, after)):
            yield from ((name, pickle.loads(state)) for name, state in page)  # noqa: S301 - our own rows
            after = page[-1][0]

    def items(self) -> Iterator[tuple[str, Version]]:
        return ((name, versions[-1]) for name, versions in self.iterlists())

    def values(self) -> Iterator[Version]:
        return (version for _, version in self.items())

    def __bool__(self) -> bool:
        return self._rows.database.row("SELECT 1 FROM s3_object WHERE bucket = ? LIMIT 1", (self._bucket,)) is not None

    def __len__(self) -> int:
        return self._total("count(*)")

    def item_size(self) -> int:
        return self._total("coalesce(sum(size), 0)")

    def _total(self, what: str) -> int:
        row = self._rows.database.row(f"SELECT {what} FROM s3_object WHERE bucket = ?", (self._bucket,))  # noqa: S608
        return int(row[0]) if row else 0


class Uploads(MutableMapping[str, "StoredUpload"]):
    """The multipart uploads of a bucket in progress, by id."""

    def __init__(self, rows: S3Rows, bucket: str) -> None:
        self._rows = rows
        self._bucket = bucket

    def __getitem__(self, number: str) -> StoredUpload:
        upload = self._rows.uploads.get(self._bucket, number)
        if upload is None:
            raise KeyError(number)
        return upload

    def __setitem__(self, number: str, upload: StoredUpload) -> None:
        self._rows.uploads.put(upload, self._bucket, number)

    def __delitem__(self, number: str) -> None:
        for part in Parts(self._rows, number):
            self._rows.parts.put(None, number, part)
        self._rows.uploads.put(None, self._bucket, number)

    def __iter__(self) -> Iterator[str]:
        rows = self._rows.database.rows("SELECT id FROM s3_upload WHERE bucket = ? ORDER BY id", (self._bucket,))
        return (number for (number,) in rows)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Parts(MutableMapping[int, "StoredKey"]):
    """The parts of an upload, by number and in that order."""

    def __init__(self, rows: S3Rows, upload: str) -> None:
        self._rows = rows
        self._upload = upload

    def __getitem__(self, number: int) -> StoredKey:
        part = self._rows.parts.get(self._upload, number)
        if part is None:
            raise KeyError(number)
        return part

    def __setitem__(self, number: int, part: StoredKey) -> None:
        self._rows.parts.put(part, self._upload, number)

    def __delitem__(self, number: int) -> None:
        self._rows.parts.put(None, self._upload, number)

    def __iter__(self) -> Iterator[int]:
        rows = self._rows.database.rows("SELECT number FROM s3_part WHERE upload = ? ORDER BY number", (self._upload,))
        return (number for (number,) in rows)

    def __len__(self) -> int:
        return sum(1 for _ in self)
