"""How a model answers: the section ``serving``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .common import InstanceType, Section


class Serving(Section):
    instance_type: InstanceType
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1
