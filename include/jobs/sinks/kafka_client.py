"""The connection to Kafka, its check, and one transaction per partition of scores.

The brokers' addresses come from the job's environment, credentials from Secrets Manager when the job runs:

- ``KAFKA_BOOTSTRAP_SERVERS``: host:port, comma-separated; more of them in ``KAFKA_BOOTSTRAP_SERVERS_2`` and so on
- ``KAFKA_SECURITY_PROTOCOL``: PLAINTEXT unless given; SSL, SASL_SSL
- ``KAFKA_SASL_MECHANISM``: SCRAM-SHA-512 unless given; SCRAM-SHA-256, PLAIN
- ``KAFKA_SECRET_ID``: a secret ``{"username": ..., "password": ...}``; needed by SASL_SSL

Each topic has a compacted topic ``<topic>-manifests``: one record per sent partition of scores,
written in the transaction of its messages. A producer reads it before sending, so that nothing is published twice.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined] # its stubs

from include.jobs.sinks.kafka_metrics import Statistics
from include.models.errors import JobError, and_then

PATIENCE_SECONDS = 30.0
# The longest a partition's transaction may stay open, at most the brokers' transaction.max.timeout.ms (15 minutes
# unless set otherwise); at 50,000 messages a second it is room for 45 million.
TRANSACTION_SECONDS = 900
DELIVERY_SECONDS = 120
STATISTICS_SECONDS = 0.2  # between two reports of the client about itself
Settings = dict[str, str | int | float | bool]


def manifests_of(topic: str) -> str:
    return f"{topic}-manifests"


def connection() -> Settings:
    """The connection settings: the brokers from the environment, the credentials from Secrets Manager.

    Raises:
        JobError: a variable is missing, or the secret cannot be read or has another format.
    """
    parts = sorted(name for name in os.environ if re.fullmatch(r"KAFKA_BOOTSTRAP_SERVERS(_\d+)?", name))
    servers = ",".join(os.environ[name] for name in parts)
    if not servers:
        raise JobError(
            "KAFKA_BOOTSTRAP_SERVERS is not set; the Variable ml_environment gives it: kafka.bootstrap_servers."
        )
    protocol = os.environ.get("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    settings: Settings = {"bootstrap.servers": servers, "security.protocol": protocol}
    if not protocol.startswith("SASL"):
        return settings
    secret = _secret(os.environ.get("KAFKA_SECRET_ID"))
    mechanism = os.environ.get("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
    return settings | {
        "sasl.mechanism": mechanism,
        "sasl.username": secret["username"],
        "sasl.password": secret["password"],
    }


def _secret(name: str | None) -> Mapping[str, str]:
    if not name:
        raise JobError("KAFKA_SECRET_ID is not set, and SASL needs it: ml_environment's kafka.secret_id.")
    try:
        text = boto3.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    except (BotoCoreError, ClientError, KeyError) as error:
        raise JobError(
            f"the secret '{name}' with Kafka's credentials cannot be read: {error}. The job's role needs "
            "secretsmanager:GetSecretValue on it."
        ) from error
    try:
        content = json.loads(text)
        return {"username": str(content["username"]), "password": str(content["password"])}
    except (ValueError, TypeError, KeyError):  # the text itself must not get into a log
        raise JobError(f'the secret \'{name}\' is not of the form {{"username": ..., "password": ...}}.') from None


def require_topic(settings: Settings, topic: str) -> int:
    """The number of partitions of a topic that can be sent to; its manifests' topic must exist too.

    Raises:
        JobError: no broker answers, a topic is absent, or a partition has no leader.
    """
    admin = AdminClient({**settings, "socket.timeout.ms": int(PATIENCE_SECONDS * 1000)})
    servers = settings["bootstrap.servers"]
    try:
        topics = admin.list_topics(timeout=PATIENCE_SECONDS).topics
    except KafkaException as error:
        raise JobError(
            f"no Kafka broker of {servers} answers ({_text(error)}). Check whether the brokers run, and whether the "
            "job's subnets and security groups reach them."
        ) from error
    for name, kind in ((topic, "the scores"), (manifests_of(topic), "their manifests (cleanup.policy=compact)")):
        if name not in topics or topics[name].error is not None:
            found = topics[name].error if name in topics else f"there are {len(topics)} others"
            raise JobError(f"the Kafka topic {name} for {kind} is not usable at {servers}: {found}. Create it first.")
        leaderless = [number for number, part in topics[name].partitions.items() if part.leader < 0 or part.error]
        if leaderless:
            raise JobError(f"partitions {leaderless} of the Kafka topic {name} have no leader: a broker is down.")
    return len(topics[topic].partitions)


def require_compacted(settings: Settings, topic: str) -> None:
    """Checks that the manifests are kept: otherwise a late retry would publish twice. Warns if the user may not ask.

    Raises:
        JobError: its old records are deleted.
    """
    admin = AdminClient(settings)
    try:
        resource = ConfigResource(ResourceType.TOPIC, topic)
        described = admin.describe_configs([resource], request_timeout=10)[resource].result()
    except KafkaException as error:
        print(f"WARNING: whether {topic} is compacted cannot be known: {_text(error)}", flush=True)
        return
    policy = described["cleanup.policy"].value
    if "compact" not in policy or "delete" in policy:
        raise JobError(
            f"the Kafka topic {topic} has cleanup.policy={policy}; set it to compact: it must keep every key."
        )


class Sender:
    """A transactional producer for one partition of scores; counts every delivery report.

    Creating it aborts what an earlier producer of the same ``name`` left open and fences that producer off: from here
    on only this one can commit.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self.delivered = 0
        self.seconds = 0.0  # that the last transaction took, the commit included
        self._statistics = Statistics()
        self._failed: KafkaError | None = None
        self._producer = Producer(
            {
                **settings,
                "transactional.id": name,
                "transaction.timeout.ms": TRANSACTION_SECONDS * 1000,
                "message.timeout.ms": DELIVERY_SECONDS * 1000,
                "compression.type": "lz4",
                "linger.ms": 20,
                "queue.buffering.max.messages": 200_000,
                "queue.buffering.max.kbytes": 256 * 1024,
                "statistics.interval.ms": int(STATISTICS_SECONDS * 1000),
                "stats_cb": self._statistics.take,
            }
        )
        self._attempt("taking over from earlier senders", lambda: self._producer.init_transactions(PATIENCE_SECONDS))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits at the end of the block if everything was delivered; otherwise nothing is published.

        Raises:
            JobError: what was sent was not delivered, or not committed.
        """
        began = time.monotonic()
        self._producer.begin_transaction()
        self.delivered, self._failed = 0, None
        try:
            yield
            self.flush()
            self._attempt("committing", lambda: self._producer.commit_transaction(PATIENCE_SECONDS))
        except BaseException:
            self._abort()
            raise
        self.seconds = time.monotonic() - began

    def measure(self) -> Statistics:
        """The client's totals, of all that was sent."""
        with suppress(KafkaException, SystemError):  # a newer sender's taking over undoes nothing that is published
            self._producer.poll(2 * STATISTICS_SECONDS)
        return self._statistics

    def send(self, topic: str, messages: Iterable[tuple[bytes, bytes]]) -> int:
        """Queues keys and values; returns their number.

        Raises:
            JobError: a message came back undelivered.
        """
        count = 0
        produce, report = self._producer.produce, self._report
        for key, value in messages:
            while True:
                try:
                    produce(topic, value, key, on_delivery=report)
                    break
                except BufferError:  # the queue is full: wait until some are delivered
                    self._served(lambda: self._producer.poll(0.05))
                    self._raise_failure()
                except KafkaException as error:
                    raise JobError(f"Kafka refuses a message to {topic}: {_text(error)}.") from error
            count += 1
            if not count % 2000:
                self._served(lambda: self._producer.poll(0))
                self._raise_failure()
        return count

    def flush(self) -> None:
        """Waits until everything queued is delivered.

        Raises:
            JobError: some of it was not.
        """
        left = self._served(lambda: self._producer.flush(DELIVERY_SECONDS))
        self._raise_failure()
        if left:
            raise JobError(f"{left} messages were not delivered within {DELIVERY_SECONDS} s; nothing was published.")

    def _report(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.delivered += 1
        elif self._failed is None:
            self._failed = error

    def _served(self, step: Callable[[], int]) -> int:
        """Serve delivery reports. The client raises a fatal error, such as a newer sender's taking over, amid its own
        callbacks, where it may come out as a SystemError."""
        try:
            return step()
        except (KafkaException, SystemError) as error:
            cause = error if isinstance(error, KafkaException) else error.__cause__
            found = _text(cause) if isinstance(cause, KafkaException) else str(error)
            raise JobError(f"the brokers ended this sender: {found}; it published nothing.") from error

    def _raise_failure(self) -> None:
        if self._failed is not None:
            raise JobError(f"a message was not delivered: {self._failed.str()}; nothing was published.")

    def _abort(self) -> None:
        """If this fails too, the brokers abort at the transaction's timeout."""
        try:
            self._producer.abort_transaction(PATIENCE_SECONDS)
        except KafkaException as error:
            print(f"WARNING: the transaction could not be aborted ({_text(error)}); the brokers will.", flush=True)

    def _attempt(self, what: str, step: Callable[[], object]) -> None:
        """Retries a step while the client calls its errors retriable, until a deadline."""
        deadline = time.monotonic() + 4 * PATIENCE_SECONDS
        while True:
            try:
                step()
            except KafkaException as error:
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise JobError(
                        f"{what} failed: {_text(error)}. Clear the task once the brokers have recovered: it finds out "
                        "whether the partition was published, and sends it if not."
                    ) from error
            else:
                return


def last_record(settings: Settings, topic: str, key: bytes) -> bytes | None:
    """The newest committed value of a key, in a topic small enough to read completely.

    It reads up to the current end, even if other senders' transactions are still open there: what lies behind them
    counts too, so it waits for them.

    Raises:
        JobError: the topic cannot be read, or transactions stay open for too long.
    """
    consumer = Consumer(
        {
            **settings,
            "group.id": "scores-manifests",  # nothing is committed under it
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        with and_then(consumer.close):
            return _read_to_end(consumer, settings, topic, key)
    except KafkaException as error:
        raise JobError(f"the Kafka topic {topic} cannot be read: {_text(error)}.") from error


def _read_to_end(consumer: Consumer, settings: Settings, topic: str, key: bytes) -> bytes | None:
    partitions = consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic].partitions
    ends = _ends(settings, topic, list(partitions))
    consumer.assign([TopicPartition(topic, number, 0) for number in ends])
    found: Message | None = None
    deadline = time.monotonic() + TRANSACTION_SECONDS
    while ends:
        message = consumer.poll(1.0)
        if message is None:
            if time.monotonic() > deadline:
                raise JobError(f"other transactions in {topic} stay open for {TRANSACTION_SECONDS} s. Try again later.")
            continue
        if (error := message.error()) is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            place = TopicPartition(topic, message.partition() or 0, message.offset() or 0)
            if place.offset >= ends.get(place.partition, 0):
                ends.pop(place.partition, None)
            continue
        if message.key() == key and (found is None or message.timestamp()[1] >= found.timestamp()[1]):
            found = message
    return found.value() if found else None


def _ends(settings: Settings, topic: str, numbers: list[int]) -> dict[int, int]:
    """The end of each partition with open transactions in it; partitions without a record are left out."""
    anything = Consumer({**settings, "group.id": "scores-manifests", "isolation.level": "read_uncommitted"})
    with and_then(anything.close):
        edges = {
            number: anything.get_watermark_offsets(TopicPartition(topic, number), timeout=PATIENCE_SECONDS)
            for number in numbers
        }
    return {number: high for number, (_, high) in edges.items() if high > 0}


def _text(error: KafkaException) -> str:
    cause = error.args[0]
    return cause.str() if isinstance(cause, KafkaError) else str(error)
