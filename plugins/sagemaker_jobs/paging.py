"""Lists that AWS returns in pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sagemaker_jobs.kinds import Json

if TYPE_CHECKING:
    from botocore.client import BaseClient


def listed(client: BaseClient, operation: str, field: str, **query: str) -> Iterator[Json]:
    """The items in ``field`` of every page of an operation's answer."""
    for page in client.get_paginator(operation).paginate(**query):
        yield from page[field]
