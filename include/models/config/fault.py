"""A fault of a day's data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, NotRequired, TypedDict, cast

SHOWN = 5

Kind = Literal[
    "volume",
    "history",
    "missing",
    "still",
    "code",
    "absent",
    "new text",
    "vanished",
    "swapped",
    "unit",
    "clock",
    "repeated",
    "late labels",
    "refused",
    "unread",
]


class FaultJson(TypedDict):
    table: str
    column: str | None
    kind: Kind
    found: str
    segments: list[str]
    days: int
    usual: NotRequired[float | None]  # verdicts of earlier versions lack it


@dataclass(frozen=True)
class Fault:
    """What is wrong, in words; ``days``: the length of the window, up to the judged day, in which it shows; ``usual``:
    what was usual before it began, where later days are compared with that."""

    table: str
    column: str | None
    kind: Kind
    found: str
    segments: Sequence[str] = field(default_factory=list)
    days: int = 1
    usual: float | None = None

    @property
    def where(self) -> str:
        return f"{self.table}.{self.column}" if self.column else self.table

    def __str__(self) -> str:
        some = ", ".join(self.segments[:SHOWN])
        more = f" and {len(self.segments) - SHOWN} more" if len(self.segments) > SHOWN else ""
        return f"{self.where}: {self.found}" + (f" ({some}{more})" if some else "")

    def as_json(self) -> FaultJson:
        return cast("FaultJson", asdict(self))
