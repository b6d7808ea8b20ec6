"""Program output to CloudWatch Logs, line by line, and to a file under the state directory."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from include.local_sagemaker.core.service import Region

log = logging.getLogger(__name__)

_LONGEST_EVENT = 256 * 1024 - 26  # CloudWatch's limit, in bytes
_BATCH_EVENTS = 1000
_BATCH_SECONDS = 0.3
_ATTEMPTS = 10


def log_file(state: Path, region: str, group: str, stream: str) -> Path:
    return state / "logs" / region / group.strip("/") / f"{stream}.log"


class LogStream:
    """One stream. `follow` blocks the writing program (its pipe fills) rather than lose or pile up lines. If the role
    may not write logs, CloudWatch gets none, and the program still runs, as on AWS.
    """

    def __init__(
        self, region: Region, group: str, stream: str, *, on_line: Callable[[float, str], None] | None = None
    ) -> None:
        """`on_line(epoch seconds, line)` is called for every line, in order."""
        self._client = region.client("logs")
        self._group, self.name = group, stream
        self._on_line = on_line
        self._lock = threading.Lock()
        self._last = 0
        self._allowed = True
        self._file = log_file(region.settings.state, region.name, group, stream)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        for create, names in (
            (self._client.create_log_group, {"logGroupName": group}),
            (self._client.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
        ):
            try:
                create(**names)
            except ClientError as error:  # by its code: `client.exceptions` is created lazily, which is not thread-safe
                code = error.response["Error"]["Code"]
                if code == "AccessDeniedException":
                    self._note_denial(error)
                elif code != "ResourceAlreadyExistsException":
                    raise

    def write(self, text: str) -> None:
        """Adds lines from the server itself."""
        self._deliver([(time.time(), line) for line in text.splitlines()])

    def follow(self, descriptor: int) -> None:
        """Reads the file descriptor to its end."""
        rest = b""
        batch: list[tuple[float, str]] = []
        since = time.monotonic()
        poller = select.poll()  # select() takes no descriptor over 1023
        poller.register(descriptor)
        while True:
            if poller.poll(_BATCH_SECONDS * 1000 if batch else None):
                chunk = os.read(descriptor, 65536)
                if not chunk:
                    break
                *lines, rest = (rest + chunk).split(b"\n")
                while len(rest) > _LONGEST_EVENT:
                    lines.append(rest[:_LONGEST_EVENT])
                    rest = rest[_LONGEST_EVENT:]
                now = time.time()
                batch += [(now, line.rstrip(b"\r").decode(errors="replace")) for line in lines]
            if batch and (len(batch) >= _BATCH_EVENTS or time.monotonic() - since >= _BATCH_SECONDS):
                self._deliver(batch)
                batch = []
                since = time.monotonic()
        if rest:
            batch.append((time.time(), rest.decode(errors="replace")))
        self._deliver(batch)

    def _deliver(self, batch: list[tuple[float, str]]) -> None:
        if not batch:
            return
        with self._lock:
            if self._on_line is not None:
                for moment, line in batch:
                    self._on_line(moment, line)
            self._write_file(batch)
            events = []
            for moment, line in batch:
                self._last = max(self._last, int(moment * 1000))  # CloudWatch wants them in order of time
                events += [{"timestamp": self._last, "message": part} for part in _event_messages(line)]
            for start in range(0, len(events), _BATCH_EVENTS):
                self._put(events[start : start + _BATCH_EVENTS])

    def _write_file(self, batch: list[tuple[float, str]]) -> None:
        try:
            with self._file.open("a", encoding="utf-8", errors="replace") as file:
                file.writelines(f"{line}\n" for _, line in batch)
        except OSError:  # a full disk must not end the writing program
            log.exception("%s lacks %d lines", self._file, len(batch))

    def _put(self, events: list[dict[str, object]]) -> None:
        for attempt in range(_ATTEMPTS if self._allowed else 0):
            try:
                self._client.put_log_events(logGroupName=self._group, logStreamName=self.name, logEvents=events)
            except (ClientError, BotoCoreError) as error:
                if isinstance(error, ClientError) and error.response["Error"]["Code"] == "AccessDeniedException":
                    self._note_denial(error)
                    break
                log.exception("writing %d lines to %s/%s failed", len(events), self._group, self.name)
                time.sleep(0.1 * 2**attempt)
            else:
                return
        if self._allowed:
            log.error("%s/%s lacks %d lines, which %s has", self._group, self.name, len(events), self._file)

    def _note_denial(self, error: ClientError) -> None:
        self._allowed = False
        log.warning("%s/%s is not in CloudWatch, %s has it: %s", self._group, self.name, self._file, error)


def _event_messages(line: str) -> list[str]:
    """CloudWatch takes no empty message and none over 256 KiB."""
    if len(line) * 4 <= _LONGEST_EVENT or len(line.encode()) <= _LONGEST_EVENT:
        return [line or " "]
    width = _LONGEST_EVENT // 4  # a character has at most four bytes
    return [line[start : start + width] for start in range(0, len(line), width)]
