"""Where scores are sent to beside S3: a module for each sink, under the name of its section in model.yaml.

Used by check_sink and send_scores. ``partition`` is what all of them send, ``kafka_client`` how Kafka is reached.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol, cast

from include.models.config import ModelConfig

if TYPE_CHECKING:
    from include.jobs.sinks.partition import Partition


class SinkModule(Protocol):
    """What a sink's module has. Both say in a sentence what they found or did, and raise JobError."""

    def check(self, config: ModelConfig) -> str:
        """Whether the model's scores could be sent now."""

    def send(self, config: ModelConfig, partition: Partition) -> str:
        """Send a published partition, once."""


def sink_module(name: str) -> SinkModule:
    return cast("SinkModule", importlib.import_module(f"{__name__}.{name}"))
