"""What applies to every request: a request id, authentication, the origin check, a limit of waiting requests, metrics,
and a line in the log."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from include.online.guard import refusal
from include.online.settings import Settings

REQUEST_ID = re.compile(r"[\w.:-]{1,100}")
LONGEST_ARN = 2048
OPEN = ("/health", "/ready")  # for health checks; they reveal no data
# of the page /docs: a browser loads nothing from elsewhere for it, and shows it in nobody's frame
OWN_ALONE = b"default-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
log = logging.getLogger("online")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]


class Metrics:
    """The metrics of /metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "online_requests", "Requests by path and status", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "online_request_seconds", "How long they took", ["path"], registry=self.registry, buckets=BUCKETS
        )
        self.rows = Counter("online_rows", "Rows answered, by version", ["version"], registry=self.registry)
        self.events = Counter(
            "online_events", "Events by table and outcome", ["table", "became"], registry=self.registry
        )
        self.waiting = Gauge("online_requests_in_progress", "Requests in progress", registry=self.registry)


class Gateway:
    """ASGI middleware around the API."""

    def __init__(self, app: AsgiApp, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._waiting = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        began, status = time.perf_counter(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = ((b"x-request-id", request_id.encode()), (b"content-security-policy", OWN_ALONE))
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        caller, refused = self._caller(scope, headers)
        try:
            if refused:
                await _refuse(answer, *refused, request_id)
            else:
                await self._app(scope, receive, answer)
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)
            seconds = time.perf_counter() - began
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(seconds)
            state = scope["state"]
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "request_id": request_id,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(seconds * 1000, 2),
                "caller": caller,
                **{name: state[name] for name in ("rows", "version", "error") if name in state},
            }
            if scope["path"] not in OPEN:  # health checks come every second
                log.info("%s", json.dumps(line))

    def _caller(self, scope: Message, headers: Mapping[str, str]) -> tuple[str | None, tuple[int, str] | None]:
        """The caller, if keys are required; and the status and message if the request is refused."""
        settings = self._settings
        if reason := refusal(scope["method"], scope["scheme"], headers, settings.allowed_hosts):
            return None, (403, reason)
        if scope["path"] in OPEN:
            return None, None
        caller = None
        if settings.api_keys:
            caller = self._name(headers)
            if caller is None:
                return None, (401, "give your key in the header X-Api-Key; a browser asks for it as a password.")
        if settings.auth == "iam":
            caller = headers.get("x-caller-arn", "")[:LONGEST_ARN]
            if not caller.startswith("arn:"):
                return None, (401, "the proxy named no caller (X-Caller-Arn); send a request signed by SigV4 to it.")
        if self._waiting > settings.max_waiting:
            return caller, (503, f"{settings.max_waiting} requests are already in progress; try again in a second.")
        return caller, None

    def _name(self, headers: Mapping[str, str]) -> str | None:
        given = headers.get("x-api-key") or _key_in(headers.get("authorization", ""))
        digest = hashlib.sha256(given.encode()).hexdigest()
        found = None
        for key, name in (self._settings.api_keys or {}).items():  # all of them, so that the time taken reveals nothing
            if hmac.compare_digest(key, digest):
                found = name
        return found


def _key_in(authorization: str) -> str:
    """The key, as a program gives it or as the password that a browser asks for to open /docs."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "basic":
        return given
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


async def _refuse(send: Send, status: int, message: str, request_id: str) -> None:
    body = json.dumps({"error": message, "request_id": request_id}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="predictions", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
