"""The feature state: what is remembered of each machine (or whatever rows are about), so that a request need not
include the past along.

One document for each thing, whole tables of typed rows in it, replaced only if nobody replaced it since it was read. It
is bounded: tables with a time keep the rows of the look-back and ``LATE_HOURS`` before the newest, those with
``history`` the newest ``MOST_ROWS``, others the last row per key.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import polars as pl
from botocore.exceptions import BotoCoreError, ClientError

from include.jobs.serving.endpoint import UnavailableError
from include.models.errors import JobError
from include.online.shape import Shape, Thing

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

LATE_HOURS = 24  # how much later than their thing's newest event others may arrive and still be useful
AHEAD = timedelta(
    hours=1
)  # of the clock: what lies further ahead has a wrong time, and would push out all that is known
MOST_ROWS = 2000  # of a thing and table
ATTEMPTS = 20
PARSED = 500  # documents in memory

Tables = Mapping[str, pl.DataFrame]
Document = tuple[bytes | None, int]  # and the number of writes


class Store(Protocol):
    """Documents by model and thing."""

    def get(self, model: str, thing: str) -> Document: ...

    def put(self, model: str, thing: str, content: bytes, seen: int) -> bool:
        """Whether it was written; false if it has changed since ``seen`` writes."""


class SqliteStore:
    """A file, for the processes of one machine."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._local = path, threading.local()
        with self._connection() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS known (model TEXT, thing TEXT, content BLOB, written INTEGER, "
                "PRIMARY KEY (model, thing)) WITHOUT ROWID"
            )

    def get(self, model: str, thing: str) -> Document:
        row = (
            self._connection()
            .execute("SELECT content, written FROM known WHERE model = ? AND thing = ?", (model, thing))
            .fetchone()
        )
        return row or (None, 0)

    def put(self, model: str, thing: str, content: bytes, seen: int) -> bool:
        with self._connection() as connection:
            if seen:
                done = connection.execute(
                    "UPDATE known SET content = ?, written = written + 1 WHERE model = ? AND thing = ? AND written = ?",
                    (content, model, thing, seen),
                )
            else:
                done = connection.execute("INSERT OR IGNORE INTO known VALUES (?, ?, ?, 1)", (model, thing, content))
            return done.rowcount == 1

    def _connection(self) -> sqlite3.Connection:
        """Of this thread."""
        if not hasattr(self._local, "connection"):
            self._local.connection = sqlite3.connect(self._path, timeout=30)
            self._local.connection.execute("PRAGMA journal_mode = WAL")
            self._local.connection.execute("PRAGMA synchronous = NORMAL")
        connection: sqlite3.Connection = self._local.connection
        return connection


class DynamoStore:
    """In a DynamoDB table with the partition key ``model`` and the sort key ``thing``, both texts."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client, self._table = client, table

    def get(self, model: str, thing: str) -> Document:
        found = self._client.get_item(
            TableName=self._table, Key={"model": {"S": model}, "thing": {"S": thing}}, ConsistentRead=True
        ).get("Item")
        return (found["content"]["B"], int(found["written"]["N"])) if found else (None, 0)

    def put(self, model: str, thing: str, content: bytes, seen: int) -> bool:
        item: Mapping[str, AttributeValueTypeDef] = {
            "model": {"S": model},
            "thing": {"S": thing},
            "content": {"B": content},
            "written": {"N": str(seen + 1)},
        }
        try:
            if seen:
                self._client.put_item(
                    TableName=self._table,
                    Item=item,
                    ConditionExpression="written = :seen",
                    ExpressionAttributeValues={":seen": {"N": str(seen)}},
                )
            else:
                self._client.put_item(
                    TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(thing)"
                )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def open_store(address: str) -> Store:
    """The store at ``sqlite:///path`` or ``dynamodb://table``.

    Raises:
        JobError: there is no such kind.
    """
    kind, _, place = address.partition("://")
    if kind == "sqlite" and place.startswith("/"):
        return SqliteStore(Path(place.removeprefix("/")))
    if kind == "dynamodb" and place:
        import boto3  # takes a second that a laptop need not spend

        return DynamoStore(boto3.client("dynamodb"), place)
    raise JobError(f"the feature state is '{address}'; allowed are sqlite:///<path> and dynamodb://<table>.")


class FeatureState:
    """The known tables of each thing of a model."""

    def __init__(self, shape: Shape, store: Store) -> None:
        self._shape, self._store = shape, store
        self._model = shape.config.name
        self._read = lru_cache(PARSED)(self._parsed)  # by the document itself: what has changed is read again

    def known(self, thing: Thing) -> Tables:
        """A thing's tables; empty if nothing is known."""
        with _reached():
            return self._read(self._store.get(self._model, _name(thing))[0])

    def remember(self, events: Tables, now: datetime | None = None) -> dict[str, Counter[str]]:
        """Take in events, in any order, and report for each table what happened to them: ``kept``, ``repeated`` (known
        already), ``contradicting`` (known otherwise: what was told first stays), ``late`` or ``ahead`` (not kept).

        Raises:
            UnavailableError: the store cannot be asked, or too many write the same thing.
        """
        now = (now or datetime.now(UTC)).replace(tzinfo=None)
        counts = {name: Counter[str]() for name in events}
        for thing, tables in self._by_thing(events).items():
            with _reached():
                counted = self._kept(thing, tables, now)
            for name, count in counted.items():
                counts[name] += count
        return counts

    def _kept(self, thing: Thing, tables: Tables, now: datetime) -> dict[str, Counter[str]]:
        for _ in range(ATTEMPTS):
            content, seen = self._store.get(self._model, _name(thing))
            merged, counted = self._merge(self._read(content), tables, now)
            if not any(count["kept"] for count in counted.values()):
                return counted
            if self._store.put(self._model, _name(thing), self._written(merged), seen):
                return counted
        raise UnavailableError(
            f"{_name(thing)} of {self._model} is written by too many at once; send the events again."
        )

    def _by_thing(self, events: Tables) -> Mapping[Thing, Tables]:
        found: dict[Thing, dict[str, pl.DataFrame]] = {}
        for name, frame in events.items():
            columns = [column for column in self._shape.thing if column in frame.columns]
            parts = {(): frame} if not columns else frame.partition_by(columns, as_dict=True)
            for thing, part in parts.items():
                if part.height:
                    found.setdefault(thing, {})[name] = part
        return found

    def _merge(self, known: Tables, new: Tables, now: datetime) -> tuple[Tables, dict[str, Counter[str]]]:
        shape, counts = self._shape, {name: Counter[str]() for name in new}
        tables = dict(known)
        newest = self._newest(known, new, now)
        for name, frame in new.items():
            table, time = shape.tables[name], shape.time
            old = known[name]
            if time not in frame.columns:
                kept = pl.concat([frame, old]).unique(table.key or None, keep="first", maintain_order=True)
                counts[name]["kept"] += 0 if kept.equals(old) else frame.height
                tables[name] = kept
                continue
            usable = frame.filter(pl.col(time) <= now + AHEAD)
            counts[name]["ahead"] += frame.height - usable.height
            if newest and not table.history:
                early = usable.height
                usable = usable.filter(pl.col(time) >= newest - self._bound)
                counts[name]["late"] += early - usable.height
            there = usable.join(old, on=table.key or frame.columns, how="semi")
            same = usable.join(old, on=frame.columns, how="semi", nulls_equal=True).height
            counts[name]["repeated"] += same
            counts[name]["contradicting"] += there.height - same
            fresh = usable.join(old, on=table.key or frame.columns, how="anti")
            counts[name]["kept"] += fresh.height
            rows = pl.concat([old, fresh]).sort(time, maintain_order=True)
            if newest and not table.history:
                rows = rows.filter(pl.col(time) >= newest - self._bound)
            tables[name] = rows.tail(MOST_ROWS)
        return tables, counts

    @property
    def _bound(self) -> timedelta:
        scoring = self._shape.config.scoring
        return timedelta(hours=(scoring.look_back_hours if scoring else 0) + LATE_HOURS)

    def _newest(self, known: Tables, new: Tables, now: datetime) -> datetime | None:
        time, first = self._shape.time, self._shape.first
        if time is None:
            return None
        moments = [
            moment
            for tables in (known, new)
            if first in tables and (column := tables[first].get_column(time, default=None)) is not None
            if isinstance(moment := column.filter(column <= now + AHEAD).max(), datetime)
        ]
        return max(moments, default=None)

    def _written(self, tables: Tables) -> bytes:
        columns = {
            name: {column.name: _plain(column).to_list() for column in frame}
            for name, frame in tables.items()
            if frame.height
        }
        return json.dumps(columns, separators=(",", ":")).encode()

    def _parsed(self, content: bytes | None) -> Tables:
        found = json.loads(content) if content else {}
        return {
            name: pl.DataFrame(found[name], schema=self._shape.schema(name), strict=False)
            if name in found
            else self._shape.empty(name)
            for name in self._shape.tables
        }


@contextmanager
def _reached() -> Iterator[None]:
    """Raises UnavailableError: the store fails."""
    try:
        yield
    except (sqlite3.Error, BotoCoreError, ClientError) as error:
        raise UnavailableError(
            f"the feature state cannot be asked: {error}. STATE says where it is; try again, or send history instead."
        ) from error


def _plain(column: pl.Series) -> pl.Series:
    return column.to_physical() if column.dtype == pl.Datetime else column


def _name(thing: Thing) -> str:
    return "/".join(map(str, thing)) or "all"
