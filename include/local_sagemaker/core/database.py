"""A SQLite file that a kill -9 at any moment cannot damage, and that loses nothing that was committed."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


class Database:
    """Thread-safe: one connection, one transaction at a time.

    A commit hands its pages to the kernel, so it survives the death of this process. It does not wait for the disk
    (`synchronous=NORMAL`): a power cut may cost the last seconds, though it leaves the file whole.
    """

    def __init__(self, file: Path, schema: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(schema)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; a transaction within another of the same thread is a part of it."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._db.rollback()  # nothing to do if SQLite already did it, on a full disk
                raise

    def execute(self, sql: str, values: Iterable[object] = ()) -> sqlite3.Cursor:
        """One statement. Raises sqlite3.IntegrityError for a key that is taken."""
        with self._lock:
            return self._db.execute(sql, tuple(values))

    def executemany(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        with self.transaction():
            self._db.executemany(sql, rows)

    def rows(self, sql: str, values: Iterable[object] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, tuple(values)).fetchall()

    def row(self, sql: str, values: Iterable[object] = ()) -> Any | None:
        with self._lock:
            return self._db.execute(sql, tuple(values)).fetchone()
