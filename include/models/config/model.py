"""The whole of a model.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .common import Name, Section
from .data import Data, Split
from .gates import Champion, Gate
from .serving import Serving
from .sinks import Sinks, Tracking
from .training import Compute, Training


class Schedule(Section):
    """Cron expressions in UTC; none means that the Dag only runs when triggered."""

    train: str | None = None


class ModelConfig(Section):
    """One model folder's configuration, as checked from its model.yaml."""

    name: Name
    description: Annotated[str, Field(min_length=1, max_length=300)]
    owner: Annotated[str, Field(min_length=1, max_length=60)]
    problem: Literal["binary", "multiclass", "regression"]
    schedule: Schedule = Schedule()
    data: Data
    split: Split
    training: Training
    processing: Compute
    gates: Annotated[list[Gate], Field(min_length=1)]
    champion: Champion
    serving: Serving
    sinks: Sinks = Sinks()
    tracking: Tracking = Tracking()
