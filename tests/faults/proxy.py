"""An HTTP proxy in front of the local SageMaker that misbehaves on purpose: throttles, fails, drops answers, lacks
capacity.

It runs in threads of the process that injects the faults, so its rules are plain attributes and calls. Only Airflow's
side goes through it; the jobs themselves talk to the local SageMaker directly.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

JOB_KINDS = ("ProcessingJob", "TransformJob")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


@dataclass
class Rule:
    """Answers the next ``times`` calls of an operation about a job whose name begins with ``job`` in another way.

    Args:
        code: the error to answer with; without one the call is made and its answer is dropped.
    """

    operation: str
    job: str
    times: int
    code: str | None = None
    status: int = 400
    message: str = "injected"


@dataclass
class Proxy:
    """Listens on a free port of 127.0.0.1 and forwards to ``target``."""

    target: str
    throttled_share: float = 0.0
    lacking_share: float = 0.0  # of jobs that are created and then fail for lack of capacity
    broken_until: float = 0.0  # by time.monotonic(): every call is answered with 503 until then
    calls: Counter[str] = field(default_factory=Counter)  # by operation, in order of arrival
    hits: Counter[str] = field(default_factory=Counter)  # by fault
    written: Counter[str] = field(default_factory=Counter)  # the S3 objects that were put, by path
    _rules: list[Rule] = field(default_factory=list)
    _lacking: dict[str, dict[str, Any]] = field(default_factory=dict)  # jobs that never got an instance
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        proxy = self

        class Handler(_Handler):
            faults = proxy

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add(self, rule: Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def lack_capacity(self, job: str) -> None:
        """The job with this name is created and fails for lack of capacity; it never reaches the target."""
        with self._lock:
            self._lacking[job] = {}

    def lacking(self, operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer about a job that lacks capacity."""
        kind = next((kind for kind in JOB_KINDS if f"{kind}Name" in request), None)
        if kind is None:
            return None
        job = request[f"{kind}Name"]
        with self._lock:
            if operation == f"Create{kind}" and random.random() < self.lacking_share:  # noqa: S311 - no secret
                self._lacking.setdefault(job, {})
            if job not in self._lacking:
                return None
            arn = f"arn:aws:sagemaker:us-east-1:123456789012:{kind.lower().replace('job', '-job')}/{job}"
            if operation == f"Create{kind}":
                reason = "CapacityError: Unable to provision requested ML compute capacity. Please retry."
                status = {f"{kind}Status": "Failed", "FailureReason": reason, "CreationTime": time.time()}
                self._lacking[job] = {**request, **status, f"{kind}Arn": arn}
                self.hits["no capacity"] += 1
                return {f"{kind}Arn": arn}
            return self._lacking[job] or None

    def take(self, operation: str, job: str) -> Rule | None:
        """The rule that applies to this call, if any."""
        with self._lock:
            for rule in self._rules:
                if rule.operation == operation and job.startswith(rule.job) and rule.times:
                    rule.times -= 1
                    return rule
        return None


class _Handler(BaseHTTPRequestHandler):
    faults: Proxy
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True  # the client was killed

    def _handle(self) -> None:
        faults = self.faults
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError("whoever asked was killed while asking")
        operation, request = self._called(body)
        job = next((value for key, value in request.items() if key.endswith("JobName")), "")
        faults.calls[operation] += 1
        if time.monotonic() < faults.broken_until:
            self._refuse("5xx", "ServiceUnavailable", 503)
        elif random.random() < faults.throttled_share:  # noqa: S311 - no secret
            of_s3 = not self.headers.get("X-Amz-Target")  # S3 throttles in a different way
            self._refuse("throttled", *(("SlowDown", 503) if of_s3 else ("ThrottlingException", 400)))
        elif (answer := faults.lacking(operation, request)) is not None:
            self._answer(200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer).encode())
        elif (rule := faults.take(operation, job)) is None:
            self._forward(body)
        elif rule.code:
            self._refuse(operation, rule.code, rule.status, rule.message)
        else:
            faults.hits[f"lost {operation}"] += 1
            self._forward(body, answer=False)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _handle  # noqa: N815 - as the base class looks for them

    def _called(self, body: bytes) -> tuple[str, dict[str, Any]]:
        """The operation and, for SageMaker, the request."""
        target = self.headers.get("X-Amz-Target", "")
        if not target.startswith("SageMaker."):
            return f"{self.command} {urlsplit(self.path).path.split('/')[1]}", {}
        return target.removeprefix("SageMaker."), json.loads(body)

    def _refuse(self, fault: str, code: str, status: int, message: str = "injected") -> None:
        self.faults.hits[fault] += 1
        if self.headers.get("X-Amz-Target"):
            kind, text = "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message})
        else:
            kind, text = "application/xml", f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        self._answer(status, {"Content-Type": kind}, text.encode())

    def _forward(self, body: bytes, *, answer: bool = True) -> None:
        there = http.client.HTTPConnection(urlsplit(self.faults.target).netloc, timeout=60)
        try:
            # the whole body was read, so it is sent in one piece; "Expect: 100-continue" was answered here
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            there.request(self.command, self.path, body, headers | {"Content-Length": str(len(body))})
            came = there.getresponse()
            content = came.read()
        except (OSError, http.client.HTTPException):
            self.close_connection = True  # the local SageMaker is away, so there is no answer
            return
        finally:
            there.close()
        if self.command == "PUT" and came.status < HTTPStatus.BAD_REQUEST:
            self.faults.written[unquote(urlsplit(self.path).path)] += 1
        if answer:
            self._answer(came.status, dict(came.getheaders()), content)
        else:
            self.close_connection = True

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP | {"date", "server"}:
                self.send_header(name, value)
        length = headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass
