"""What a sender of scores tells CloudWatch, in the namespace ``ModelMonitoring``, with the dimensions ``Model`` and
``Topic`` (the topic's prefix is the environment's):

- ``KafkaMessages``: messages that brokers confirmed, the manifest's record among them
- ``KafkaMessagesPerSecond``, ``KafkaBytesPerSecond``: of the transaction, the commit included
- ``KafkaErrors``: requests that failed, timed out or were sent again
- ``KafkaManifestLagSeconds``: from the day's publication to its manifest record, which consumers wait for

The client's own statistics, which bytes and errors come from, are in
https://github.com/confluentinc/librdkafka/blob/master/STATISTICS.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from include.models.config.watching import METRICS_NAMESPACE

UNITS = {
    "KafkaMessages": "Count",
    "KafkaMessagesPerSecond": "Count/Second",
    "KafkaBytesPerSecond": "Bytes/Second",
    "KafkaErrors": "Count",
    "KafkaManifestLagSeconds": "Seconds",
}


@dataclass
class Statistics:
    """The client's newest totals: ``bytes`` of messages sent, and ``errors`` of its requests."""

    bytes: int = 0
    errors: int = 0

    def take(self, text: str) -> None:
        """``stats_cb``: the client calls it while it is polled."""
        found = json.loads(text)
        self.bytes = found["txmsg_bytes"]
        self.errors = sum(
            broker[name] for broker in found["brokers"].values() for name in ("txerrs", "txretries", "req_timeouts")
        )


def measured(statistics: Statistics, *, messages: int, seconds: float, published: datetime | None) -> dict[str, float]:
    """The metrics of a partition that was sent, in ``seconds``; ``published``: when the day was."""
    values = {
        "KafkaMessages": float(messages),
        "KafkaMessagesPerSecond": messages / max(seconds, 1e-3),
        "KafkaBytesPerSecond": statistics.bytes / max(seconds, 1e-3),
        "KafkaErrors": float(statistics.errors),
    }
    if published:
        values["KafkaManifestLagSeconds"] = max((datetime.now(UTC) - published).total_seconds(), 0)
    return values


def put(values: Mapping[str, float], *, model: str, topic: str) -> None:
    """Tell CloudWatch. The scores were sent, so metrics that cannot be are a warning."""
    dimensions = [{"Name": "Model", "Value": model}, {"Name": "Topic", "Value": topic}]
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": UNITS[name]}
        for name, value in values.items()
    ]
    try:
        patience = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
        boto3.client("cloudwatch", config=patience).put_metric_data(Namespace=METRICS_NAMESPACE, MetricData=data)
    except (BotoCoreError, ClientError) as error:
        print(f"WARNING: the scores were sent, but CloudWatch did not take their metrics: {error}", flush=True)
