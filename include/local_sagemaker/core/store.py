"""The store: resources and their tags, and undelivered events of their changes.

A resource is a JSON document with the fields of its Describe operation's answer; fields that start with an
underscore are private to this program. Times are epoch seconds.
"""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from include.local_sagemaker.core.database import Database
from include.local_sagemaker.core.errors import ValidationException

Json = dict[str, Any]
type JsonValue = str | int | float | list[JsonValue] | dict[str, JsonValue] | None  # a bool is an int

ACCOUNT = "123456789012"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resource (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    region TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, parent TEXT NOT NULL, arn TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL, created REAL NOT NULL, modified REAL NOT NULL, body TEXT NOT NULL,
    UNIQUE (region, kind, name));
CREATE INDEX IF NOT EXISTS by_creation ON resource (region, kind, created, id);
CREATE INDEX IF NOT EXISTS by_parent ON resource (region, kind, parent, created, id);
CREATE INDEX IF NOT EXISTS by_status ON resource (kind, status, id);
CREATE TABLE IF NOT EXISTS tag (arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, key));
CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY AUTOINCREMENT, region TEXT NOT NULL, body TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Kind:
    """A kind of resource: `label` is its ARN's resource type, `title` the prefix of its fields in the API."""

    label: str
    title: str

    @property
    def name(self) -> str:
        return f"{self.title}Name"

    @property
    def arn(self) -> str:
        return f"{self.title}Arn"

    @property
    def status(self) -> str:
        return f"{self.title}Status"


PROCESSING_JOB = Kind("processing-job", "ProcessingJob")
TRAINING_JOB = Kind("training-job", "TrainingJob")
TRANSFORM_JOB = Kind("transform-job", "TransformJob")
TUNING_JOB = Kind("hyper-parameter-tuning-job", "HyperParameterTuningJob")
MODEL = Kind("model", "Model")
ENDPOINT_CONFIG = Kind("endpoint-config", "EndpointConfig")
ENDPOINT = Kind("endpoint", "Endpoint")
MODEL_PACKAGE_GROUP = Kind("model-package-group", "ModelPackageGroup")
MODEL_PACKAGE = Kind("model-package", "ModelPackage")
KINDS = (
    PROCESSING_JOB,
    TRAINING_JOB,
    TRANSFORM_JOB,
    TUNING_JOB,
    MODEL,
    ENDPOINT_CONFIG,
    ENDPOINT,
    MODEL_PACKAGE_GROUP,
    MODEL_PACKAGE,
)


def make_arn(region: str, kind: Kind, name: str) -> str:
    return f"arn:aws:sagemaker:{region}:{ACCOUNT}:{kind.label}/{name.lower()}"


class AlreadyExistsError(Exception):
    """The name is taken; `args[0]` is the ARN of the resource that has it."""


@dataclass(frozen=True)
class Query:
    """Filters, order and page of a List operation; times in epoch seconds, None means "any".

    The status filters after the page is taken, as botocore's text on ListTrainingJobs says: such a page may have fewer
    than ``limit`` documents, or none, and still a next page.
    """

    name_contains: str | None = None
    status: str | None = None
    parent: str | None = None
    created: tuple[float | None, float | None] = (None, None)
    modified: tuple[float | None, float | None] = (None, None)
    order_by: str = "created"
    descending: bool = True
    limit: int = 10
    token: str | None = None

    @classmethod
    def from_request(cls, kind: Kind, request: Json, *, parent: str | None = None) -> Self:
        """Reads the parameters that all List operations share. Without SortOrder the newest come first, as measured on
        AWS, whatever its reference says of some operations."""
        order = {"Name": "name", kind.name: "name", "CreationTime": "created", "Status": "status"}
        return cls(
            name_contains=request.get("NameContains"),
            status=request.get("StatusEquals"),
            parent=parent,
            created=(request.get("CreationTimeAfter"), request.get("CreationTimeBefore")),
            modified=(request.get("LastModifiedTimeAfter"), request.get("LastModifiedTimeBefore")),
            order_by="modified"
            if request.get("SortBy") == "LastModifiedTime"
            else order.get(request.get("SortBy", ""), "created"),
            descending=request.get("SortOrder", "Descending") == "Descending",
            limit=request.get("MaxResults", 10),
            token=request.get("NextToken"),
        )

    def where(self) -> tuple[list[str], list[object]]:
        clauses: list[tuple[str, object]] = [
            ("instr(lower(name), lower(?)) > 0", self.name_contains),
            ("parent = ?", self.parent),
            ("created > ?", self.created[0]),
            ("created < ?", self.created[1]),
            ("modified > ?", self.modified[0]),
            ("modified < ?", self.modified[1]),
        ]
        wanted = [(sql, value) for sql, value in clauses if value is not None]
        return [part for part, _ in wanted], [value for _, value in wanted]


class Store:
    """Thread-safe; changes are durable when a method returns (`Database`)."""

    def __init__(self, file: Path, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._db = Database(file, _SCHEMA)

    def close(self) -> None:
        self._db.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Combines the changes within it into one, all or nothing."""
        return self._db.transaction()

    def create(
        self,
        region: str,
        kind: Kind,
        name: str,
        body: Mapping[str, object],
        *,
        parent: str = "",
        tags: Iterable[Json] = (),
    ) -> Json:
        """Adds name, ARN and times to `body` and keeps it. Raises AlreadyExistsError."""
        arn = make_arn(region, kind, name)
        now = self._now()
        document = {**body, kind.name: name, kind.arn: arn}
        document.setdefault("CreationTime", now)
        document.setdefault("LastModifiedTime", now)
        row = (region, kind.label, name, parent, arn, document.get(kind.status, ""), now, now, json.dumps(document))
        with self._db.transaction():
            try:
                self._db.execute(
                    "INSERT INTO resource (region, kind, name, parent, arn, status, created, modified, body)"
                    " VALUES (?,?,?,?,?,?,?,?,?)",
                    row,
                )
            except sqlite3.IntegrityError as error:
                raise AlreadyExistsError(arn) from error
            self._put_tags(arn, tags)
        return document

    def find(self, region: str, kind: Kind, name: str) -> Json | None:
        return self._body("region = ? AND kind = ? AND name = ?", (region, kind.label, name))

    def find_by_arn(self, arn: str) -> Json | None:
        return self._body("arn = ?", (arn,))

    def update(
        self,
        region: str,
        kind: Kind,
        name: str,
        changes: Mapping[str, object] | Callable[[Json], Mapping[str, object]],
        *,
        when: Collection[str] | None = None,
    ) -> tuple[Json, Json] | None:
        """Merges `changes` (or what it returns for the current document; None removes a field) and sets
        LastModifiedTime, in one transaction. Returns (before, after), or None when the resource does not exist or
        its status is not among `when`."""
        with self._db.transaction():
            before = self.find(region, kind, name)
            if before is None or (when is not None and before.get(kind.status, "") not in when):
                return None
            now = self._now()
            merged = {**before, "LastModifiedTime": now, **(changes(before) if callable(changes) else changes)}
            after = {key: value for key, value in merged.items() if value is not None}
            self._db.execute(
                "UPDATE resource SET status = ?, modified = ?, body = ? WHERE region = ? AND kind = ? AND name = ?",
                (after.get(kind.status, ""), now, json.dumps(after), region, kind.label, name),
            )
        return before, after

    def delete(self, region: str, kind: Kind, name: str) -> Json | None:
        """The document that was there, or None."""
        with self._db.transaction():
            body = self.find(region, kind, name)
            if body is not None:
                self._db.execute("DELETE FROM tag WHERE arn = ?", (body[kind.arn],))
                self._db.execute("DELETE FROM resource WHERE arn = ?", (body[kind.arn],))
        return body

    def page(self, region: str, kind: Kind, query: Query) -> tuple[list[Json], str | None]:
        """One page and the token of the next. A page continues behind the last row seen, so resources created or
        deleted between two pages neither repeat nor hide others."""
        clauses, values = query.where()
        sign, order = ("<", "DESC") if query.descending else (">", "ASC")
        if query.token is not None:
            clauses.append(f"({query.order_by}, id) {sign} (?, ?)")
            values += _read_token(query.token)
        where = " AND ".join(["region = ?", "kind = ?", *clauses])
        # columns and signs are this module's own words, values are bound
        sql = f"SELECT {query.order_by}, id, body FROM resource WHERE {where}"  # noqa: S608
        sql += f" ORDER BY {query.order_by} {order}, id {order} LIMIT ?"
        rows = self._db.rows(sql, (region, kind.label, *values, query.limit + 1))
        page = rows[: query.limit]
        token = _write_token(page[-1][:2]) if len(rows) > query.limit else None
        documents = [json.loads(row[2]) for row in page]
        return [one for one in documents if query.status in (None, one.get(kind.status))], token

    def all(self, kind: Kind, *, statuses: Collection[str] | None = None) -> list[tuple[str, Json]]:
        """(region, document) of every resource of a kind in order of creation, in all regions."""
        where, values = "kind = ?", [kind.label]
        if statuses is not None:
            where += f" AND status IN ({','.join('?' * len(statuses))})"
            values += statuses
        rows = self._db.rows(f"SELECT region, body FROM resource WHERE {where} ORDER BY id", values)  # noqa: S608
        return [(region, json.loads(body)) for region, body in rows]

    def tags(self, arn: str) -> list[Json]:
        rows = self._db.rows("SELECT key, value FROM tag WHERE arn = ? ORDER BY key", (arn,))
        return [{"Key": key, "Value": value} for key, value in rows]

    def add_tags(self, arn: str, tags: Iterable[Json]) -> None:
        with self._db.transaction():
            self._put_tags(arn, tags)

    def delete_tags(self, arn: str, keys: Iterable[str]) -> None:
        with self._db.transaction():
            self._db.executemany("DELETE FROM tag WHERE arn = ? AND key = ?", [(arn, key) for key in keys])

    def add_event(self, region: str, event: Json) -> None:
        """An event to deliver: kept until `delete_event`, in the transaction of the change that it reports."""
        self._db.execute("INSERT INTO event (region, body) VALUES (?,?)", (region, json.dumps(event)))

    def oldest_event(self) -> tuple[int, str, Json] | None:
        """(id, region, event)"""
        row = self._db.row("SELECT id, region, body FROM event ORDER BY id LIMIT 1")
        return None if row is None else (row[0], row[1], json.loads(row[2]))

    def delete_event(self, number: int) -> None:
        self._db.execute("DELETE FROM event WHERE id = ?", (number,))

    def _put_tags(self, arn: str, tags: Iterable[Json]) -> None:
        rows = [(arn, tag["Key"], tag["Value"]) for tag in tags]
        self._db.executemany("INSERT OR REPLACE INTO tag (arn, key, value) VALUES (?,?,?)", rows)

    def _body(self, where: str, values: tuple[str, ...]) -> Json | None:
        row = self._db.row(f"SELECT body FROM resource WHERE {where}", values)  # noqa: S608
        return None if row is None else json.loads(row[0])


def _write_token(position: tuple[str | float, int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _read_token(token: str) -> tuple[str | float, int]:
    try:
        value, row = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, binascii.Error) as error:
        raise ValidationException("Invalid NextToken") from error
    if not isinstance(value, str | int | float) or not isinstance(row, int):
        raise ValidationException("Invalid NextToken")
    return value, row
