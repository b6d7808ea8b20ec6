"""The other AWS services (S3, CloudWatch, Logs, SNS, SQS, EventBridge, ...): moto, made durable.

moto answers requests from memory. Here a request that changes something is one transaction in SQLite, committed before
its answer is sent, so that a kill -9 at any moment loses nothing that was acknowledged. Such requests run one at a
time: they take about a millisecond of Python, which runs one thread at a time anyway. Objects' bytes are transferred
outside the transaction.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from include.local_sagemaker.aws import kept_lists, kept_state, s3_rows, s3_uploads
from include.local_sagemaker.aws.kept_state import SERVICES, KeptState
from include.local_sagemaker.aws.s3_backend import S3Storage
from include.local_sagemaker.aws.s3_blobs import Blob, Blobs
from include.local_sagemaker.aws.s3_rows import S3Rows
from include.local_sagemaker.core.database import Database
from include.local_sagemaker.http.routing import scope
from include.local_sagemaker.iam import simulation

log = logging.getLogger(__name__)

_ALIASES = {
    "monitoring": "cloudwatch",
    "application-autoscaling": "applicationautoscaling",
}  # the signing name, if it is not moto's
_READS = ("Get", "List", "Describe", "Filter", "Simulate")
# services that a request to another service may change: notifications, rule targets, subscriptions
_PASSED_ON = {"s3": ("events", "sns", "sqs", "logs"), "events": ("sns", "sqs", "logs"), "sns": ("sqs",)}
_ROWS_ONLY = {"PutLogEvents", "CreateLogStream", "DeleteLogStream", "PutMetricData"}  # they change no service's pickle
_POLL = "ReceiveMessage"
_LARGEST_FORM = 2**20
Answer = tuple[str, list[tuple[str, str]], Iterable[bytes]]


class _Dispatcher(DomainDispatcherApplication):
    """Caches which service a host belongs to: moto lists its own folder for each request, a fifth of the request's
    cost."""

    @cache  # noqa: B019 - there is one dispatcher, forever
    def get_backend_for_host(self, host: str | None) -> Any:
        return super().get_backend_for_host(host)


class Moto:
    """WSGI application and component; keeps `services.db` and the folder `objects` in the state directory.

    Raises OSError if an earlier version, or another version of moto, wrote the directory.
    """

    def __init__(self, state: Path) -> None:
        if (old := state / "moto").exists():
            raise OSError(f"{old} was written by an earlier version, which kept S3 there. Remove {state} to continue.")
        simulation.complete()
        self._app = _Dispatcher(create_backend_app)
        self._lock = threading.RLock()
        self._changed: set[str] = set()
        self._depth = 0
        self._database = Database(state / "services.db", s3_rows.SCHEMA + kept_lists.SCHEMA + kept_state.SCHEMA)
        self._rows = S3Rows(self._database, Blobs(state / "objects"))
        self._s3 = S3Storage(self._rows)
        self._state = KeptState(self._database)

    def start(self) -> None:
        """There is no thread."""

    def stop(self) -> None:
        with self._lock:
            self._database.close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            status, headers, body = self._answer(environ)
        except (OSError, sqlite3.Error) as error:  # for example, the disk is full
            log.exception("%s %s could not be kept", environ["REQUEST_METHOD"], environ.get("PATH_INFO"))
            message = f"The local SageMaker could not keep what this request changes: {error}; see its log."
            status, headers, body = _failure(environ, "500 Internal Server Error", "InternalFailure", message)
        start_response(status, headers)
        return body

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """For code that changes moto's backends: exclusive while it runs, durable when the block ends."""
        with self._lock:
            if self._depth:  # part of a change already in progress in this thread
                yield
                return
            self._depth += 1
            committed = False
            try:
                with self._database.transaction():
                    yield
                    self._s3.flush()
                    self._state.save(sorted(self._changed))
                committed = True
            finally:
                self._depth -= 1
                self._changed.clear()
                if not committed:
                    self._state.forget_stored()
                self._s3.end(committed=committed)

    def mark_changed(self, *services: str) -> None:
        """Declares within a change which services it affects, apart from those kept in rows."""
        for service in services:
            self._changed |= {service, *_PASSED_ON.get(service, ())} & set(SERVICES)

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        signed_for = scope(environ)[1]
        service = _ALIASES.get(signed_for, signed_for)
        operation = _operation(environ)
        if service == "s3" or (service == "" and not operation):  # an unsigned request (presigned, anonymous) is for S3
            return self._answer_s3(environ)
        if operation == _POLL:
            return self._answer_poll(environ)
        if _reads(operation, environ):
            with self._lock:  # moto iterates over dicts that must not change meanwhile
                return self._ask(environ)
        with self.change():
            answer = self._ask(environ)
            if operation not in _ROWS_ONLY:
                self.mark_changed(*((service,) if service in SERVICES else SERVICES))
        return answer

    def _answer_poll(self, environ: WSGIEnvironment) -> Answer:
        """A request that may wait for messages blocks no other; the messages are stored as received before it
        returns."""
        status, headers, body = self._ask(environ)
        content = b"".join(body)
        if b"ReceiptHandle" in content:
            with self.change():
                self.mark_changed("sqs")
        return status, headers, [content]

    def _answer_s3(self, environ: WSGIEnvironment) -> Answer:
        method = environ["REQUEST_METHOD"]
        incoming: Blob | None = None
        digests = s3_uploads.source_digests(environ, self._rows) if "HTTP_X_AMZ_COPY_SOURCE" in environ else {}
        try:
            if s3_uploads.has_object_body(environ):
                incoming, environ = s3_uploads.receive(environ, self._rows.blobs)
            else:
                incoming = s3_uploads.join_parts(environ, self._rows)
        except s3_uploads.UploadError as error:
            return _s3_error(error)
        if method in {"GET", "HEAD"}:
            with self._lock:
                try:
                    return self._ask(environ)
                finally:
                    self._s3.end(committed=True)
        with self.change():
            self._rows.incoming, self._rows.source_digests = incoming, digests
            status, headers, body = self._ask(environ)
            if self._s3.notifies:
                self.mark_changed("s3")
            return status, headers, [b"".join(body)]

    def _ask(self, environ: WSGIEnvironment) -> Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            started.append((status, headers))

        service = scope(environ)[1]
        try:
            body = self._app(environ, start_response)
        except NotImplementedError as error:  # moto answers 500, which makes clients retry
            return _failure(environ, "400 Bad Request", "NotImplemented", f"{service}: {error}")
        except Exception:  # the boundary: an error in moto must not become an HTML page
            log.exception("moto failed on %s %s %s", service, environ["REQUEST_METHOD"], environ["PATH_INFO"])
            message = f"moto failed on {service}; the local SageMaker's log says why."
            return _failure(environ, "500 Internal Server Error", "InternalFailure", message)
        return *started[-1], body


def _operation(environ: WSGIEnvironment) -> str:
    """The operation's name if the protocol has one: in a header, in the path, or in a form."""
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return str(target.rpartition(".")[2])
    if rpc := re.fullmatch(r"/service/[^/]+/operation/([^/]+)", environ.get("PATH_INFO", "")):
        return rpc[1]
    form = environ.get("QUERY_STRING", "")
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded") and length <= _LARGEST_FORM:
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        form += "&" + body.decode("latin-1")
    return str(parse_qs(form).get("Action", [""])[0])


def _reads(operation: str, environ: WSGIEnvironment) -> bool:
    return operation.startswith(_READS) or (not operation and environ["REQUEST_METHOD"] in {"GET", "HEAD"})


def _failure(environ: WSGIEnvironment, status: str, code: str, message: str) -> Answer:
    """An error in the protocol of the request: JSON services name a target, the others speak XML."""
    if "HTTP_X_AMZ_TARGET" in environ:
        body = json.dumps({"__type": code, "message": message})
        return status, [("Content-Type", "application/x-amz-json-1.1")], [body.encode()]
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return status, [("Content-Type", "text/xml")], [f"<ErrorResponse>{error}</ErrorResponse>".encode()]


def _s3_error(error: s3_uploads.UploadError) -> Answer:
    body = f"<Error><Code>{error.code}</Code><Message>{escape(str(error))}</Message></Error>"
    return "400 Bad Request", [("Content-Type", "application/xml")], [body.encode()]
