"""Requests and answers kept in S3 by the serving program itself, where SageMaker captures none: those of serverless
endpoints, and refused requests of all.

Environment:

- ``REQUEST_LOG_S3_URI``: ``s3://bucket/prefix/<endpoint>/<variant>``; without it nothing is kept
- ``REQUEST_LOG_PERCENT``: the share of requests that is kept, 100 unless given
- ``REQUEST_LOG_ONLY=refused``: only those that were refused, where SageMaker captures the others

Files and records are as SageMaker's data capture writes them, so one reader does for both; the record of a refused
request also has ``eventMetadata.responseStatus``:
``<uri>/yyyy/mm/dd/hh/MM-SS-mmm-<uuid>.jsonl``, one JSON record per answered request.

No request waits for it. Records are collected in memory, at most ``MOST_BYTES`` of them, and written by a separate
thread, every ``EVERY_SECONDS`` and at the end. Records that find no room, or that S3 rejects, are dropped, and the log
reports their number. A serverless container gets no CPU between requests: there records may have to wait for the next
request, and those of a container that is never thawed are lost.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import random
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Self

from include.jobs.serving.payload import CSV, FORMATS
from include.models.errors import JobError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

MOST_BYTES = 32 * 1024 * 1024
FILE_RECORDS = 100
EVERY_SECONDS = 5.0
CLOSE_SECONDS = 4.0  # SageMaker kills 30 s after SIGTERM; requests have 25 of them
CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
INFERENCE_ID = "x-amzn-sagemaker-inference-id"
OK = 200
REFUSED = "refused"

Put = Callable[[str, bytes], None]
log = logging.getLogger("request_log")


@dataclass(frozen=True)
class Exchange:
    """One request with its answer: the headers that came, both bodies with their content types, the HTTP status."""

    moment: datetime
    headers: Mapping[str, str]
    request_type: str
    request: bytes
    answer_type: str
    answer: bytes
    status: int = OK

    @property
    def size(self) -> int:
        """Its approximate size in bytes."""
        return len(self.request) + len(self.answer) + 500


class RequestLog:
    """Keeps a sample of exchanges and writes them in files.

    Args:
        put: writes one object, given its key below the log's address.
        percent: of the exchanges, 0 to 100.
        only_refused: keep none that was answered.
    """

    def __init__(
        self, put: Put, percent: float = 100.0, most_bytes: int = MOST_BYTES, *, only_refused: bool = False
    ) -> None:
        self.dropped = 0
        self._only_refused = only_refused
        self._put = put
        self._percent = percent
        self._most_bytes = most_bytes
        self._waiting: deque[Exchange] = deque()
        self._bytes = 0  # of those waiting and of those being written
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write_now_and_then, name="request-log", daemon=True)
        self._writer.start()

    @classmethod
    def from_environment(cls) -> Self | None:
        """The log configured by the environment; None if it is off.

        Raises:
            JobError: a variable is invalid.
        """
        uri = os.environ.get("REQUEST_LOG_S3_URI", "")
        if not uri:
            return None
        place = re.fullmatch(r"s3://([^/]+)/(.*?)/*", uri)
        if not place or not place[2]:
            raise JobError(f"REQUEST_LOG_S3_URI is '{uri}'; expected s3://bucket/prefix/<endpoint>/<variant>.")
        percent = os.environ.get("REQUEST_LOG_PERCENT", "100")
        if not re.fullmatch(r"\d{1,3}(\.\d+)?", percent) or float(percent) > 100:
            raise JobError(f"REQUEST_LOG_PERCENT is '{percent}'; expected a number from 0 to 100.")
        only = os.environ.get("REQUEST_LOG_ONLY", "")
        if only not in ("", REFUSED):
            raise JobError(f"REQUEST_LOG_ONLY is '{only}'; expected {REFUSED}, or nothing.")
        return cls(_to_s3(place[1], place[2]), float(percent), only_refused=only == REFUSED)

    def keep(self, exchange: Exchange) -> None:
        """Note an exchange, if the sample takes it and there is room; never waits."""
        if (self._only_refused and exchange.status == OK) or random.random() * 100 >= self._percent:  # noqa: S311 - a sample
            return
        with self._lock:
            if self._closing.is_set() or self._bytes + exchange.size > self._most_bytes:
                self.dropped += 1
                return
            self._waiting.append(exchange)
            self._bytes += exchange.size

    def close(self) -> None:
        """Writes the waiting records while there is time."""
        self._closing.set()
        self._writer.join(CLOSE_SECONDS)
        lost = len(self._waiting) + self.dropped
        if lost:
            log.warning("%d records of requests were dropped in all", lost)

    def _write_now_and_then(self) -> None:
        said = 0
        while True:
            closing = self._closing.wait(EVERY_SECONDS)
            while self._waiting:
                self._write(self._take())
            if self.dropped > said:
                log.warning("%d records of requests were dropped so far: there was no room for them", self.dropped)
                said = self.dropped
            if closing:
                return

    def _take(self) -> list[Exchange]:
        """The oldest records, one file's worth."""
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(FILE_RECORDS, len(self._waiting)))]

    def _write(self, exchanges: list[Exchange]) -> None:
        first = exchanges[0].moment
        key = f"{first:%Y/%m/%d/%H/%M-%S}-{first.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
        try:
            self._put(key, "".join(f"{json.dumps(record(one))}\n" for one in exchanges).encode())
        except Exception:  # whatever the error, requests are still answered and the next file is tried
            log.exception("%d records of requests are dropped: %s could not be written", len(exchanges), key)
            with self._lock:
                self.dropped += len(exchanges)
        with self._lock:
            self._bytes -= sum(one.size for one in exchanges)


def record(exchange: Exchange) -> dict[str, object]:
    """One line of data capture.

    https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
    """
    about: dict[str, object] = {
        "eventId": str(uuid.uuid4()),
        "inferenceTime": exchange.moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    if CUSTOM_ATTRIBUTES in exchange.headers:
        about["customAttributes"] = [exchange.headers[CUSTOM_ATTRIBUTES]]
    if INFERENCE_ID in exchange.headers:
        about["inferenceId"] = exchange.headers[INFERENCE_ID]
    if exchange.status != OK:
        about["responseStatus"] = exchange.status
    captured = {
        "endpointInput": _side("INPUT", exchange.request_type, exchange.request),
        "endpointOutput": _side("OUTPUT", exchange.answer_type, exchange.answer),
    }
    return {"captureData": captured, "eventMetadata": about, "eventVersion": "0"}


def _side(mode: str, content_type: str, data: bytes) -> dict[str, str]:
    kind = content_type.split(";")[0].strip()
    encoding = "BASE64" if kind not in FORMATS else "CSV" if kind == CSV else "JSON"
    text = base64.b64encode(data).decode() if encoding == "BASE64" else data.decode(errors="replace")
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


def _to_s3(bucket: str, prefix: str) -> Put:
    @cache
    def client() -> S3Client:
        import boto3  # takes time and memory that a server need not spend before it has something to write
        from botocore.config import Config

        return boto3.client("s3", config=Config(connect_timeout=2, read_timeout=10, retries={"total_max_attempts": 3}))

    def put(key: str, content: bytes) -> None:
        client().put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=content)

    return put
