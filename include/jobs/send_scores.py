"""Sends a published partition of scores to Kafka, once.

    python -m include.jobs.send_scores --model M --scores DIR

``--scores`` is ``scores/date=D/`` as publish_scores left it: ``_SUCCESS.json`` and the Parquet files that it names. One
message per row: its key is ``<model>/<date>/<the row's id as JSON>``, its value as ``score_message.schema.json`` says.
How Kafka is reached: ``jobs/kafka.py``.

All messages of a partition and one manifest record go in one transaction. The record, in ``<topic>-manifests`` under
``<model>/<date>``, holds the partition's version (what its files hold, and which model made it), the number of
messages, a checksum over them, and the model package. Whoever sends first makes sure that no earlier sender of this
partition can still commit, and reads that record: if it has the version at hand, there is nothing to send. So a retry,
a cleared task and a backfill publish nothing twice.

What consumers do: read with ``isolation.level=read_committed``. A partition that was scored again is sent again under
its new version, with the same keys: the newest message of a key counts, and a message whose ``version`` is not that of
its partition's newest manifest record belongs to an older one (rows that the new version no longer has).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import polars.selectors as cs
import pyarrow.parquet as pq

from include.jobs.cli import arguments_of, run_program
from include.jobs.sinks import kafka
from include.models.config import KafkaSink, ModelConfig, load_model
from include.models.config.files import SCORES_MANIFEST
from include.models.errors import JobError

SCHEMA_VERSION = 1
ROWS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Partition:
    """A published day of scores. ``version`` is equal for equal files from the same model package."""

    folder: Path
    date: str
    rows: int
    files: list[str]
    model_package_arn: str
    version: str

    @classmethod
    def read(cls, folder: Path) -> Partition:
        """The partition that the folder's manifest describes, with every file's checksum compared.

        Raises:
            JobError: no manifest, or one that the files do not match.
        """
        try:
            content = json.loads((folder / SCORES_MANIFEST).read_text(encoding="utf-8"))
            files = {Path(file["key"]).name: str(file["sha256"]) for file in content["files"]}
            date, rows, package = str(content["date"]), int(content["rows"]), str(content["model_package_arn"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise JobError(
                f"{folder / SCORES_MANIFEST} cannot be used ({error!r}): publish_scores writes it."
            ) from error
        for name, expected in files.items():
            found = _sha256(folder / name)
            if found != expected:
                raise JobError(
                    f"{name} is not what the manifest of {date} names: its sha256 is {found}, not {expected}."
                )
        whole = json.dumps([sorted(files.items()), package]).encode()
        return cls(folder, date, rows, sorted(files), package, hashlib.sha256(whole).hexdigest()[:16])


@dataclass(frozen=True)
class Sent:
    """What a call came to; ``rows`` and ``checksum`` are the record's where nothing had to be sent."""

    rows: int
    checksum: str
    was_there: bool


def send(config: ModelConfig, sink: KafkaSink, partition: Partition, settings: kafka.Settings) -> Sent:
    """Send the partition unless it was.

    Raises:
        JobError: Kafka cannot be reached, a message was not delivered, or the files do not hold the manifest's rows.
    """
    kafka.require_topic(settings, sink.topic)
    name = f"{config.name}/{partition.date}"
    sender = kafka.Sender(
        settings, f"scores/{name}"
    )  # before the record is read: an older sender may be about to commit
    record = kafka.last_record(settings, kafka.manifests_of(sink.topic), name.encode())
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
        # last, so that readers of the manifests wait for no transaction longer than its commit takes
        sender.send(kafka.manifests_of(sink.topic), [(name.encode(), json.dumps(content).encode())])
    if sender.delivered != count + 1:
        raise JobError(f"{sender.delivered} deliveries were reported for {count + 1} messages: look at the brokers.")
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


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise JobError(f"{file.name}, which the manifest names, cannot be read: {error}.") from error


def main(argv: list[str] | None = None) -> None:
    arguments = arguments_of(__doc__, scores="folder of a published partition").parse_args(argv)
    config = load_model(arguments.model)
    sent = send(config, sink_of(config), Partition.read(arguments.scores), kafka.connection())
    done = "are there already, nothing was sent" if sent.was_there else "were sent"
    print(f"{sent.rows} messages {done}; their sha256 is {sent.checksum}")


def sink_of(config: ModelConfig) -> KafkaSink:
    """Raises JobError where model.yaml has no such sink."""
    if config.sinks.kafka is None:
        raise JobError(f"models/{config.name}/model.yaml has no sinks.kafka: name a topic there.")
    return config.sinks.kafka


if __name__ == "__main__":
    run_program(main)
