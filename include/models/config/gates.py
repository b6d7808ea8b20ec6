"""What a candidate is held to: the sections ``gates`` and ``champion``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .common import Section


@dataclass(frozen=True)
class Bound:
    """What a metric must reach (``min``) or must not exceed (``max``)."""

    metric: str
    kind: Literal["min", "max"]
    threshold: float

    def holds(self, value: float | None) -> bool:
        """Whether the value is a finite number on the right side; the threshold itself is."""
        if value is None or not math.isfinite(value):
            return False
        return value >= self.threshold if self.kind == "min" else value <= self.threshold


class Gate(Section):
    """An absolute bound on a metric of the test split; at least one of min and max."""

    metric: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def bounds_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a gate needs min or max")
        for bound in (self.min, self.max):
            if bound is not None and self.metric in UNIT_METRICS and not 0 <= bound <= 1:
                raise ValueError(f"{self.metric} lies between 0 and 1; the bound {bound} is out of range")
        return self

    @property
    def bounds(self) -> list[Bound]:
        """One or two, the lower first. A metric passes the gate if each of them holds."""
        found: list[Bound] = []
        if self.min is not None:
            found.append(Bound(self.metric, "min", self.min))
        if self.max is not None:
            found.append(Bound(self.metric, "max", self.max))
        return found


UNIT_METRICS = frozenset(
    {"accuracy", "macro_f1", "f1", "precision", "recall", "roc_auc", "pr_auc", "specificity", "failure_events_caught"}
)


class Champion(Section):
    """The approved model must not be better than the candidate by more than ``margin`` on the same test split."""

    metric: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    direction: Literal["minimize", "maximize"]
    margin: Annotated[float, Field(ge=0, le=1e6)]

    def bound(self, best: float) -> Bound:
        """What a candidate is held to where ``best`` is the approved model's value."""
        if self.direction == "maximize":
            return Bound(self.metric, "min", best - self.margin)
        return Bound(self.metric, "max", best + self.margin)
