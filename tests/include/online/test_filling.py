"""The feature state from a scored day's files."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import polars as pl
from starlette.testclient import TestClient

from include.models.config import load_model
from include.online.filling import Filler
from include.online.service import Service
from include.online.shape import Shape
from include.platform.storage import daily_partition, scores_manifest
from tests.include.local_aws import LocalS3
from tests.include.online.conftest import MODEL, Tables, until

DAY = datetime(2015, 1, 20)  # noqa: DTZ001 - as tables have it


def test_what_a_day_was_scored_from_is_known_and_read_once(
    s3: LocalS3, service: Service, api: TestClient, fleet: Tables
) -> None:
    shape, objects = Shape(load_model(MODEL)), dict[str, bytes]()
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
    s3.objects.update(objects)
    assert service.state is not None
    filler = Filler(s3, "bucket", shape, service.state)
    filler.look()
    hour = DAY + timedelta(hours=21)
    known = api.post("/predict", json={"machineID": 4, "datetime": str(hour)}).json()["predictions"][0]
    told = api.post("/predict", json=until(fleet, 4, hour)).json()["predictions"][0]
    assert known["features"] == told["features"]
    read: list[str] = []
    s3.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: read.append(params["Key"]))
    filler.look()
    assert not set(read) & objects.keys(), "nothing is downloaded again"
