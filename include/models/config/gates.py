"""The requirements on a candidate: the sections ``gates`` and ``champion``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .common import Section
from .metrics import Direction

MOST_RIVALS = 10  # earlier production versions that a candidate is compared with
MetricName = Annotated[str, Field(min_length=1, max_length=200)]  # the known ones: .metrics


@dataclass(frozen=True)
class Bound:
    """The value that a metric must reach (``min``) or must not exceed (``max``)."""

    metric: str
    kind: Literal["min", "max"]
    threshold: float

    def holds(self, value: float | None) -> bool:
        """Whether the value is a finite number on the right side of the threshold, or equal to it."""
        if value is None or not math.isfinite(value):
            return False
        return value >= self.threshold if self.kind == "min" else value <= self.threshold


class Gate(Section):
    """Bounds on a metric of the test split; at least one of min and max.

    With ``over``, the bound applies to how much better the metric is than a baseline's on the same rows, in whichever
    direction is better. The baseline is one of the evaluation's; ``one_rule``, the best single split on a single
    column, learned from the training split; or ``production``, the best of the last versions in production. ``share``
    expresses it as a share of what is possible: 0 is as good as the baseline, 1 is perfect. With ``interval``, the
    worse end of the 95 % interval must pass, not only the value. With ``slice``, the worst of that slice's segments
    must pass.
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

    The candidate is compared with the best of the ``last`` versions in production, so that successive margins do not
    add up.
    """

    metric: MetricName
    direction: Direction
    margin: Annotated[float, Field(ge=0, le=1e6)]
    last: Annotated[int, Field(ge=1, le=MOST_RIVALS)] = 3

    def bound(self, best: float) -> Bound:
        """The bound for a candidate if ``best`` is the champion's value."""
        if self.direction == "maximize":
            return Bound(self.metric, "min", best - self.margin)
        return Bound(self.metric, "max", best + self.margin)
