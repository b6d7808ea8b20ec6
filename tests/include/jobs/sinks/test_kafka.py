"""Each score is sent to Kafka once, against librdkafka's mock cluster.

The mock has no control records: it shows readers what an aborted transaction wrote, and lets a fenced producer commit.
``test_kafka_brokers`` shows that readers see neither; these tests check that an abort or a takeover was requested.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import jsonschema
import polars as pl
import pytest
from botocore.exceptions import ClientError
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from include.jobs import check_sink, send_scores
from include.jobs.sinks import kafka_client as client
from include.jobs.sinks.kafka import Sent, messages, send_once
from include.jobs.sinks.kafka_metrics import Statistics
from include.jobs.sinks.partition import Partition
from include.models.config import KafkaSink, ModelConfig, Sinks, load_model
from include.models.config.files import SCORES_MANIFEST
from include.models.errors import JobError

SCHEMA = json.loads((Path(client.__file__).parent / "score_message.schema.json").read_text())
PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/predictive-maintenance/3"


@pytest.fixture(scope="module")
def cluster() -> AdminClient:
    """Three brokers in this process; listing a topic creates it, as on brokers with auto-creation."""
    return AdminClient({"test.mock.num.brokers": 3, "log_level": 2})


@pytest.fixture
def settings(cluster: AdminClient) -> client.Settings:
    brokers = cluster.list_topics(timeout=10).brokers.values()
    return {"bootstrap.servers": ",".join(f"{broker.host}:{broker.port}" for broker in brokers), "log_level": 2}


@pytest.fixture
def sink(settings: client.Settings, request: pytest.FixtureRequest) -> KafkaSink:
    """A topic for this test, created together with that of its manifests."""
    topic = "t" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    admin = AdminClient(settings)
    for name in (topic, client.manifests_of(topic)):
        admin.list_topics(name, timeout=10)
    return KafkaSink(topic=topic)


@pytest.fixture(autouse=True)
def metrics(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The metrics sent to CloudWatch."""
    told: list[dict[str, Any]] = []
    cloudwatch = SimpleNamespace(put_metric_data=lambda **request: told.append(request))
    monkeypatch.setattr(
        "include.jobs.sinks.kafka_metrics.boto3.client", lambda name, **_: {"cloudwatch": cloudwatch}[name]
    )
    return told


@pytest.fixture
def config() -> ModelConfig:
    return load_model("predictive_maintenance")


def publish(folder: Path, frames: list[pl.DataFrame], package: str = PACKAGE) -> Partition:
    """A partition as publish_scores writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, frame in enumerate(frames):
        file = folder / f"part-{number}.parquet"
        frame.write_parquet(file)
        files.append(
            {
                "key": f"scores/m/date=2015-08-01/{file.name}",
                "rows": len(frame),
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            }
        )
    rows = sum(len(frame) for frame in frames)
    manifest = {"date": "2015-08-01", "rows": rows, "files": files, "model_package_arn": package}
    (folder / SCORES_MANIFEST).write_text(json.dumps(manifest))
    return Partition.read(folder)


def scores(machines: int, first: int = 1) -> pl.DataFrame:
    ids = range(first, first + machines)
    return pl.DataFrame({"machineID": ids}).with_columns(
        datetime=pl.lit(datetime.fromisoformat("2015-08-01T06:00")),
        label=pl.lit("none"),
        probability_none=1 - pl.col("machineID") / 100_000,
    )


def read_all(settings: client.Settings, topic: str) -> list[tuple[bytes, bytes]]:
    consumer = Consumer(
        {**settings, "group.id": "test", "enable.partition.eof": True, "isolation.level": "read_committed"}
    )
    partitions = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found, ended = [], 0
    while ended < len(partitions):
        message = consumer.poll(10)
        assert message is not None, "the topic's end was not reached"
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF
            ended += 1
        else:
            found.append((message.key(), message.value()))
    consumer.close()
    return found


def test_every_row_is_sent_with_one_manifest_record(
    config: ModelConfig, sink: KafkaSink, settings: client.Settings, tmp_path: Path
) -> None:
    partition = publish(tmp_path, [scores(300), scores(200, first=301)])
    sent = send_once(config, sink, partition, settings)
    assert (sent.rows, sent.was_there) == (500, False)
    found = dict(read_all(settings, sink.topic))
    assert len(found) == 500
    for key, value in found.items():
        content = json.loads(value)
        jsonschema.validate(content, SCHEMA)
        assert key.decode() == f"predictive_maintenance/2015-08-01/{json.dumps(content['id'], separators=(',', ':'))}"
    machine_7 = found[b'predictive_maintenance/2015-08-01/{"machineID":7,"datetime":"2015-08-01T06:00:00.000000"}']
    assert json.loads(machine_7)["prediction"] == {"label": "none", "probability_none": 1 - 7 / 100_000}
    ((key, value),) = read_all(settings, client.manifests_of(sink.topic))
    record = json.loads(value)
    assert key == b"predictive_maintenance/2015-08-01"
    assert (record["messages"], record["version"]) == (500, partition.version)
    assert record["model_package_arn"] == PACKAGE
    digest = hashlib.sha256(b"".join(value for _, value in messages(config, partition))).hexdigest()
    assert record["checksum"] == sent.checksum == digest


def test_cloudwatch_is_told_of_throughput_errors_and_lag(
    config: ModelConfig, sink: KafkaSink, settings: client.Settings, tmp_path: Path, metrics: list[dict[str, Any]]
) -> None:
    partition = replace(publish(tmp_path, [scores(500)]), published_at=datetime.now(UTC) - timedelta(minutes=2))
    send_once(config, sink, partition, settings)
    (told,) = metrics
    assert told["Namespace"] == "ModelMonitoring"
    values = {one["MetricName"]: one["Value"] for one in told["MetricData"]}
    assert {json.dumps(one["Dimensions"]) for one in told["MetricData"]} == {
        json.dumps([{"Name": "Model", "Value": config.name}, {"Name": "Topic", "Value": sink.topic}])
    }
    assert values["KafkaMessages"] == 501  # including the record
    sent = sum(len(key) + len(value) for key, value in messages(config, partition))
    seconds = values["KafkaMessages"] / values["KafkaMessagesPerSecond"]
    assert values["KafkaBytesPerSecond"] * seconds >= sent
    assert values["KafkaErrors"] == 0
    assert 120 <= values["KafkaManifestLagSeconds"] < 180
    send_once(config, sink, partition, settings)
    assert len(metrics) == 1, "nothing was sent the second time"


def test_scores_that_were_sent_do_not_fail_for_their_metrics(
    config: ModelConfig,
    sink: KafkaSink,
    settings: client.Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutMetricData")

    cloudwatch = SimpleNamespace(put_metric_data=refuse)
    monkeypatch.setattr("include.jobs.sinks.kafka_metrics.boto3.client", lambda *_, **__: cloudwatch)
    assert send_once(config, sink, publish(tmp_path, [scores(5)]), settings).rows == 5
    assert "the scores were sent, but CloudWatch did not take their metrics" in capsys.readouterr().out


def test_requests_that_failed_or_were_repeated_are_errors() -> None:
    statistics = Statistics()
    brokers = {
        "1": {"txerrs": 2, "txretries": 3, "req_timeouts": 0},
        "2": {"txerrs": 0, "txretries": 0, "req_timeouts": 1},
    }
    statistics.take(json.dumps({"txmsg_bytes": 10, "brokers": brokers}))
    assert (statistics.bytes, statistics.errors) == (10, 6)


def test_the_same_partition_is_sent_once(
    config: ModelConfig, sink: KafkaSink, settings: client.Settings, tmp_path: Path
) -> None:
    first = send_once(config, sink, publish(tmp_path, [scores(50)]), settings)
    again = send_once(config, sink, publish(tmp_path, [scores(50)]), settings)
    assert again == Sent(50, first.checksum, was_there=True)
    assert len(read_all(settings, sink.topic)) == 50
    assert len(read_all(settings, client.manifests_of(sink.topic))) == 1


def test_a_partition_scored_again_is_sent_under_a_new_version_with_the_same_keys(
    config: ModelConfig, sink: KafkaSink, settings: client.Settings, tmp_path: Path
) -> None:
    send_once(config, sink, publish(tmp_path, [scores(20)]), settings)
    newer = publish(tmp_path, [scores(20)], package=PACKAGE[:-1] + "4")
    assert not send_once(config, sink, newer, settings).was_there
    found = read_all(settings, sink.topic)
    assert (len(found), len({key for key, _ in found})) == (40, 20)
    key = b"predictive_maintenance/2015-08-01"
    record = client.last_record(settings, client.manifests_of(sink.topic), key)
    assert record
    assert json.loads(record)["version"] == newer.version
    assert client.last_record(settings, client.manifests_of(sink.topic), b"predictive_maintenance/1999-01-01") is None


def test_files_that_changed_after_publishing_are_not_sent(
    config: ModelConfig, sink: KafkaSink, settings: client.Settings, tmp_path: Path
) -> None:
    publish(tmp_path, [scores(5)])
    scores(6).write_parquet(tmp_path / "part-0.parquet")
    with pytest.raises(JobError, match=r"part-0.parquet is not the file in the manifest of 2015-08-01"):
        Partition.read(tmp_path)


def test_a_partition_without_a_manifest_is_not_one(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"_SUCCESS.json is invalid .* publish_scores writes it"):
        Partition.read(tmp_path)


class Watched(Producer):  # type: ignore[misc] # confluent_kafka's class is of C
    """A producer that records how its transactions ended, and may lose a delivery."""

    ends: list[str] = []  # noqa: RUF012 - of all producers of a test
    loses = 0

    def produce(self, *args: Any, on_delivery: Callable[[Any, Any], None], **kwargs: Any) -> None:
        if Watched.loses:
            Watched.loses -= 1
            on_delivery(KafkaError(KafkaError._MSG_TIMED_OUT), None)
            return
        super().produce(*args, on_delivery=on_delivery, **kwargs)

    def abort_transaction(self, *args: Any) -> None:
        Watched.ends.append("aborted")
        super().abort_transaction(*args)

    def commit_transaction(self, *args: Any) -> None:
        super().commit_transaction(*args)
        Watched.ends.append("committed")


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> type[Watched]:
    monkeypatch.setattr(client, "Producer", Watched)
    Watched.ends, Watched.loses = [], 0
    return Watched


def test_a_lost_message_aborts_all_and_the_retry_sends_all(
    config: ModelConfig, sink: KafkaSink, settings: client.Settings, tmp_path: Path, watched: type[Watched]
) -> None:
    partition = publish(tmp_path, [scores(30)])
    watched.loses = 1
    with pytest.raises(JobError, match="a message was not delivered"):
        send_once(config, sink, partition, settings)
    assert watched.ends == ["aborted"]
    assert read_all(settings, client.manifests_of(sink.topic)) == []
    assert send_once(config, sink, partition, settings).rows == 30
    assert watched.ends == ["aborted", "committed"]


def test_rows_that_the_manifest_does_not_count_abort_all(
    config: ModelConfig, sink: KafkaSink, settings: client.Settings, tmp_path: Path, watched: type[Watched]
) -> None:
    partition = publish(tmp_path, [scores(30)])
    manifest = json.loads((tmp_path / SCORES_MANIFEST).read_text())
    (tmp_path / SCORES_MANIFEST).write_text(json.dumps({**manifest, "rows": 31}))
    with pytest.raises(JobError, match="hold 30 rows, their manifest says 31"):
        send_once(config, sink, Partition.read(tmp_path), settings)
    assert watched.ends == ["aborted"]
    assert partition.rows == 30


def test_an_earlier_sender_of_the_partition_is_shut_out_before_the_record_is_read(
    config: ModelConfig, sink: KafkaSink, settings: client.Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it could commit between the reading and the sending, and every score would be sent twice."""
    order: list[str] = []
    plain_producer, plain_reading = client.Producer, client.last_record

    class Producing(plain_producer):  # type: ignore[misc,valid-type]
        def init_transactions(self, *args: Any) -> None:
            order.append("took over")
            super().init_transactions(*args)

    def reading(*args: Any) -> bytes | None:
        order.append("read")
        return plain_reading(*args)

    monkeypatch.setattr(client, "Producer", Producing)
    monkeypatch.setattr(client, "last_record", reading)
    send_once(config, sink, publish(tmp_path, [scores(3)]), settings)
    assert order == ["took over", "read"]


def test_two_partitions_are_sent_at_the_same_time(
    config: ModelConfig, sink: KafkaSink, settings: client.Settings, tmp_path: Path
) -> None:
    failures: list[Exception] = []

    def run(day: int) -> None:
        publish(tmp_path / str(day), [scores(400)])
        manifest = json.loads((tmp_path / str(day) / SCORES_MANIFEST).read_text())
        (tmp_path / str(day) / SCORES_MANIFEST).write_text(json.dumps({**manifest, "date": f"2015-08-0{day}"}))
        try:
            send_once(config, sink, Partition.read(tmp_path / str(day)), settings)
        except JobError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(day,)) for day in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len({key for key, _ in read_all(settings, sink.topic)}) == 1200
    assert len(read_all(settings, client.manifests_of(sink.topic))) == 3


def test_no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 1.0)
    with pytest.raises(JobError, match=r"no Kafka broker of 127.0.0.1:1 answers .* subnets and security groups"):
        client.require_topic({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, "scores")


def test_no_topic(settings: client.Settings, sink: KafkaSink) -> None:
    assert client.require_topic(settings, sink.topic) == 4
    with pytest.raises(JobError, match=r"the Kafka topic absent for the scores is not usable .* Create it first"):
        client.require_topic(settings, "absent")
    AdminClient(settings).list_topics("lonely", timeout=10)
    with pytest.raises(JobError, match=r"the Kafka topic lonely-manifests for their manifests .*compact.* not usable"):
        client.require_topic(settings, "lonely")


class Described:
    """An admin client for brokers that report a topic's cleanup.policy; the mock cluster does not."""

    def __init__(self, policy: str) -> None:
        self.policy = policy

    def describe_configs(self, resources: list[Any], request_timeout: int) -> dict[Any, Future[Any]]:
        answer: Future[Any] = Future()
        answer.set_result({"cleanup.policy": SimpleNamespace(value=self.policy)})
        return {resources[0]: answer}


def test_manifests_must_not_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "AdminClient", lambda _: Described("compact"))
    client.require_compacted({}, "scores-manifests")
    monkeypatch.setattr(client, "AdminClient", lambda _: Described("compact,delete"))
    with pytest.raises(JobError, match=r"scores-manifests has cleanup.policy=compact,delete; set it to compact"):
        client.require_compacted({}, "scores-manifests")


class Secrets:
    def __init__(self, text: str) -> None:
        self.text = text

    def get_secret_value(self, SecretId: str) -> dict[str, str]:  # noqa: N803 - boto3's name
        assert SecretId == "prod/kafka"  # pragma: allowlist secret
        return {"SecretString": self.text}


@pytest.mark.parametrize("text", ['{"username": "u"}', "hunter2", "[]"])
def test_a_secret_of_another_form_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    sasl(monkeypatch, text)
    with pytest.raises(JobError, match="'prod/kafka' is not of the form") as error:
        client.connection()
    assert "hunter2" not in str(error.value)
    assert error.value.__cause__ is None


def test_credentials_come_from_the_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sasl(monkeypatch, '{"username": "scorer", "password": "hunter2"}')
    found = client.connection()
    assert (found["sasl.mechanism"], found["sasl.username"], found["sasl.password"]) == (
        "SCRAM-SHA-512",
        "scorer",
        "hunter2",
    )
    assert "hunter2" not in "".join(capsys.readouterr())


def sasl(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    variables = {"BOOTSTRAP_SERVERS": "b:9096", "SECURITY_PROTOCOL": "SASL_SSL", "SECRET_ID": "prod/kafka"}
    for name, value in variables.items():
        monkeypatch.setenv(f"KAFKA_{name}", value)
    monkeypatch.setattr(boto3, "client", lambda service: Secrets(secret))


def test_nothing_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    with pytest.raises(JobError, match=r"KAFKA_BOOTSTRAP_SERVERS is not set; .* kafka.bootstrap_servers"):
        client.connection()


def test_the_programs_ask_the_sinks_own_module(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: client.Settings,
    sink: KafkaSink,
    config: ModelConfig,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_sink = config.model_copy(update={"sinks": Sinks(kafka=sink)})
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", str(settings["bootstrap.servers"]))
    for program in (check_sink, send_scores):
        monkeypatch.setattr(program, "load_model", lambda name: with_sink)
    publish(tmp_path, [scores(7)])
    check_sink.main(["--model", config.name, "--sink", "kafka"])
    send_scores.main(["--model", config.name, "--sink", "kafka", "--scores", str(tmp_path)])
    said = capsys.readouterr().out
    assert f"{sink.topic} exists, with 4 partitions" in said
    assert "7 messages were sent" in said
    for number, rows in enumerate((5, 6)):
        publish(tmp_path / "several" / f"date={number}", [scores(rows)])
    send_scores.main(["--model", config.name, "--sink", "kafka", "--scores", str(tmp_path / "several")])
    first, second = capsys.readouterr().out.splitlines()
    assert ("5 messages were sent" in first, "6 messages were sent" in second) == (True, True)
    with pytest.raises(SystemExit):
        check_sink.main(["--model", config.name, "--sink", "pigeons"])
