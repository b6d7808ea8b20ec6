"""Which version of a model was in production, from when to when: ``production/<model>/history.json`` in the bucket.

Deployments and rollbacks write it; scoring of past days reads it. Only one run of a model's deployment Dags changes
production at a time; a writer that was overtaken anyway is rejected.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.platform.errors import PermanentError
from include.platform.objects import read_versioned, write_if_unchanged
from include.platform.storage import production_history
from include.registry.versions import Version

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


class HistoryError(PermanentError):
    """The history cannot be read or must not be written; the message says where it is and what to do."""


class HistoryConflictError(RuntimeError):
    """Another run wrote the history at the same time: a retry reads it again."""


class Entry(Version):
    """A version's time in production: the interval [since, until); ``until`` is None while it lasts.

    ``endpoint_config`` is the production endpoint's configuration; ``dag_id`` and ``run_id`` identify the run that
    promoted it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    since: Annotated[AwareDatetime, Field(alias="from")]
    until: Annotated[AwareDatetime | None, Field(alias="to")] = None
    endpoint_config: str
    dag_id: str
    run_id: str

    def as_json(self) -> dict[str, Any]:
        """The form that the history stores and tasks pass on."""
        return self.model_dump(mode="json", by_alias=True)


class History(BaseModel):
    """All entries, oldest first; only the last may be open."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    entries: tuple[Entry, ...] = ()

    @model_validator(mode="after")
    def times_follow_each_other(self) -> Self:
        for earlier, later in zip(self.entries, self.entries[1:], strict=False):
            if earlier.until is None or not earlier.since <= earlier.until <= later.since:
                raise ValueError(f"version {earlier.version} does not end before version {later.version} begins")
        return self


def current(history: History) -> Entry | None:
    """What is in production now; None if nothing is."""
    return next((entry for entry in history.entries if entry.until is None), None)


def previous(history: History) -> Entry | None:
    """What a rollback returns to; None if nothing was in production before."""
    line = _line(history)
    return line[-2] if len(line) > 1 else None


def last_in_production(history: History, count: int) -> list[Entry]:
    """The last versions in production, the current one first; without those that were rolled back."""
    versions: dict[int, Entry] = {}
    for entry in reversed(_line(history)):
        versions.setdefault(entry.version, entry)
    return list(versions.values())[:count]


def _line(history: History) -> list[Entry]:
    """The entries that led to the current one, which comes last.

    A version that comes back removes those after it: after versions 1, 2, 3 and a rollback to 2, the previous one is 1,
    not the 3 that was rolled back.
    """
    line: list[Entry] = []
    for entry in history.entries:
        again = next((n for n, before in enumerate(line) if before.endpoint_config == entry.endpoint_config), len(line))
        line = [*line[:again], entry]
    return line


def in_production_at(history: History, moment: datetime) -> Entry | None:
    """What was in production at a moment (with a time zone); None before the first and in gaps."""
    return next(
        (entry for entry in history.entries if entry.since <= moment and (entry.until is None or moment < entry.until)),
        None,
    )


def promote(history: History, entry: Entry) -> History:
    """Adds an open entry, and closes the previous one; unchanged if the open entry is the same.

    Raises:
        HistoryError: the entry starts before the last one.
    """
    last = history.entries[-1] if history.entries else None
    if last is None:
        return History(entries=(entry,))
    if last.until is None and (last.version, last.endpoint_config) == (entry.version, entry.endpoint_config):
        return history
    if entry.since < last.since:
        raise HistoryError(
            f"version {entry.version} would be in production from {entry.since}, but version {last.version} came "
            f"later, at {last.since}: another run has changed production. Nothing was recorded."
        )
    closed = last if last.until is not None else last.model_copy(update={"until": entry.since})
    return History(entries=(*history.entries[:-1], closed, entry))


def read_history(s3: S3Client, bucket: str, model: str) -> History:
    """The history of a model; empty if nothing was ever promoted.

    Raises:
        HistoryError: the object is corrupt.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    return _read(s3, bucket, model)[0]


def record_promotion(
    s3: S3Client, bucket: str, model: str, entry: Entry, confirm: Callable[[], None] = lambda: None
) -> History:
    """Records an entry in the current history, as ``promote``. Idempotent.

    Args:
            confirm: raises if production is not as the entry says. It is called after the history was read; the history
                is then written only if nobody else wrote it, so of two runs that change production the last is recorded
                last.

    Raises:
        HistoryError: a later promotion is already recorded, or the history is corrupt.
        HistoryConflictError: another run wrote meanwhile.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    return _change(s3, bucket, model, lambda history: promote(history, entry), confirm)


def record_retirement(s3: S3Client, bucket: str, model: str) -> History:
    """Closes the current entry: nothing is in production from now on. Idempotent.

    Raises:
        HistoryError: the history is corrupt.
        HistoryConflictError: another run wrote meanwhile.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """

    def closed(history: History) -> History:
        if current(history) is None:
            return history
        *earlier, last = history.entries
        return History(entries=(*earlier, last.model_copy(update={"until": max(now(), last.since)})))

    return _change(s3, bucket, model, closed)


def _change(
    s3: S3Client,
    bucket: str,
    model: str,
    change: Callable[[History], History],
    confirm: Callable[[], None] = lambda: None,
) -> History:
    history, etag = _read(s3, bucket, model)
    confirm()
    changed = change(history)
    if changed == history:
        return history
    uri = production_history(bucket, model)
    body = changed.model_dump_json(by_alias=True, indent=1).encode()
    if not write_if_unchanged(s3, uri, body, etag):
        raise HistoryConflictError(f"another run changed {uri} at the same time; a retry reads it again")
    return changed


def _read(s3: S3Client, bucket: str, model: str) -> tuple[History, str | None]:
    """The history and its object's ETag; the ETag is None if there is no object."""
    uri = production_history(bucket, model)
    body, etag = read_versioned(s3, uri)
    if body is None:
        return History(), None
    try:
        return History.model_validate(json.loads(body)), etag
    except (json.JSONDecodeError, ValidationError) as error:
        raise HistoryError(
            f"{uri} cannot be read: {error}. Only deployments write it; restore an earlier version of the object."
        ) from error


def now() -> datetime:
    """The current time, in UTC and whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
