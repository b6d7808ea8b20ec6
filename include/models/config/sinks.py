"""Where scores and model versions go besides S3: the sections ``sinks`` and ``tracking``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .common import Section


class KafkaSink(Section):
    """Daily scores as messages; where the brokers are is a fact of the environment."""

    topic: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,200}$")]


class Sinks(Section):
    kafka: KafkaSink | None = None


class Tracking(Section):
    """``model_versions``: each registered version is one of MLflow's too, and ``champion`` names the one in production.

    Runs are tracked whatever is said here, where the environment names a tracking store.
    """

    model_versions: bool = False
