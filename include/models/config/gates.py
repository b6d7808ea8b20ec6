"""What a candidate is held to: the sections ``gates`` and ``champion``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .common import Section
from .metrics import Direction

MetricName = Annotated[str, Field(min_length=1, max_length=200)]  # which there are: .metrics


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

    metric: MetricName
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def bounds_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a gate needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}: no model could pass")
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


class Champion(Section):
    """The approved model must not be better than the candidate by more than ``margin`` on the same test split."""

    metric: MetricName
    direction: Direction
    margin: Annotated[float, Field(ge=0, le=1e6)]

    def bound(self, best: float) -> Bound:
        """What a candidate is held to where ``best`` is the approved model's value."""
        if self.direction == "maximize":
            return Bound(self.metric, "min", best - self.margin)
        return Bound(self.metric, "max", best + self.margin)
