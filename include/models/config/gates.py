"""What a candidate is held to: the sections ``gates`` and ``champion``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .common import Section
from .metrics import Direction

MOST_RIVALS = 10  # versions of production that a candidate is measured beside
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
    """Bounds on a metric of the test split; at least one of min and max.

    With ``over`` it is bounded by how much the metric is better than that of a baseline on the same rows, whichever
    way is better: one of the evaluation's baselines; ``one_rule``, the best single split on a single column that the
    training split tells; or ``production``, the best of the versions that were last in production. ``share`` counts it
    in what is possible: 0 is as good as the baseline, 1 without any fault. With ``interval`` the worse end of the 95 %
    interval must hold, not the value alone. With ``slice`` it is the worst of that slice's segments that must hold.
    """

    metric: MetricName
    over: MetricName | None = None
    share: bool = False
    interval: bool = False
    slice: str | None = None
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def bounds_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a gate needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}: no model could pass")
        if self.share and self.over is None:
            raise ValueError("a share of what is possible is one over a baseline: name it with over")
        if self.slice and (self.over or (self.min is not None and self.max is not None)):
            raise ValueError("a gate of a slice has min or max, not both, and is not over a baseline")
        return self

    @property
    def measured(self) -> str:
        """The metric's name in an evaluation."""
        if self.slice:
            return f"{'lowest' if self.max is None else 'highest'}_{self.metric}_by_{self.slice}"
        if self.over is None:
            return self.metric
        return f"{self.metric}{'_share' if self.share else ''}_over_{self.over}"

    @property
    def bounds(self) -> list[Bound]:
        """One or two, the lower first. A metric passes the gate if each of them holds."""
        ends: dict[Literal["min", "max"], float | None] = {"min": self.min, "max": self.max}
        return [Bound(self.measured, kind, end) for kind, end in ends.items() if end is not None]


class Champion(Section):
    """No version in production may be better than the candidate by more than ``margin`` on the same rows.

    It is held to the best of the ``last`` versions that were in production, so that margins given away one after the
    other do not add up.
    """

    metric: MetricName
    direction: Direction
    margin: Annotated[float, Field(ge=0, le=1e6)]
    last: Annotated[int, Field(ge=1, le=MOST_RIVALS)] = 3

    def bound(self, best: float) -> Bound:
        """What a candidate is held to where ``best`` is the champion's value."""
        if self.direction == "maximize":
            return Bound(self.metric, "min", best - self.margin)
        return Bound(self.metric, "max", best + self.margin)
