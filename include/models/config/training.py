"""What jobs run on, and what is learned and searched: the sections ``training`` and ``processing``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .common import InstanceType, Minutes, Scalar, Section, VolumeGb


class Range(Section):
    """A hyperparameter's range for tuning: integer when both ends are."""

    min: int | float
    max: int | float
    scale: Literal["linear", "logarithmic"] = "linear"

    @model_validator(mode="after")
    def is_a_range(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min {self.min} is not below max {self.max}")
        if self.scale == "logarithmic" and self.min <= 0:
            raise ValueError(f"a logarithmic range starts above 0, not at {self.min}")
        return self


class Objective(Section):
    metric: Annotated[str, Field(pattern=r"^[a-z_]+:[a-z0-9_]+$")]
    direction: Literal["minimize", "maximize"]


class Tuning(Section):
    objective: Objective
    strategy: Literal["Random", "Grid", "Bayesian", "Hyperband"] = "Random"
    max_jobs: Annotated[int, Field(ge=1, le=500)]
    max_parallel_jobs: Annotated[int, Field(ge=1, le=100)] = 1
    ranges: Annotated[dict[str, Range], Field(min_length=1)]


class Compute(Section):
    """What a job runs on. Volume in GB, runtime in minutes."""

    instance_type: InstanceType
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1
    volume_gb: VolumeGb = 30
    max_runtime_minutes: Minutes = 60


class Training(Compute):
    hyperparameters: dict[str, Scalar] = {}
    tuning: Tuning | None = None
