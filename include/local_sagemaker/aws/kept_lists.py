"""Log events and metric data, which only ever grow: one row each, added when moto adds it.

moto's models are replaced by subclasses whose lists are tables; moto is pinned exactly.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from typing import ClassVar

import moto.cloudwatch.urls as moto_cloudwatch_urls
import moto.logs.models as moto_logs
import moto.logs.urls as moto_logs_urls
from moto.cloudwatch.models import CloudWatchBackend, MetricDatumBase, cloudwatch_backends
from moto.logs.models import LogEvent, logs_backends

from include.local_sagemaker.core.database import Database
from include.local_sagemaker.core.store import Json

SCHEMA = """
CREATE TABLE IF NOT EXISTS log_stream (id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL,
    region TEXT NOT NULL, log_group TEXT NOT NULL, name TEXT NOT NULL, state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS log_event (id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL,
    time INTEGER NOT NULL, ingested INTEGER NOT NULL, message TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_stream ON log_event (stream, time, id);
CREATE TABLE IF NOT EXISTS metric (id INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, region TEXT NOT NULL,
    state BLOB NOT NULL);
"""


class EventRows:
    """The events of a stream, in place of moto's list."""

    def __init__(self, database: Database, stream: int) -> None:
        self._db = database
        self._stream = stream

    def __iadd__(self, events: Iterable[LogEvent]) -> EventRows:
        rows = [(self._stream, event.timestamp, event.ingestion_time, event.message) for event in events]
        self._db.executemany("INSERT INTO log_event (stream, time, ingested, message) VALUES (?,?,?,?)", rows)
        return self

    def __iter__(self) -> Iterator[LogEvent]:
        sql = "SELECT id, time, ingested, message FROM log_event WHERE stream = ? ORDER BY time, id"
        for number, time, ingested, message in self._db.rows(sql, (self._stream,)):
            event = LogEvent(ingested, {"timestamp": time, "message": message})
            event.event_id = number
            yield event

    def __len__(self) -> int:
        row = self._db.row("SELECT count(*) FROM log_event WHERE stream = ?", (self._stream,))
        return int(row[0]) if row else 0

    def __bool__(self) -> bool:
        return self._db.row("SELECT 1 FROM log_event WHERE stream = ? LIMIT 1", (self._stream,)) is not None

    def span(self) -> tuple[int | None, int | None]:
        """The times of the first and the last event."""
        row = self._db.row("SELECT min(time), max(time) FROM log_event WHERE stream = ?", (self._stream,))
        return row or (None, None)


class KeptStream(moto_logs.LogStream):
    """A log stream stored as a row, like its events."""

    database: ClassVar[Database]

    def __init__(self, log_group: moto_logs.LogGroup, name: str) -> None:
        super().__init__(log_group, name)
        cursor = self.database.execute(
            "INSERT INTO log_stream (account, region, log_group, name, state) VALUES (?,?,?,?,?)",
            (self.account_id, self.region, log_group.name, name, pickle.dumps(self)),
        )
        self._attach(log_group, int(cursor.lastrowid or 0))

    def _attach(self, log_group: moto_logs.LogGroup, number: int) -> None:
        self.log_group = log_group
        self.number = number
        self.events = EventRows(self.database, number)  # type: ignore[assignment]

    @classmethod
    def restore(cls, log_group: moto_logs.LogGroup, number: int, state: bytes) -> KeptStream:
        stream: KeptStream = pickle.loads(state)  # noqa: S301 - our own row
        stream._attach(log_group, number)
        return stream

    def put_log_events(self, log_events: list[Json]) -> str:
        token = super().put_log_events(log_events)
        self.database.execute("UPDATE log_stream SET state = ? WHERE id = ?", (pickle.dumps(self), self.number))
        return token

    def _update(self) -> None:
        self.first_event_timestamp, self.last_event_timestamp = self.events.span()  # type: ignore[attr-defined]

    def delete_rows(self) -> None:
        self.database.execute("DELETE FROM log_event WHERE stream = ?", (self.number,))
        self.database.execute("DELETE FROM log_stream WHERE id = ?", (self.number,))

    def __getstate__(self) -> Json:
        return {name: value for name, value in self.__dict__.items() if name not in {"log_group", "events", "number"}}


class KeptGroup(moto_logs.LogGroup):
    """A log group without its streams, which are separate rows."""

    def delete_log_stream(self, log_stream_name: str) -> None:
        stream = self.streams.get(log_stream_name)
        super().delete_log_stream(log_stream_name)
        if isinstance(stream, KeptStream):
            stream.delete_rows()

    def __getstate__(self) -> Json:
        return {**self.__dict__, "streams": {}}


class KeptLogs(moto_logs.LogsBackend):
    """moto's logs; deleting a group deletes its streams."""

    _url_module = moto_logs_urls  # moto would look for it beside this module

    def delete_log_group(self, log_group_name: str) -> None:
        group = self.groups.get(log_group_name)
        super().delete_log_group(log_group_name)
        for name in list(group.streams) if group else ():
            group.delete_log_stream(name)  # type: ignore[union-attr]


class MetricRows(list[MetricDatumBase]):
    """The metric data of a region: in memory, as alarms read them each second, and as rows."""

    def __init__(self, database: Database, account: str, region: str) -> None:
        super().__init__()
        self._db = database
        self._account, self._region = account, region
        self._numbers: dict[int, int] = {}  # row of the datum with this id()
        for number, state in database.rows(
            "SELECT id, state FROM metric WHERE account = ? AND region = ? ORDER BY id", (account, region)
        ):
            datum = pickle.loads(state)  # noqa: S301 - our own row
            super().append(datum)
            self._numbers[id(datum)] = number

    def append(self, datum: MetricDatumBase) -> None:
        super().append(datum)
        cursor = self._db.execute(
            "INSERT INTO metric (account, region, state) VALUES (?,?,?)",
            (self._account, self._region, pickle.dumps(datum)),
        )
        self._numbers[id(datum)] = int(cursor.lastrowid or 0)

    def save(self, datum: MetricDatumBase) -> None:
        """Rewrites a datum that has grown."""
        self._db.execute(
            "UPDATE metric SET state = ? WHERE id = ?", (pickle.dumps(datum), self._numbers.get(id(datum)))
        )

    def drop_first(self) -> None:
        self._db.execute("DELETE FROM metric WHERE id = ?", (self._numbers.pop(id(self[0]), None),))
        del self[0]


class KeptCloudWatch(CloudWatchBackend):
    """moto's CloudWatch, with metric data in rows."""

    database: ClassVar[Database]
    _url_module = moto_cloudwatch_urls  # moto would look for it beside this module

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.metric_data = MetricRows(self.database, account_id, region_name)

    def __getstate__(self) -> Json:
        return {name: value for name, value in self.__dict__.items() if name != "metric_data"}

    def __setstate__(self, state: Json) -> None:
        self.__dict__.update(state)
        self.metric_data = MetricRows(self.database, self.account_id, self.region_name)


def install(database: Database) -> None:
    """Puts the classes above into moto, before anything in it is created or restored."""
    KeptStream.database = KeptCloudWatch.database = database
    moto_logs.LogStream = KeptStream  # type: ignore[misc]
    moto_logs.LogGroup = KeptGroup  # type: ignore[misc]
    logs_backends.backend = KeptLogs
    cloudwatch_backends.backend = KeptCloudWatch


def restore_streams(database: Database) -> None:
    """Returns their streams to restored log groups."""
    sql = "SELECT id, account, region, log_group, name, state FROM log_stream ORDER BY id"
    for number, account, region, group_name, name, state in database.rows(sql):
        group = logs_backends[account][region].groups[group_name]
        group.streams[name] = KeptStream.restore(group, number, state)
