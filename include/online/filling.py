"""Keeps the feature state current from daily scoring: the raw files of the newest scored day."""

from __future__ import annotations

import json
import logging
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from include.jobs.daily.day import day_tables
from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.findings import UnusableFileError
from include.jobs.validation.reading import StoredTable
from include.models.config import LINE
from include.online.attempts import Attempts
from include.online.shape import Shape
from include.online.state import FeatureState
from include.platform.storage import day_of, scores_manifest, scores_prefix

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

LOOK_SECONDS = 60.0  # between two looks for a newly scored day
log = logging.getLogger("online")


def newest_scored_day(s3: S3Client, bucket: str, model: str) -> str | None:
    """The last day with published scores; None if there is none."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=scores_prefix(model))
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    days = [day for key in keys if (day := day_of(key)) and key == scores_manifest(model, day)]
    return max(days, default=None)


def fill(s3: S3Client, bucket: str, shape: Shape, state: FeatureState, day: str) -> int:
    """Remembers the rows that a scored day used, including its look-back; returns the number of new ones.

    Raises:
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    model, new = shape.config.name, 0
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=scores_manifest(model, day))["Body"].read())
    by_day: dict[str, list[str]] = defaultdict(list)
    for file in manifest["inputs"]:
        if (of := day_of(file["key"])) is not None:
            by_day[of].append(file["key"])
    for each, keys in sorted(by_day.items()):
        with tempfile.TemporaryDirectory() as folder:
            for key in keys:
                s3.download_file(bucket, key, str(Path(folder, key.rsplit("/", 1)[-1])))
            events = {}
            for name, table in day_tables(shape.config, each).items():
                try:
                    rows = clean_table(StoredTable(Path(folder), name, table), table, None, Window()).frame
                except UnusableFileError:  # a day before the scored one has only the windowed tables
                    continue
                events[name] = rows.drop(LINE).select(list(shape.tables[name].kinds))
            new += sum(count["kept"] for count in state.remember(events).values())
    return new


class Filler:
    """Checks periodically for a newly scored day, and remembers its rows."""

    def __init__(self, s3: S3Client, bucket: str, shape: Shape, state: FeatureState) -> None:
        self._s3, self._bucket, self._shape, self._state = s3, bucket, shape, state
        self._filled: str | None = None
        self._thread = threading.Thread(target=self._watch, name="filler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def look(self) -> None:
        """Fills in the newest scored day, unless done."""
        day = newest_scored_day(self._s3, self._bucket, self._shape.config.name)
        if day and day != self._filled:
            new = fill(self._s3, self._bucket, self._shape, self._state, day)
            log.info("%d new rows are known from the scored day %s", new, day)
            self._filled = day

    def _watch(self) -> None:
        attempts = Attempts("filling the feature state from scored days", LOOK_SECONDS)
        while True:
            with attempts:
                self.look()
            time.sleep(LOOK_SECONDS)
