"""The jobs' compute, and what is trained and tuned: the sections ``training`` and ``processing``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .common import InstanceType, Minutes, Scalar, Section, VolumeGb
from .metrics import Direction


class Range(Section):
    """The search range of a hyperparameter: between two ends, integers if both are; or some ``values``."""

    min: int | float | None = None
    max: int | float | None = None
    scale: Literal["linear", "logarithmic"] = "linear"
    values: Annotated[list[str], Field(min_length=2, max_length=30)] | None = None

    @model_validator(mode="after")
    def is_a_range(self) -> Self:
        if (self.values is None) == (self.min is None and self.max is None):
            raise ValueError("either min and max, or values")
        if self.values:
            return self
        if self.min is None or self.max is None:
            raise ValueError("min and max go together")
        if self.min >= self.max:
            raise ValueError(f"min {self.min} is not below max {self.max}")
        if self.scale == "logarithmic" and self.min <= 0:
            raise ValueError(f"a logarithmic range starts above 0, not at {self.min}")
        return self


class Objective(Section):
    metric: Annotated[str, Field(min_length=1, max_length=200)]
    direction: Direction


class Tuning(Section):
    objective: Objective
    strategy: Literal["Random", "Grid", "Bayesian", "Hyperband"] = "Random"
    max_jobs: Annotated[int, Field(ge=1, le=500)]
    max_parallel_jobs: Annotated[int, Field(ge=1, le=100)] = 1
    ranges: Annotated[dict[str, Range], Field(min_length=1)]


class Compute(Section):
    """A job's compute. Volume in GB, runtime in minutes."""

    instance_type: InstanceType
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1
    volume_gb: VolumeGb = 30
    max_runtime_minutes: Minutes = 60


class Processing(Compute):
    """The compute that prepares a training's data and evaluates. Raw data of at most ``one_job_mb`` of text is prepared
    by one job on one machine (0: whatever its size); more is partitioned by key into chunks of ``chunk_mb``, which
    ``instance_count`` machines share."""

    one_job_mb: Annotated[int, Field(ge=0, le=1_000_000)] = 1024
    chunk_mb: Annotated[int, Field(ge=1, le=4096)] = 128


class Training(Compute):
    """``keep_alive_minutes``: how long instances are kept after a job (a warm pool), so that the next one, of a tuning
    or a repeated training, starts without waiting for instances. They are billed meanwhile; 0 keeps none, and spot
    instances are never kept."""

    keep_alive_minutes: Annotated[int, Field(ge=0, le=60)] = 0
    hyperparameters: dict[str, Scalar] = {}
    tuning: Tuning | None = None
