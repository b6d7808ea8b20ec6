"""Containers whose output goes to a CloudWatch log stream."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable

from botocore.exceptions import ClientError

from include.local_sagemaker.sandbox import Container, Process, Sandbox
from include.local_sagemaker.service import Region

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.5
MOST_EVENTS = 1000


class Containers:
    """Starts containers in the server's sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def start(self, region: Region, container: Container, group: str, stream: str) -> Process:
        """Start a container and send its output, line by line, to a log stream.

        Raises:
            UnknownImageError: no environment stands for the image.
        """
        return self._sandbox.start(container, _sink(region, group, stream), region=region.name)


def _sink(region: Region, group: str, stream: str) -> Callable[[int], None]:
    def read(descriptor: int) -> None:
        writer = StreamWriter(region, group, stream)
        rest = b""
        while chunk := os.read(descriptor, 65536):
            *lines, rest = (rest + chunk).split(b"\n")
            writer.write(line.decode(errors="replace") for line in lines)
        if rest:
            writer.write([rest.decode(errors="replace")])
        writer.close()

    return read


class StreamWriter:
    """Sends lines to one log stream in batches, in order."""

    def __init__(self, region: Region, group: str, stream: str) -> None:
        self._logs = region.client("logs")
        self._names = {"logGroupName": group, "logStreamName": stream}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._events: list[dict[str, object]] = []
        self._timer: threading.Timer | None = None
        with contextlib.suppress(self._logs.exceptions.ResourceAlreadyExistsException):
            self._logs.create_log_group(logGroupName=group)
        with contextlib.suppress(self._logs.exceptions.ResourceAlreadyExistsException):
            self._logs.create_log_stream(**self._names)

    def write(self, lines: Iterable[str]) -> None:
        """Queue lines; they are in the stream half a second later."""
        now = int(time.time() * 1000)
        with self._lock:
            self._events += [{"timestamp": now, "message": line} for line in lines if line]
            if self._events and self._timer is None:
                self._timer = threading.Timer(FLUSH_SECONDS, self._flush)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """Send what is queued."""
        self._flush()

    def _flush(self) -> None:
        with self._sending:
            with self._lock:
                events, self._events = self._events, []
                if self._timer:
                    self._timer.cancel()
                    self._timer = None
            for start in range(0, len(events), MOST_EVENTS):
                try:
                    self._logs.put_log_events(**self._names, logEvents=events[start : start + MOST_EVENTS])
                except ClientError as error:
                    log.error("lines for the log %s are lost: %s", self._names, error)  # noqa: TRY400
