"""Daily batch scoring."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from .common import Section
from .training import Compute

Share = Annotated[float, Field(ge=0, le=1)]


class Bounds(Section):
    """The bounds of a day's predictions: the share of a class, or the mean of a regression's values."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def is_a_range(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a bound needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Scoring(Compute):
    """One day, one partition of raw data, one partition of scores.

    ``tables`` are the tables of a day's partition, without those only for labels; the first has the rows that features
    are about. A table with the time column (or a clock that makes it) contains the day's rows, one with ``history`` all
    rows up to the day's end, one without a time is a snapshot. For a model without any time, the first table contains
    the rows to score on that day: only the partition tells the day.

    Windows of features reach ``look_back_hours`` before the day. A partition may be ``wait_hours`` late. Up to
    ``max_rejected_share`` of a table's rows may be rejected; more stop the day. (A suite's ``mostly`` gives way to it:
    of ten rows, one is many.) ``bounds`` are by class, or ``mean`` for a regression. ``monitor_<model>`` looks
    ``sweep_days`` back for late data. One job scores a day of at most ``one_job_mb`` of raw text; a larger one takes
    several, in which ``instance_count`` machines share chunks of ``chunk_mb``.
    """

    tables: Annotated[list[str], Field(min_length=1)]
    look_back_hours: Annotated[int, Field(ge=0, le=24 * 90)] = 0
    wait_hours: Annotated[float, Field(ge=0, le=24 * 7)] = 12
    max_rejected_share: Annotated[float, Field(ge=0, le=0.5)] = 0.01
    bounds: dict[str, Bounds] = {}
    sweep_days: Annotated[int, Field(ge=1, le=90)] = 7
    one_job_mb: Annotated[int, Field(ge=0, le=4096)] = 64
    chunk_mb: Annotated[int, Field(ge=1, le=4096)] = 32
    max_payload_mb: Annotated[int, Field(ge=1, le=100)] = 6
