"""How often an operation may be called: AWS answers further calls with ThrottlingException."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from include.local_sagemaker.core.errors import ThrottlingException


def parse(text: str) -> dict[str, float]:
    """``Describe*=5,CreateTrainingJob=0.5``: calls per second. Raises ValueError that says what is wrong."""
    rates = {}
    for part in text.split(","):
        pattern, _, number = part.partition("=")
        try:
            rates[pattern] = float(number)
        except ValueError as error:
            raise ValueError(f"{part!r} is not OPERATION=CALLS_PER_SECOND, as in Describe*=5") from error
        if not pattern or not 0 < rates[pattern] < float("inf"):
            raise ValueError(f"{part!r}: the calls per second must be a number above 0")
    return rates


class Rates:
    """A token bucket for each operation and region; it holds a second's calls, at least one."""

    def __init__(self, rates: Mapping[str, float], now: Callable[[], float] = time.monotonic) -> None:
        self._rates, self._now = rates, now
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}  # calls left, and when that was counted

    def take(self, region: str, operation: str) -> None:
        """Raises ThrottlingException."""
        rate = next((rate for pattern, rate in self._rates.items() if fnmatchcase(operation, pattern)), None)
        if rate is None:
            return
        with self._lock:
            now, most = self._now(), max(rate, 1.0)
            left, since = self._buckets.get((region, operation), (most, now))
            left = min(most, left + (now - since) * rate)
            if left < 1.0:
                self._buckets[region, operation] = left, now
                raise ThrottlingException("Rate exceeded")
            self._buckets[region, operation] = left - 1.0, now
