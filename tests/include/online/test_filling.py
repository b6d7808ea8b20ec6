"""The feature state from a scored day's files."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from starlette.testclient import TestClient

from include.models.config import load_model
from include.online.filling import Filler
from include.online.service import Service
from include.online.shape import Shape
from include.platform.storage import daily_partition, scores_manifest
from tests.include.online.conftest import MODEL, Tables, until

DAY = datetime(2015, 1, 20)  # noqa: DTZ001 - as tables have it


class Bucket:
    """As much of S3 as is read."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects, self.downloads = objects, 0

    def get_paginator(self, _: str) -> Bucket:
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[Any]:  # noqa: N803 - boto3's names
        return [{"Contents": [{"Key": key} for key in self.objects if key.startswith(Prefix)]}]

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        return {"Body": io.BytesIO(self.objects[Key])}

    def download_file(self, bucket: str, key: str, path: str) -> None:
        self.downloads += 1
        Path(path).write_bytes(self.objects[key])


def test_what_a_day_was_scored_from_is_known_and_read_once(service: Service, api: TestClient, fleet: Tables) -> None:
    shape, objects = Shape(load_model(MODEL)), {}
    for day in (DAY - timedelta(days=1), DAY):
        for name in shape.tables:
            rows, own = fleet[name], shape.config.holds_one_day(name)
            if not own and day < DAY:
                continue
            if "datetime" in rows.columns:
                rows = rows.filter(pl.col("datetime") < day + timedelta(days=1))
                rows = rows.filter(pl.col("datetime") >= day) if own else rows
            file = shape.config.data.tables[name].file
            key = daily_partition(MODEL, day.date().isoformat()) + file
            objects[key] = rows.write_csv(datetime_format="%Y-%m-%d %H:%M:%S").encode()
    manifest = {"inputs": [{"key": key} for key in objects]}
    objects[scores_manifest(MODEL, DAY.date().isoformat())] = json.dumps(manifest).encode()
    bucket: Any = Bucket(objects)
    assert service.state is not None
    filler = Filler(bucket, "bucket", shape, service.state)
    filler.look()
    hour = DAY + timedelta(hours=21)
    known = api.post("/predict", json={"machineID": 4, "datetime": str(hour)}).json()["predictions"][0]
    told = api.post("/predict", json=until(fleet, 4, hour)).json()["predictions"][0]
    assert known["features"] == told["features"]
    before = bucket.downloads
    filler.look()
    assert bucket.downloads == before
