"""Messages per second of sending a partition of scores, to brokers in this process (librdkafka's mock cluster).

    python tests/benchmarks/bench_kafka.py [--json]

Everything in a real transfer except the network: reading Parquet, checksums, JSON, one transaction, every delivery
report. Needs ``include`` on PYTHONPATH.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from confluent_kafka.admin import AdminClient

from include.jobs.sinks import kafka_client as client
from include.jobs.sinks.kafka import send_once
from include.jobs.sinks.partition import Partition
from include.models.config import KafkaSink, load_model
from include.models.config.files import SCORES_MANIFEST
from rows import end, parser, row

ROWS = 500_000
LEAST_PER_SECOND = 50_000


def publish(folder: Path) -> None:
    """A day of scores of many machines, as publish_scores leaves it."""
    p = np.random.default_rng(1).random(ROWS)
    start = datetime.fromisoformat("2015-08-01")
    rows = pl.DataFrame({"machineID": np.arange(ROWS) // 8, "probability_none": p, "probability_comp1": 1 - p})
    rows = rows.with_columns(
        datetime=pl.lit(start) + pl.int_range(ROWS) % 8 * timedelta(hours=3),
        label=pl.when(pl.col("probability_none") > 0.5).then(pl.lit("none")).otherwise(pl.lit("comp1")),
    )
    rows.write_parquet(folder / "part-0.parquet")
    digest = hashlib.sha256((folder / "part-0.parquet").read_bytes()).hexdigest()
    files = [{"key": "scores/date=2015-08-01/part-0.parquet", "rows": ROWS, "sha256": digest}]
    manifest = {"date": "2015-08-01", "rows": ROWS, "files": files, "model_package_arn": "arn:aws:sagemaker:1"}
    (folder / SCORES_MANIFEST).write_text(json.dumps(manifest))


def measure() -> float:
    """Messages per second from the folder to the committed transaction."""
    cluster = AdminClient({"test.mock.num.brokers": 3, "log_level": 2})
    brokers = ",".join(f"{one.host}:{one.port}" for one in cluster.list_topics(timeout=10).brokers.values())
    settings: client.Settings = {"bootstrap.servers": brokers, "log_level": 2}
    for topic in ("scores", client.manifests_of("scores")):
        cluster.list_topics(topic, timeout=10)
    with tempfile.TemporaryDirectory() as folder:
        publish(Path(folder))
        began = time.monotonic()
        sent = send_once(
            load_model("predictive_maintenance"), KafkaSink(topic="scores"), Partition.read(Path(folder)), settings
        )
        return sent.rows / (time.monotonic() - began)


def main(argv: list[str] | None = None) -> int:
    arguments = parser(__doc__).parse_args(argv)
    found, name = measure(), "scores to Kafka (mock brokers), messages per second"
    return end([row(name, f"{found:,.0f}", f">= {LEAST_PER_SECOND:,}", found >= LEAST_PER_SECOND)], arguments)


if __name__ == "__main__":
    sys.exit(main())
