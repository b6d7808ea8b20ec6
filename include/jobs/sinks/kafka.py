"""Kafka as a sink: a published partition of scores is sent once.

One message per row: its key is ``<model>/<date>/<the row's id as JSON>``, its value follows
``score_message.schema.json``. For the connection see ``kafka_client``.

All messages of a partition and one manifest record go in one transaction. The record, in ``<topic>-manifests`` under
``<model>/<date>``, has the partition's version (a digest of its files and model), the number of messages, a checksum
over them, and the model package. A sender first makes sure that no earlier sender of this partition can still commit,
and reads that record: if it has the same version, there is nothing to send. So a retry, a cleared task and a backfill
publish nothing twice.

What consumers do: read with ``isolation.level=read_committed``. A partition that was scored again is sent again under
its new version, with the same keys: the newest message of a key counts, and a message whose ``version`` is not that of
its partition's newest manifest record belongs to an older one (rows that the new version no longer has).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl
import polars.selectors as cs
import pyarrow.parquet as pq

from include.jobs.sinks import kafka_client as client
from include.jobs.sinks import kafka_metrics
from include.jobs.sinks.partition import Partition
from include.models.config import KafkaSink, ModelConfig
from include.models.config.columns import key_columns
from include.models.errors import JobError

SCHEMA_VERSION = 1
ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Sent:
    """The result of a call; ``rows`` and ``checksum`` are the record's if nothing had to be sent."""

    rows: int
    checksum: str
    was_there: bool


def check(config: ModelConfig) -> str:
    """Checks that brokers answer, topics exist, and partitions have leaders.

    Raises:
        JobError: what is wrong.
    """
    sink, settings = _sink_of(config), client.connection()
    partitions = client.require_topic(settings, sink.topic)
    client.require_compacted(settings, client.manifests_of(sink.topic))
    return f"{sink.topic} exists, with {partitions} partitions; so does {client.manifests_of(sink.topic)}"


def send(config: ModelConfig, partition: Partition) -> str:
    """Raises JobError: as ``send_once``."""
    sent = send_once(config, _sink_of(config), partition, client.connection())
    done = "exist already, nothing was sent" if sent.was_there else "were sent"
    return f"{sent.rows} messages {done}; their sha256 is {sent.checksum}"


def _sink_of(config: ModelConfig) -> KafkaSink:
    if config.sinks.kafka is None:
        raise JobError(f"models/{config.name}/model.yaml has no sinks.kafka: name a topic there.")
    # several environments may share brokers
    topic = os.environ.get("KAFKA_TOPIC_PREFIX", "") + config.sinks.kafka.topic
    return config.sinks.kafka.model_copy(update={"topic": topic})


def send_once(config: ModelConfig, sink: KafkaSink, partition: Partition, settings: client.Settings) -> Sent:
    """Sends the partition unless it was sent before.

    Raises:
        JobError: Kafka cannot be reached, a message was not delivered, or the files do not hold the manifest's rows.
    """
    client.require_topic(settings, sink.topic)
    name = f"{config.name}/{partition.date}"
    sender = client.Sender(
        settings, f"scores/{name}"
    )  # before the record is read: an older sender may be about to commit
    record = client.last_record(settings, client.manifests_of(sink.topic), name.encode())
    if record and (known := json.loads(record))["version"] == partition.version:
        return Sent(known["messages"], known["checksum"], was_there=True)
    digest = hashlib.sha256()
    with sender.transaction():
        count = sender.send(sink.topic, _hash_values(messages(config, partition), digest))
        if count != partition.rows:
            raise JobError(f"the files of {partition.date} hold {count} rows, their manifest says {partition.rows}.")
        sender.flush()
        content = {
            "schema_version": SCHEMA_VERSION,
            "model": config.name,
            "date": partition.date,
            "version": partition.version,
            "messages": count,
            "checksum": digest.hexdigest(),
            "model_package_arn": partition.model_package_arn,
            "topic": sink.topic,
            "sent_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        # last, so that readers of the manifests wait only for the commit
        sender.send(client.manifests_of(sink.topic), [(name.encode(), json.dumps(content).encode())])
    if sender.delivered != count + 1:
        raise JobError(f"{sender.delivered} deliveries were reported for {count + 1} messages: look at the brokers.")
    metrics = kafka_metrics.measured(
        sender.measure(),
        messages=sender.delivered,
        seconds=sender.seconds,
        published=partition.published_at,
    )
    kafka_metrics.put(metrics, model=config.name, topic=sink.topic)
    return Sent(count, digest.hexdigest(), was_there=False)


def messages(config: ModelConfig, partition: Partition) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of every row, in the files' order, in bounded memory.

    Raises:
        JobError: a column of the model's key is missing.
    """
    for name in partition.files:
        for batch in pq.ParquetFile(partition.folder / name).iter_batches(ROWS_AT_ONCE):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)  # noqa: S101 - what a record batch becomes
            yield from zip(*_encode(config, partition, frame), strict=True)


def _encode(config: ModelConfig, partition: Partition, frame: pl.DataFrame) -> tuple[list[bytes], list[bytes]]:
    ids = config.data.key
    frame = frame.rename({column: name for name, column in key_columns(ids).items() if column in frame.columns})
    if missing := [column for column in ids if column not in frame.columns]:
        raise JobError(f"the scores of {partition.date} lack the key column {missing[0]}; found: {frame.columns}.")
    frame = frame.with_columns(cs.temporal().dt.to_string("iso:strict"))
    text = frame.select(
        key=pl.lit(f"{config.name}/{partition.date}/") + pl.struct(ids).struct.json_encode(),
        value=pl.struct(
            pl.lit(SCHEMA_VERSION).alias("schema_version"),
            pl.lit(config.name).alias("model"),
            pl.lit(partition.date).alias("date"),
            pl.lit(partition.version).alias("version"),
            pl.lit(partition.model_package_arn).alias("model_package_arn"),
            pl.struct(ids).alias("id"),
            pl.struct(pl.exclude(ids)).alias("prediction"),
        ).struct.json_encode(),
    )
    return text["key"].cast(pl.Binary).to_list(), text["value"].cast(pl.Binary).to_list()


def _hash_values(items: Iterator[tuple[bytes, bytes]], digest: hashlib._Hash) -> Iterator[tuple[bytes, bytes]]:
    for key, value in items:
        digest.update(value)
        yield key, value
