"""Notifications sent: the newest, in one object that the console shows, grouped by subject matter.

A group sends at most one message an hour: the first is sent, those that follow are counted, and the next one sent says
how many there were. The object keeps all of them, sent or not.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypedDict

from include.platform.objects import parsed, read_versioned, write_if_unchanged
from include.platform.storage import recent_messages

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

QUIET = timedelta(hours=1)
KEPT = 100  # newest groups kept
LONGEST = 4000  # characters of a message that are kept
WRITES = 12  # attempts, as many tasks may write at once


class Group(TypedDict):
    """Messages about one thing; ``subject`` and ``message`` are the newest. ``unsent``: how many were not sent."""

    group: str
    dag_id: str
    subject: str
    message: str
    first_at: str
    last_at: str
    sent_at: str
    count: int
    unsent: int


def record(s3: S3Client, bucket: str, message: Group, *, always: bool) -> int | None:
    """Records a message and decides whether to send it.

    Args:
        message: a group with only this message.
        always: send it however soon it follows another one.

    Returns:
        The number of unsent messages before it; None if this one must not be sent either.

    Raises:
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    uri = recent_messages(bucket)
    for attempt in range(WRITES):
        found, etag = read_versioned(s3, uri)
        groups, before = added(parsed(uri, found)["groups"] if found else [], message, always=always)
        if write_if_unchanged(s3, uri, json.dumps({"groups": groups}).encode(), etag):
            return before
        time.sleep(random.uniform(0, 0.05 * 2 ** min(attempt, 5)))  # noqa: S311 - no secret: who goes first
    return 0  # better sent once too often than not at all


def added(groups: Sequence[Group], message: Group, *, always: bool) -> tuple[list[Group], int | None]:
    """The groups including the message, newest last, and ``record``'s return value. Pure."""
    others = [group for group in groups if group["group"] != message["group"]]
    same = next((group for group in groups if group["group"] == message["group"]), None)
    merged: Group = {**message, "message": message["message"][:LONGEST]}
    if same is None:
        return [*others, merged][-KEPT:], 0
    merged["first_at"], merged["count"] = same["first_at"], same["count"] + 1
    since = datetime.fromisoformat(message["last_at"]) - datetime.fromisoformat(same["sent_at"])
    if not always and since < QUIET:
        merged["sent_at"], merged["unsent"] = same["sent_at"], same["unsent"] + 1
        return [*others, merged][-KEPT:], None
    return [*others, merged][-KEPT:], same["unsent"]
