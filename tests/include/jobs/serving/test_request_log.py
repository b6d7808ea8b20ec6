"""Requests and answers stored in S3: the content of a file; requests neither wait for it nor fail because of it."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from include.jobs.serving import request_log
from include.jobs.serving.request_log import Exchange, RequestLog, record
from include.models.errors import JobError

MOMENT = datetime(2026, 3, 9, 14, 5, 6, 70_000, tzinfo=UTC)


def exchange(request: bytes = b"1,2\n", **headers: str) -> Exchange:
    return Exchange(MOMENT, headers, "text/csv", request, "application/json", b'{"predictions": []}')


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "EVERY_SECONDS", 0.02)
    monkeypatch.setattr(request_log, "CLOSE_SECONDS", 0.2)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_record_has_the_shape_of_data_capture() -> None:
    headers = {"x-amzn-sagemaker-custom-attributes": "trace=1", "x-amzn-sagemaker-inference-id": "42"}
    found = record(exchange(**headers))
    about = found.pop("eventMetadata")
    assert isinstance(about, dict)
    assert re.fullmatch(r"[0-9a-f-]{36}", about.pop("eventId"))
    assert about == {"inferenceTime": "2026-03-09T14:05:06Z", "customAttributes": ["trace=1"], "inferenceId": "42"}
    answer = {"observedContentType": "application/json", "mode": "OUTPUT", "data": '{"predictions": []}'}
    request = {"observedContentType": "text/csv", "mode": "INPUT", "data": "1,2\n", "encoding": "CSV"}
    assert found == {
        "captureData": {"endpointInput": request, "endpointOutput": {**answer, "encoding": "JSON"}},
        "eventVersion": "0",
    }


def test_where_sagemaker_captures_the_answered_ones_only_refused_requests_are_kept() -> None:
    files: dict[str, bytes] = {}
    kept = RequestLog(files.__setitem__, only_refused=True)
    kept.keep(exchange())
    kept.keep(replace(exchange(b"x"), answer=b'{"error": "no number"}', status=400))
    kept.close()
    (content,) = files.values()
    found = json.loads(content)
    assert found["eventMetadata"]["responseStatus"] == 400
    assert found["captureData"]["endpointOutput"]["data"] == '{"error": "no number"}'


def test_other_content_is_kept_as_base64() -> None:
    found = json.dumps(record(Exchange(MOMENT, {}, "image/png", b"\x89", "text/csv; charset=utf-8", b"7\n")))
    assert '"data": "iQ==", "encoding": "BASE64"' in found
    assert '"data": "7\\n", "encoding": "CSV"' in found


def test_files_hold_a_hundred_records_each_and_the_rest_is_written_at_the_end() -> None:
    files: dict[str, bytes] = {}
    kept = RequestLog(files.__setitem__)
    for number in range(250):
        kept.keep(exchange(b"%d" % number))
    assert files == {}
    kept.close()
    assert [content.count(b"\n") for content in files.values()] == [100, 100, 50]
    assert all(re.fullmatch(r"2026/03/09/14/05-06-070-[0-9a-f-]{36}\.jsonl", key) for key in files)
    lines = [json.loads(line) for content in files.values() for line in content.splitlines()]
    assert [line["captureData"]["endpointInput"]["data"] for line in lines] == [str(number) for number in range(250)]
    assert kept.dropped == 0


@pytest.mark.usefixtures("quick")
def test_records_are_written_while_requests_go_on() -> None:
    files: dict[str, bytes] = {}
    kept = RequestLog(files.__setitem__)
    kept.keep(exchange())
    wait_until(lambda: bool(files))
    kept.close()


@pytest.mark.parametrize(("percent", "least", "most"), [(0, 0, 0), (30, 200, 400), (100, 1000, 1000)])
def test_a_sample_is_kept(percent: float, least: int, most: int) -> None:
    files: dict[str, bytes] = {}
    kept = RequestLog(files.__setitem__, percent)
    for _ in range(1000):
        kept.keep(exchange())
    kept.close()
    assert least <= sum(content.count(b"\n") for content in files.values()) <= most


@pytest.mark.usefixtures("quick")
def test_while_s3_hangs_nothing_waits_and_what_finds_no_room_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    go_on = threading.Event()

    def put(_: str, __: bytes) -> None:
        go_on.wait(20)

    kept = RequestLog(put, most_bytes=10_000)
    for _ in range(1000):
        kept.keep(exchange(b"x" * 500))
    room = 10_000 // exchange(b"x" * 500).size
    assert kept.dropped == 1000 - room
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "request_log"):
        kept.close()
    assert time.monotonic() - began < 10
    assert "records of requests were dropped" in caplog.text
    go_on.set()


@pytest.mark.usefixtures("quick")
def test_when_s3_refuses_it_is_said_and_the_next_file_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    files: dict[str, bytes] = {}
    tried: list[str] = []

    def put(key: str, content: bytes) -> None:
        tried.append(key)
        if len(tried) == 1:
            raise ConnectionError("S3 is away")
        files[key] = content

    kept = RequestLog(put)
    kept.keep(exchange())
    wait_until(lambda: kept.dropped == 1)
    kept.keep(exchange(b"later"))
    wait_until(lambda: bool(files))
    kept.close()
    assert b"later" in next(iter(files.values()))
    assert "S3 is away" in caplog.text
    assert "1 records of requests are dropped" in caplog.text


def test_without_an_address_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUEST_LOG_S3_URI", raising=False)
    assert RequestLog.from_environment() is None


@pytest.mark.parametrize(
    ("uri", "percent", "said"),
    [
        ("s3://bucket", "100", "REQUEST_LOG_S3_URI is 's3://bucket'; expected"),
        ("/tmp/log", "100", "REQUEST_LOG_S3_URI is '/tmp/log'; expected"),
        (
            "s3://bucket/capture/pumps/AllTraffic",
            "101",
            "REQUEST_LOG_PERCENT is '101'; expected a number from 0 to 100",
        ),
        ("s3://bucket/capture/pumps/AllTraffic", "half", "REQUEST_LOG_PERCENT is 'half'"),
    ],
)
def test_an_address_that_cannot_be_ends_the_server(
    monkeypatch: pytest.MonkeyPatch, uri: str, percent: str, said: str
) -> None:
    monkeypatch.setenv("REQUEST_LOG_S3_URI", uri)
    monkeypatch.setenv("REQUEST_LOG_PERCENT", percent)
    with pytest.raises(JobError, match=said):
        RequestLog.from_environment()
