"""The other AWS services (S3, CloudWatch, Logs, SNS, SQS, EventBridge, ...): moto, made to survive a restart.

moto keeps everything in memory. Requests that may change something mark their service; a thread writes the marked
services to disk every few seconds while no request is inside moto, and once more when the server stops.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import pickle
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import escape

import cloudpickle
from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.wrappers import Request, Response

from include.local_sagemaker.core.service import Service
from include.local_sagemaker.http.routing import route, scope
from include.local_sagemaker.iam import simulation

log = logging.getLogger(__name__)

SERVICES = (
    *("s3", "logs", "cloudwatch", "events", "sns", "sqs", "ssm", "secretsmanager", "iam", "sts", "ecr"),
    "applicationautoscaling",
)
_ALIASES = {
    "monitoring": "cloudwatch",
    "application-autoscaling": "applicationautoscaling",
}  # the name that requests are signed for, where it is not moto's
_READS = ("Get", "List", "Describe", "Receive")


class _Dispatcher(DomainDispatcherApplication):
    """Remembers which service a host is: moto lists its own folder for each request, a fifth of what that costs."""

    @cache  # noqa: B019 - there is one dispatcher, for ever
    def get_backend_for_host(self, host: str | None) -> Any:
        return super().get_backend_for_host(host)


class Moto:
    """WSGI application and component; `directory` holds one pickle per service."""

    def __init__(self, directory: Path, *, interval: float = 5.0) -> None:
        self._directory = directory
        self._interval = interval
        simulation.complete()
        self._app = _Dispatcher(create_backend_app)
        self._gate = _Gate()
        self._changed: set[str] = set()
        self._writing = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep_snapshots, name="moto-snapshots", daemon=True)
        self._restore()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        service = scope(environ)[1]
        target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        reads = target.startswith(_READS) or (not target and environ["REQUEST_METHOD"] in {"GET", "HEAD"})
        with self._gate.shared():
            try:
                body = b"".join(self._app(environ, start_response))
            except (
                NotImplementedError
            ) as error:  # moto says it with a 500, which clients take for a reason to try again
                body = _fail(environ, start_response, "400 Bad Request", "NotImplemented", f"{service}: {error}")
            except Exception:  # the border: moto's own faults must not end as an HTML page
                log.exception("moto failed on %s %s %s", service, environ["REQUEST_METHOD"], environ["PATH_INFO"])
                message = f"moto failed on {service}; the local SageMaker's log says why."
                body = _fail(environ, start_response, "500 Internal Server Error", "InternalFailure", message)
            if not reads:
                self.mark_changed(service)
        return [body]

    def mark_changed(self, service: str) -> None:
        """To be called after changing a moto backend directly."""
        service = _ALIASES.get(service, service)
        # an unsigned request (a presigned or anonymous upload) is S3's
        self._changed.add(service if service in SERVICES else "s3")

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """For code that reads or changes moto's backends directly: no snapshot is taken meanwhile."""
        with self._gate.shared():
            yield

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self.snapshot()

    def snapshot(self) -> list[str]:
        """Writes what has changed; a service that cannot be written is logged, stays marked and is tried again.

        Returns the services that could not be written."""
        self._directory.mkdir(parents=True, exist_ok=True)
        failed: list[str] = []
        with self._writing:  # what another thread has begun to write is on disk when this returns
            for service in sorted(self._changed):
                try:
                    self._write(service)
                except Exception:  # whatever moto holds or the disk says: the other services are still to be written
                    self._changed.add(service)
                    failed.append(service)
                    log.exception("writing %s to %s failed; a restart would lose it", service, self._directory)
        return failed

    def _write(self, service: str) -> None:
        with self._gate.exclusive():
            content = _dumps({account: dict(regions) for account, regions in _backends(service).items()})
            self._changed.discard(service)
        partial = self._directory / f"{service}.partial"
        partial.write_bytes(content)
        partial.replace(self._directory / f"{service}.pickle")

    def _restore(self) -> None:
        for service in SERVICES:
            file = self._directory / f"{service}.pickle"
            if file.exists():
                try:
                    accounts = pickle.loads(file.read_bytes())  # noqa: S301 - our own file
                except Exception as error:  # unpickling raises what it likes
                    raise OSError(
                        f"{file} cannot be read ({error!r}); another version of moto may have written it. Remove the "
                        f"file to start with an empty {service}, or the state directory to start afresh."
                    ) from error
                for account, regions in accounts.items():
                    for region, backend in regions.items():
                        _backends(service)[account][region] = backend
                        if service == "s3":
                            # moto keeps bucket names apart too: one that is not there is made anew, and empty
                            names = dict.fromkeys(backend.buckets, (backend.partition, account))
                            _backends(service).bucket_accounts.update(names)

    def _keep_snapshots(self) -> None:
        pause = self._interval
        while not self._stopping.wait(pause):
            began = time.monotonic()
            self.snapshot()
            # large states are written less often: at most a tenth of the time goes into snapshots
            pause = max(self._interval, 9 * (time.monotonic() - began))


@route("POST", "/_local/flush")
def flush(service: Service, request: Request) -> Response:
    """Write to disk now what would be written within seconds: whoever kills the server next knows what survives."""
    if failed := cast("Moto", service.components["moto"]).snapshot():
        return Response(f"could not be written: {', '.join(failed)}; the log says why", status=500)
    return Response(status=204)


def _fail(environ: dict[str, Any], start_response: Callable[..., Any], status: str, code: str, message: str) -> bytes:
    """An error in the protocol of the request: JSON services name a target, the others speak XML."""
    if "HTTP_X_AMZ_TARGET" in environ:
        start_response(status, [("Content-Type", "application/x-amz-json-1.1")])
        return json.dumps({"__type": code, "message": message}).encode()
    start_response(status, [("Content-Type", "text/xml")])
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return f"<ErrorResponse>{error}</ErrorResponse>".encode()


def _backends(service: str) -> Any:
    return get_backend(service)  # type: ignore[call-overload] # declared for literal names only


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc] # moto's backends hold lambdas, which pickle alone refuses
    """Writes locks as new, free ones: nobody is inside moto while a snapshot is taken."""

    def reducer_override(self, item: Any) -> Any:
        if isinstance(item, _LOCKS):
            return (threading.RLock if isinstance(item, _LOCKS[1]) else threading.Lock), ()
        if isinstance(item, defaultdict) and type(item) is not defaultdict:
            # moto's parameter store is one whose __init__ takes other arguments than defaultdict's pickling gives it
            return _new_defaultdict, (type(item), item.default_factory), vars(item), None, iter(item.items())
        return super().reducer_override(item)


def _new_defaultdict(cls: type[defaultdict[Any, Any]], factory: Callable[[], Any]) -> defaultdict[Any, Any]:
    new = cls.__new__(cls)
    defaultdict.__init__(new, factory)
    return new


_LOCKS = (type(threading.Lock()), type(threading.RLock()))


def _dumps(state: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file).dump(state)
    return file.getvalue()


class _Gate:
    """Many may be inside at once, or one alone."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._closed = False

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._closed)
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                self._condition.notify_all()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._closed)
            self._closed = True
            self._condition.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._condition:
                self._closed = False
                self._condition.notify_all()
