"""What is remembered about a machine, in whatever order its events arrive."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from starlette.testclient import TestClient

from include.jobs.serving.payload import JSON
from include.models.config import load_model
from include.models.errors import JobError
from include.online.reading import loads, read_request
from include.online.service import Service
from include.online.shape import Shape
from include.online.state import DynamoStore, FeatureState, SqliteStore, Store, open_store
from tests.include.local_sagemaker.local_server import free_port
from tests.include.online.conftest import MODEL, Tables, until

if TYPE_CHECKING:
    from types_boto3_dynamodb.client import DynamoDBClient

ROOT = Path(__file__).resolve().parents[3]

MOMENT = datetime(2015, 1, 20, 6)  # noqa: DTZ001 - as tables have it
QUESTION = {"machineID": 2, "datetime": "2015-01-20 06:00:00"}


def tell(api: TestClient, body: object) -> dict[str, dict[str, int]]:
    answer = api.post("/events", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["events"])


def test_events_in_any_order_and_twice_come_to_the_same_features(api: TestClient, fleet: Tables) -> None:
    events = until(fleet, 2, MOMENT)
    expected = api.post("/predict", json=events).json()["predictions"][0]["features"]
    readings = list(events["telemetry"])
    random.Random(3).shuffle(readings)  # noqa: S311 - an order
    for some in (readings[:5], readings[3:], readings[:1]):
        tell(api, {"telemetry": some})
    counts = tell(api, {name: rows for name, rows in events.items() if name != "telemetry"})
    assert counts["maint"]["kept"] == len(events["maint"])
    assert tell(api, events)["telemetry"] == {"repeated": len(readings)}
    found = api.post("/predict", json=QUESTION).json()["predictions"][0]
    assert found["features"] == expected
    assert found["known"]["telemetry"]["age_hours"] == 0


def test_what_is_late_ahead_or_contradicts_is_said_and_not_kept(api: TestClient, fleet: Tables) -> None:
    events = until(fleet, 2, MOMENT)
    tell(api, events)
    reading = events["telemetry"][-1]
    assert tell(api, {"telemetry": [{**reading, "datetime": "2014-12-01 06:00:00"}]})["telemetry"] == {"late": 1}
    assert tell(api, {"telemetry": [{**reading, "datetime": "2099-12-01 06:00:00"}]})["telemetry"] == {"ahead": 1}
    assert tell(api, {"telemetry": [{**reading, "volt": 1.0}]})["telemetry"] == {"contradicting": 1}


def test_a_gap_and_an_hour_that_is_not_over_are_said(api: TestClient, fleet: Tables) -> None:
    tell(api, until(fleet, 2, MOMENT))
    later = api.post("/predict", json={**QUESTION, "datetime": "2015-01-20 16:00:00"}).json()["predictions"][0]
    assert any(note.startswith("a gap") for note in later["notes"])
    assert later["known"]["telemetry"]["age_hours"] == 10
    before = api.post("/predict", json={**QUESTION, "datetime": "2015-01-20 05:00:00"}).json()["predictions"][0]
    assert before["datetime"] == "2015-01-20T06:00:00"
    assert "known until 2015-01-20 05:00:00" in before["notes"][0]
    assert api.post("/predict", json={**QUESTION, "datetime": "2015-03-20 05:00:00"}).status_code == 400


def test_it_is_bounded_and_another_process_reads_it(fleet: Tables, tmp_path: Path) -> None:
    shape = Shape(load_model(MODEL))
    store = SqliteStore(tmp_path / "state.db")
    for day in (3, 10, 28, 29):
        moment = datetime(2015, 1, day)  # noqa: DTZ001
        content = loads(json.dumps(until(fleet, 2, moment)).encode(), JSON)
        FeatureState(shape, store).remember(read_request(shape, content).tables)
    known = FeatureState(shape, SqliteStore(tmp_path / "state.db")).known((2,))
    assert known["telemetry"].height == 49
    assert known["maint"].height == len(until(fleet, 2, datetime(2015, 1, 29))["maint"])  # noqa: DTZ001


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[DynamoDBClient]:
    """Moto's DynamoDB, installed with the local SageMaker, with the table ``known``."""
    port, log = free_port(), subprocess.DEVNULL
    command = [ROOT / ".venv/local_sagemaker/bin/moto_server", "--port", str(port)]
    with subprocess.Popen(command, stdout=log, stderr=log) as process:
        client = boto3.client(
            "dynamodb",
            "us-east-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 40}),  # wait until it listens
        )
        try:
            client.create_table(
                TableName="known",
                KeySchema=[
                    {"AttributeName": "model", "KeyType": "HASH"},
                    {"AttributeName": "thing", "KeyType": "RANGE"},
                ],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("model", "thing")],
                BillingMode="PAY_PER_REQUEST",
            )
            yield client
        finally:
            process.terminate()


@pytest.fixture(params=["sqlite", "dynamodb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "state.db")
    return DynamoStore(request.getfixturevalue("dynamodb"), "known")


def test_of_two_who_write_at_once_none_is_lost(store: Store) -> None:
    assert store.get("model", "1") == (None, 0)
    assert store.put("model", "1", b"a", 0)
    assert not store.put("model", "1", b"b", 0)
    assert store.put("model", "1", b"c", 1)
    assert not store.put("model", "1", b"d", 1)
    assert store.get("model", "1") == (b"c", 2)


def test_every_store_comes_to_the_same_features(
    store: Store, service: Service, api: TestClient, fleet: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.state
    monkeypatch.setattr(service.state, "_store", store)
    counts = tell(api, until(fleet, 2, MOMENT))
    assert counts["telemetry"] == {"kept": 25}
    assert tell(api, until(fleet, 2, MOMENT))["telemetry"] == {"repeated": 25}
    by_state = api.post("/predict", json=QUESTION).json()["predictions"]
    assert by_state == api.post("/predict", json=until(fleet, 2, MOMENT)).json()["predictions"]


def test_a_store_that_fails_is_a_503_that_says_so(
    service: Service, api: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = SqliteStore(tmp_path / "broken.db")
    broken._connection().execute("DROP TABLE known")
    assert service.state
    monkeypatch.setattr(service.state, "_store", broken)
    for path in ("/predict", "/events"):
        answer = api.post(path, json={"machineID": 3, "datetime": "2015-01-20 06:00:00", "volt": 170.0})
        assert (answer.status_code, "the feature state cannot be asked" in answer.json()["error"]) == (503, True)


@pytest.mark.parametrize("body", [{"volt": 1.0}, {"telemetry": [{"volt": 1.0}]}])
def test_events_of_no_machine_are_refused(api: TestClient, body: object) -> None:
    assert api.post("/events", json=body).status_code == 400


@pytest.mark.parametrize("address", ["postgres://x", "sqlite://relative", "dynamodb://", ""])
def test_a_state_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(JobError, match="the feature state is"):
        open_store(address)
