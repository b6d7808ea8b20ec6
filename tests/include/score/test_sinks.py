"""Requests to send a day to Kafka and to move the alias in MLflow; none if neither is configured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.deploy import tasks as deploy
from include.models.config import Kafka, Sinks, load_model
from include.models.config.common import Section
from include.platform.environment import EXAMPLE, MlEnvironment
from include.platform.run_folders import Run
from include.platform.storage import split_uri
from include.registry.versions import RegisteredVersion
from include.score import sinks
from include.score import tasks as score
from include.score.dag import score_dag
from include.score.plan import DayPlan
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3
from tests.include.local_sagemaker.local_server import LocalSageMaker

MODEL = load_model("tabular_classifier")
KAFKA = {"bootstrap_servers": "b-1:9096", "security_protocol": "SASL_SSL", "secret_id": "AmazonMSK_scores"}
PLAN = DayPlan(
    day="2026-01-05",
    inputs=[],
    version=RegisteredVersion(version=3, model_package_arn="arn:3", artifact="s3://b/model.tar.gz", image="image:1"),
    reason="chosen by number",
    code_hash="0123456789ab",
    image_uri="image:1",
    parts={"code": "c"},
)
RUN = Run("my-ml-bucket", "score_tabular_classifier", "scheduled__1")
PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/tabular-classifier/3"


@pytest.fixture(autouse=True)
def planned(local_aws: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    s3 = LocalS3(local_aws, RUN.bucket)
    s3.objects[split_uri(RUN.day_plan)[1]] = PLAN.model_dump_json().encode()
    answer_from(monkeypatch, s3=s3)
    environment(monkeypatch)
    yield
    s3.objects.clear()


def environment(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", json.dumps({**json.loads(EXAMPLE), **facts}))


def context() -> Any:
    return {"ti": SimpleNamespace(dag_id=RUN.dag_id, run_id=RUN.run_id)}


def test_a_day_that_does_not_come_says_what_to_do() -> None:
    waited = score.wait_for_partition(MODEL, {"dag": SimpleNamespace(params={"day"}), "params": {"day": "2026-01-05"}})
    assert f"the next run of monitor_{MODEL.name} has the day scored" in waited["advice"]
    assert "files with only a header" in waited["advice"]


def test_without_kafka_nothing_is_sent() -> None:
    with pytest.raises(AirflowSkipException, match="no kafka: scores are published in S3 but not sent there"):
        score.check_sink(MODEL, "kafka", context())


def test_the_published_partition_of_the_day_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, kafka=KAFKA)
    checked, sent = score.check_sink(MODEL, "kafka", context()), score.send_scores(MODEL, "kafka", context())
    for request, program in ((checked, "check_sink"), (sent, "send_scores")):
        assert request["AppSpecification"]["ContainerEntrypoint"][-1] == f"include.jobs.{program}"
        assert request["AppSpecification"]["ContainerArguments"][-2:] == ["--sink", "kafka"]
    read = {each["InputName"]: each["S3Input"]["S3Uri"] for each in sent["ProcessingInputs"]}
    assert read["scores"] == "s3://my-ml-bucket/scores/tabular_classifier/date=2026-01-05/"
    assert sent["Environment"]["KAFKA_SECRET_ID"] == "AmazonMSK_scores"


def test_the_alias_follows_what_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: deploy.Recorded = {
        "version": 3,
        "model_package_arn": PACKAGE,
        "endpoint": "e",
        "previous_version": None,
    }
    with pytest.raises(AirflowSkipException, match="there is no alias to move"):
        deploy.move_champion_alias(MODEL, context(), recorded=recorded)
    environment(monkeypatch, mlflow_tracking_uri="http://mlflow:5000")
    request = deploy.move_champion_alias(MODEL, context(), recorded=recorded)
    assert request["AppSpecification"]["ContainerArguments"][-2:] == ["--model-package", PACKAGE]


class LakeSink(Section):
    """A sink that this repository does not have."""


class MoreSinks(Sinks):
    lake: LakeSink | None = None


class MoreConnections(MlEnvironment):
    lake: Kafka | None = None  # any connection: its settings are passed to the job


def test_another_sink_needs_its_schema_and_its_module_alone() -> None:
    model = MODEL.model_copy(update={"sinks": MoreSinks(kafka=MODEL.sinks.kafka, lake=LakeSink())})
    dag = score_dag(model)
    for sink in ("lake", "kafka"):
        assert dag.get_task(f"{sink}.send_scores").upstream_task_ids == {"publish_scores", f"{sink}.check_sink"}
        assert all(f"`{sink}.{task_id}`" in str(dag.doc_md) for task_id in ("check_sink", "send_scores"))
    facts = {**json.loads(EXAMPLE), "lake": {"bootstrap_servers": "lake:1"}}
    request = sinks.send_scores(model, MoreConnections.model_validate(facts), RUN, "lake", scores="s3://b/scores/")
    assert request["AppSpecification"]["ContainerEntrypoint"][-1] == "include.jobs.send_scores"
    assert request["AppSpecification"]["ContainerArguments"][-2:] == ["--sink", "lake"]
    assert request["Environment"]["LAKE_BOOTSTRAP_SERVERS"] == "lake:1"


def test_more_brokers_than_a_variable_takes_are_told_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """SageMaker accepts 256 characters; the addresses of three MSK brokers are longer."""
    brokers = [f"b-{number}.{'x' * 80}.c1.kafka.eu-west-1.amazonaws.com:9096" for number in range(4)]
    environment(monkeypatch, kafka={**KAFKA, "bootstrap_servers": ",".join(brokers), "topic_prefix": "ml-dev."})
    told = score.check_sink(MODEL, "kafka", context())["Environment"]
    parts = [told[name] for name in sorted(told) if name.startswith("KAFKA_BOOTSTRAP_SERVERS")]
    assert all(len(value) <= 256 for value in told.values())
    assert len(parts) > 1
    assert ",".join(parts).split(",") == brokers
    assert told["KAFKA_TOPIC_PREFIX"] == "ml-dev."
