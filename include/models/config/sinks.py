"""Where scores and model versions go besides S3: the sections ``sinks`` and ``tracking``, and the sinks' connections.

A sink is a section of ``Sinks`` and, under the same name, a connection of ``SinkConnections``; the module of that name
in ``include.jobs.sinks`` checks it and sends to it. Nothing else knows which sinks exist.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .common import TOPIC, Section


class Sink(Section):
    """``backfilled_days``: whether days scored by the Dag ``backfill`` are also sent."""

    backfilled_days: bool = True


class KafkaSink(Sink):
    """Daily scores as messages; the brokers are a setting of the environment."""

    topic: Annotated[str, Field(pattern=TOPIC)]


class Sinks(Section):
    kafka: KafkaSink | None = None

    @property
    def declared(self) -> list[str]:
        """The names of the sinks that the model has."""
        return [name for name in type(self).model_fields if self.section(name) is not None]

    def section(self, sink: str) -> Sink | None:
        found: Sink | None = getattr(self, sink)
        return found


class Connection(BaseModel):
    """An environment's connection to a sink."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Kafka(Connection):
    """The brokers that scores are sent to. ``secret_id`` names the Secrets Manager secret with username and password,
    which the job reads when it runs; ``topic_prefix`` is prepended to the topics of this environment's models, if
    several environments share brokers."""

    bootstrap_servers: Annotated[str, Field(pattern=r"^[\w.-]+:\d+(,[\w.-]+:\d+)*$")]
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL"] = "SSL"
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    secret_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    topic_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,40}$")] | None = None

    @model_validator(mode="after")
    def sasl_has_credentials(self) -> Self:
        if (self.security_protocol == "SASL_SSL") != (self.secret_id is not None):
            raise ValueError("secret_id and the security_protocol SASL_SSL go together: give both, or neither")
        return self


class SinkConnections(BaseModel):
    """The sinks that an environment has, each under the name of its section in model.yaml."""

    model_config = ConfigDict(defer_build=True)

    kafka: Kafka | None = None

    def connection(self, sink: str) -> Connection | None:
        found: Connection | None = getattr(self, sink)
        return found


class Tracking(Section):
    """``model_versions``: each registered version is also registered in MLflow, where the alias ``champion`` marks the
    one in production.

    Runs are tracked regardless, if the environment names a tracking store.
    """

    model_versions: bool = False
