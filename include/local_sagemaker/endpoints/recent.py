"""An endpoint's recent activity, for its page; forgotten when the server ends."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

_SHIFTS, _EXCHANGES, _SHOWN_BYTES = 50, 20, 300


@dataclass(frozen=True)
class Shift:
    """From this moment on, traffic went to these configurations, by share."""

    at: float
    shares: dict[str, float]


@dataclass(frozen=True)
class Exchange:
    """A request and its answer, as far as the page shows them."""

    at: float
    variant: str
    status: int
    seconds: float
    request: str
    answer: str


@dataclass
class Recent:
    """Newest first."""

    shifts: deque[Shift] = field(default_factory=lambda: deque(maxlen=_SHIFTS))
    exchanges: deque[Exchange] = field(default_factory=lambda: deque(maxlen=_EXCHANGES))

    def note_shift(self, shares: Iterable[tuple[str, float]]) -> None:
        found: dict[str, float] = {}
        for config, share in shares:
            if share:
                found[config] = found.get(config, 0.0) + share
        if not self.shifts or self.shifts[0].shares != found:
            self.shifts.appendleft(Shift(time.time(), found))

    def note_answer(self, variant: str, status: int, seconds: float, request: bytes, answer: bytes) -> None:
        self.exchanges.appendleft(Exchange(time.time(), variant, status, seconds, _shown(request), _shown(answer)))


def _shown(content: bytes) -> str:
    return content[:_SHOWN_BYTES].decode(errors="replace") + ("…" if len(content) > _SHOWN_BYTES else "")
