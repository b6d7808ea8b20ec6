"""What the console reads from S3, cached for a few seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from model_console.settings import settings
from sagemaker_jobs.kinds import Json

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

KEPT_FOR = 5.0  # seconds
AT_ONCE = 32  # concurrent reads, and connections of the client
INDEX = "index/"
MESSAGES = "messages/recent.json"
# reports that pages embed; nothing else in the bucket is shown
SHOWN = ("runs/", "monitoring/", "performance/")

type Index = Json  # index/<model>.json, as include/registry/model_index.py writes it


@dataclass
class Store:
    """The bucket's index objects, and reports."""

    s3: S3Client
    bucket: str
    _kept: dict[str, tuple[float, bytes | None]] = field(default_factory=dict)
    _names: tuple[float, list[str]] = (0.0, [])

    def models(self) -> list[str]:
        """Names of all models that have an index, sorted. One listing per 1,000 models, every few seconds."""
        read_at, names = self._names
        if time.monotonic() - read_at > KEPT_FOR:
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=INDEX)
            keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
            names = sorted(key.removeprefix(INDEX).removesuffix(".json") for key in keys if key.endswith(".json"))
            self._names = (time.monotonic(), names)
        return names

    def indexes(self, models: Sequence[str]) -> dict[str, Index]:
        """The indexes of models, by name; missing ones are left out."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return {name: found for name, found in zip(models, pool.map(self.index, models), strict=True) if found}

    def index(self, model: str) -> Index | None:
        """A model's index; None if there is none."""
        body = self._read_briefly(f"{INDEX}{model}.json")
        return None if body is None else json.loads(body)

    def _read_briefly(self, key: str) -> bytes | None:
        """An object's content, at most a few seconds old."""
        read_at, body = self._kept.get(key, (0.0, None))
        if time.monotonic() - read_at > KEPT_FOR:
            body = self.read(key)
            self._kept[key] = (time.monotonic(), body)
        return body

    def costs(self, models: Sequence[str], month: str) -> dict[str, Json]:
        """The jobs of a month (``2026-11``) by model, as the Dags recorded them; models without any are left out."""

        def read(model: str) -> Json | None:
            body = self._read_briefly(f"production/{model}/costs/{month}.json")
            return json.loads(body) if body else None

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return {name: found for name, found in zip(models, pool.map(read, models), strict=True) if found}

    def messages(self) -> list[Json]:
        """Groups of notifications, oldest first."""
        body = self.read(MESSAGES)
        return list(json.loads(body)["groups"]) if body is not None else []

    def stream(self, key: str) -> Iterator[bytes]:
        """An object's content, piece by piece."""
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks()

    def read_all(self, keys: Iterable[str]) -> list[bytes | None]:
        """Objects' contents, many at once."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(self.read, keys))

    def read(self, key: str) -> bytes | None:
        """An object's content; None if there is none."""
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise


@cache
def store() -> Store:
    """The environment's store. Raises NotConfiguredError."""
    found = settings()
    config = Config(max_pool_connections=AT_ONCE, connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 3})
    return Store(boto3.client("s3", region_name=found.region, config=config), found.bucket)
