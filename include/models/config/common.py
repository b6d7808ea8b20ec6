"""The base of model.yaml's sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from .names import NAME

Name = Annotated[str, Field(pattern=NAME)]
# also the pattern in forms: any family, in existing sizes
INSTANCE_TYPE = r"^ml\.[a-z0-9-]+\.(medium|large|[0-9]*xlarge)$"
InstanceType = Annotated[str, Field(pattern=INSTANCE_TYPE)]
CRON = r"^(@(hourly|daily|weekly|monthly|quarterly|yearly)|\S+( +\S+){4})$"
DAILY = r"^([0-5]?\d) ([01]?\d|2[0-3]) \* \* \*$"
TABLE_FILE = r"^[\w.-]+\.(csv|tsv|txt|data|xlsx)$"
FORMAT = r"%d.*%|%b.*%|%B.*%|%y.*%|%m.*%|%Y.*%|%G.*%|%j|^epoch(_ms|_us|_ns)?$|^excel_days$"
UNIT = r"^[^\d\s.,()'+_-](.*\S)?$"
SLICE = r"^[A-Za-z][A-Za-z0-9_]{0,38}$"
TOPIC = r"^[a-zA-Z0-9._-]{1,200}$"
Minutes = Annotated[int, Field(ge=1, le=28 * 24 * 60)]
VolumeGb = Annotated[int, Field(ge=1, le=16384)]
Scalar = int | float | str | bool
type Json = Scalar | Sequence[Json] | Mapping[str, Json] | None  # what JSON and YAML documents hold


class Section(BaseModel):
    # built together with its parent, not a second time: every parsing of Dags pays for it
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


def all_defaults() -> Any:
    """The default of an optional section: all its keys have their defaults."""
    return Field({}, validate_default=True)


class ConfigError(ValueError):
    """An invalid model.yaml; the message says which key, what was found and what is allowed."""
