"""A file that arrives once, twice, is replaced meanwhile, or is broken."""

from __future__ import annotations

import gzip
import io
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError

from include.models.config import load_model
from include.models.quoting import quotes_values
from include.online import inbox, lambda_app
from include.online.backends import Version
from include.online.inbox import Arrived, take
from include.online.score_file import Champion
from include.platform.storage import inbox_object
from tests.include.local_aws import LocalS3
from tests.include.local_sagemaker.local_server import LocalSageMaker
from tests.include.online.conftest import MODEL, Tables

KEY, OUT = f"inbox/{MODEL}/readings.csv", f"outbox/{MODEL}/readings.csv/"


class Inbox(LocalS3):
    """A bucket that files arrive in."""

    def etag(self, key: str) -> str:
        return str(self.head_object(Bucket="bucket", Key=key)["ETag"])

    def arrive(self, body: bytes) -> Arrived:
        self.objects[KEY] = body
        return Arrived("bucket", KEY, self.etag(KEY))

    def manifest(self) -> dict[str, Any]:
        return dict(json.loads(self.objects[f"{OUT}manifest.json"]))


@pytest.fixture
def bucket(local_aws: LocalSageMaker) -> Iterator[Any]:
    made = Inbox(local_aws, "bucket")
    yield made
    made.objects.clear()


@pytest.fixture
def answer(artifact: Path) -> inbox.Answerer:
    return lambda _: champion(artifact)


def champion(artifact: Path) -> Champion:
    return Champion(load_model(MODEL), Version("7", "s3://bucket/model.tar.gz"), artifact)


@pytest.fixture
def readings(fleet: Tables) -> bytes:
    return fleet["telemetry"].head(200).write_csv(datetime_format="%Y-%m-%d %H:%M:%S").encode()


def test_each_version_of_a_file_is_scored_once(bucket: Any, readings: bytes, answer: inbox.Answerer) -> None:
    first = bucket.arrive(readings)
    assert take(bucket, first, answer) == "scored"
    (key,) = bucket.manifest()["scores"]
    scores = pl.read_parquet(io.BytesIO(bucket.objects[key]))
    assert (bucket.manifest()["rows"], bucket.manifest()["source"]["etag"]) == (scores.height, first.etag)
    assert take(bucket, first, answer) == "done before"
    second = bucket.arrive(readings + readings.splitlines(keepends=True)[1])
    assert take(bucket, first, answer) == "gone"
    assert take(bucket, second, answer) == "scored"
    assert bucket.manifest()["rejected"]["telemetry"] == 1
    (aside,) = bucket.manifest()["quarantine"]
    assert b"repeats line 2" in bucket.objects[aside]


def test_an_older_version_never_replaces_a_newer_ones_scores(
    bucket: Any, readings: bytes, answer: inbox.Answerer
) -> None:
    arrived = bucket.arrive(readings)
    take(bucket, arrived, answer)
    manifest = bucket.manifest()
    manifest["source"] = {"key": KEY, "etag": "another", "modified": "2030-01-01T00:00:00+00:00"}
    bucket.objects[f"{OUT}manifest.json"] = json.dumps(manifest).encode()
    assert take(bucket, arrived, answer) == "overtaken"


def test_of_two_at_the_same_time_one_tells_of_it(bucket: Any, readings: bytes, artifact: Path) -> None:
    arrived = bucket.arrive(readings)
    made = champion(artifact)
    others: list[str] = []

    def meanwhile(_: str) -> Champion:
        if not others:
            others.append("under way")
            others.append(take(bucket, arrived, lambda _: made))
        return made

    assert take(bucket, arrived, meanwhile) == "done before"
    assert others[1] == "scored"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty file"),
        (b"a,b\n1,2\n", "no such column"),
        (b"datetime,machineID,volt,rotate,pressure,vibration\n", "found"),
        (b"\x00\x01\x02" * 100, "found"),
    ],
)
def test_a_file_that_cannot_be_used_has_a_manifest_that_says_why(
    bucket: Any, body: bytes, words: str, answer: inbox.Answerer
) -> None:
    assert take(bucket, bucket.arrive(body), answer) == "refused"
    assert words in bucket.manifest()["summary"]
    assert not any(key.endswith(".parquet") for key in bucket.objects)


def test_one_that_broke_off_or_is_too_large_is_refused(
    bucket: Any, readings: bytes, answer: inbox.Answerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = gzip.compress(readings)[:-50]
    bucket.objects[f"{KEY}.gz"] = half
    assert take(bucket, Arrived("bucket", f"{KEY}.gz", bucket.etag(f"{KEY}.gz")), answer) == "refused"
    monkeypatch.setattr(inbox, "LARGEST", 10)
    assert take(bucket, bucket.arrive(readings), answer) == "refused"
    assert "at most 10 are taken here" in bucket.manifest()["summary"]


@pytest.mark.parametrize("code", ["AccessDenied", "400"])
def test_one_that_is_encrypted_with_anothers_key_is_refused(
    bucket: Any, readings: bytes, answer: inbox.Answerer, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, get = bucket.arrive(readings), bucket.get_object

    def denied(Bucket: str, Key: str, **more: str) -> dict[str, Any]:  # noqa: N803
        if Key == KEY:
            raise ClientError({"Error": {"Code": code}}, "GetObject")
        return dict(get(Bucket=Bucket, Key=Key, **more))

    monkeypatch.setattr(bucket, "get_object", denied)
    assert take(bucket, arrived, answer) == "refused"
    assert "encrypted with a key" in bucket.manifest()["summary"]
    assert take(bucket, arrived, answer) == "done before"


@pytest.mark.parametrize("name", ["Maß ☃, two words.csv", "-a+b%20c&d=e.CSV", "..csv"])
def test_a_file_may_have_any_name(bucket: Any, readings: bytes, answer: inbox.Answerer, name: str) -> None:
    key, out = f"inbox/{MODEL}/{name}", f"outbox/{MODEL}/{name}/"
    bucket.objects[key] = readings
    assert take(bucket, Arrived("bucket", key, bucket.etag(key)), answer) == "scored"
    manifest = json.loads(bucket.objects[f"{out}manifest.json"])
    assert manifest["source"]["key"] == key
    assert [scores.startswith(out) for scores in manifest["scores"]] == [True]


def test_keys_elsewhere_are_left_alone(bucket: Any, answer: inbox.Answerer) -> None:
    for key in (
        "inbox/no_such_model/a.csv",
        f"inbox/{MODEL}/",
        f"inbox/{MODEL}/deep/a.csv",
        f"inbox/{MODEL}/deep/",
        f"inbox/{MODEL}/.",
        f"inbox/{MODEL}/..",
        f"inbox/{MODEL}/../{MODEL}/a.csv",
        f"inbox/{MODEL}/{'ü' * 128}.csv",
        f"raw/{MODEL}/a.csv",
    ):
        assert take(bucket, Arrived("bucket", key, "x"), answer) == "ignored"
    assert inbox_object(KEY) == (MODEL, "readings.csv")


def test_of_a_batch_only_what_failed_is_delivered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def event(key: str) -> dict[str, Any]:
        return {"detail": {"bucket": {"name": "b"}, "object": {"key": key, "etag": "abc"}}}

    def fail_at_two(_: object, arrived: Arrived, __: object) -> str:
        if arrived.key == "2":
            raise ValueError(arrived)
        return "scored"

    monkeypatch.setattr(lambda_app, "take", fail_at_two)
    monkeypatch.setattr(lambda_app.boto3, "client", lambda _: None)
    records = [{"messageId": key, "body": json.dumps(event(key))} for key in ("1", "2", "3")]
    assert lambda_app.handler({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert lambda_app.handler(event("1")) == {"outcome": "scored"}
    assert lambda_app.arrived_in(event("1")) == Arrived("b", "1", '"abc"')


@pytest.mark.parametrize("through_the_queue", [True, False])
def test_lambdas_log_quotes_no_value_of_what_failed_unforeseen(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, through_the_queue: bool
) -> None:
    """As a model's code might fail: with the cell in its message."""

    def fail(*_: object) -> str:
        return str(float("-".join(["4111"] * 2)))

    monkeypatch.setattr(lambda_app, "take", fail)
    monkeypatch.setattr(lambda_app.boto3, "client", lambda _: None)
    arrival = {"detail": {"bucket": {"name": "b"}, "object": {"key": KEY, "etag": "abc"}}}
    if through_the_queue:
        lambda_app.handler({"Records": [{"messageId": "1", "body": json.dumps(arrival)}]})
        told = caplog.text
    else:
        with pytest.raises(RuntimeError) as raised:
            lambda_app.handler(arrival)
        told = "".join(traceback.format_exception(raised.value))
    assert "ValueError; its message may quote values" in told
    assert "in fail" in told
    assert "4111-4111" not in told


@pytest.mark.parametrize(("quote_values", "shown"), [(True, True), (False, False)])
def test_a_refused_files_summary_quotes_values_where_the_model_may(
    bucket: Any, artifact: Path, readings: bytes, quote_values: bool, shown: bool
) -> None:
    """One process handles files of several models: each as its model.yaml says, whatever the previous one said."""
    config = load_model(MODEL).model_copy(update={"quote_values": quote_values})
    header, *rows = readings.splitlines(keepends=True)
    broken = header + b"".join(row.replace(b",", b",SMITH", 1) for row in rows)
    answerer = Champion(config, Version("7", "s3://bucket/model.tar.gz"), artifact)
    assert take(bucket, bucket.arrive(broken), lambda _: answerer) == "refused"
    assert ("SMITH" in bucket.manifest()["summary"]) is shown
    assert quotes_values()
