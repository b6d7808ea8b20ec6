"""Sinks of scores besides S3: a module per sink, named like its section in model.yaml.

Used by check_sink and send_scores. ``partition`` is what all of them send, ``kafka_client`` connects to Kafka.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol, cast

from include.models.config import ModelConfig

if TYPE_CHECKING:
    from include.jobs.sinks.partition import Partition


class SinkModule(Protocol):
    """The interface of a sink's module. Both return a sentence about the result, and raise JobError."""

    def check(self, config: ModelConfig) -> str:
        """Checks that the model's scores could be sent now."""

    def send(self, config: ModelConfig, partition: Partition) -> str:
        """Sends a published partition, once."""


def sink_module(name: str) -> SinkModule:
    return cast("SinkModule", importlib.import_module(f"{__name__}.{name}"))
