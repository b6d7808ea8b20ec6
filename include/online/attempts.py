"""What the service's threads try again and again: each failure is said in a line, sparsely, and its end in another."""

from __future__ import annotations

import logging
import time
from types import TracebackType

from botocore.exceptions import BotoCoreError, ClientError

from include.models.errors import JobError
from include.models.quoting import quotes_values, unforeseen

SAID_AGAIN_SECONDS = 600.0
FORESEEN = (JobError, BotoCoreError, ClientError)
log = logging.getLogger("online")


class Attempts:
    """A context for each attempt. Its exceptions end here: whatever fails, requests are answered."""

    def __init__(self, what: str, every_seconds: float) -> None:
        """``what`` must not fail, as in "taking over the champion"."""
        self._what, self._every = what, every_seconds
        self._since: float | None = None  # of the first failure in a row
        self._said: tuple[str, float] = ("", 0.0)

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is None:
            self._succeeded()
            return False
        if not isinstance(error, Exception):
            return False
        self._failed(error)
        return True

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        self._since = self._since if self._since is not None else now
        kind, at = self._said
        if kind == type(error).__name__ and now - at < SAID_AGAIN_SECONDS:
            return
        self._said = (type(error).__name__, now)
        again = f"It is tried every {self._every:.0f} seconds; requests are answered meanwhile."
        if isinstance(error, FORESEEN):
            log.error("%s fails: %s %s", self._what, str(error).rstrip(".") + ".", again)
        elif quotes_values():
            log.error("%s fails. %s", self._what, again, exc_info=error)
        else:
            log.error("%s fails: %s. %s", self._what, unforeseen(error), again)

    def _succeeded(self) -> None:
        if self._since is not None:
            log.info("%s works again, after %.0f seconds", self._what, time.monotonic() - self._since)
        self._since, self._said = None, ("", 0.0)
