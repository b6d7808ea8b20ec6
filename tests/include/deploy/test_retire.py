"""Retiring a model: what is found, removed and kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from botocore.exceptions import ClientError

from include.deploy import retire_tasks
from include.deploy.serving_modes import monthly_cost
from include.models.config import load_model
from include.monitor import tasks as monitor
from include.platform.environment import EXAMPLE
from include.registry import history, served
from include.registry.history import Entry, History, current, record_promotion, record_retirement
from include.score import tasks as score
from include.train import tasks as train
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3

MODEL = load_model("predictive_maintenance")
PRODUCTION = "predictive-maintenance-production"
COST = monthly_cost(MODEL, "us-east-1")
TARGET = f"endpoint/{PRODUCTION}/variant/AllTraffic"
ENTRY = Entry(
    version=1,
    model_package_arn="arn",
    artifact="s3://b/m",
    since=datetime(2026, 11, 1, tzinfo=UTC),
    endpoint_config="config",
    dag_id="deploy",
    run_id="run",
)


class Cloud:
    """SageMaker, CloudWatch and Application Auto Scaling in one; ``removed`` in order."""

    def __init__(self) -> None:
        self.endpoints, self.removed = {PRODUCTION}, list[str]()

    def describe_endpoint(self, EndpointName: str) -> dict[str, str]:  # noqa: N803
        if EndpointName not in self.endpoints:
            error = {"Code": "ValidationException", "Message": 'Could not find endpoint "x".'}
            raise ClientError({"Error": error}, "DescribeEndpoint")
        return {"EndpointStatus": "InService"}

    def get_paginator(self, operation: str) -> Any:
        pages: dict[str, Any] = {
            "describe_alarms": {"MetricAlarms": [{"AlarmName": f"{PRODUCTION}-errors"}]},
            "describe_scalable_targets": {
                "ScalableTargets": [{"ResourceId": TARGET}, {"ResourceId": "endpoint/other-production/variant/A"}]
            },
        }
        return SimpleNamespace(paginate=lambda **_: [pages[operation]])

    def deregister_scalable_target(self, **target: str) -> None:
        self.removed.append(target["ResourceId"])

    def delete_alarms(self, AlarmNames: list[str]) -> None:  # noqa: N803
        self.removed += AlarmNames

    def delete_endpoint(self, EndpointName: str) -> None:  # noqa: N803
        self.describe_endpoint(EndpointName)
        self.endpoints.remove(EndpointName)
        self.removed.append(EndpointName)

    def get_waiter(self, _: str) -> Any:
        return SimpleNamespace(wait=lambda **_: None)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    found = Cloud()
    environment = SimpleNamespace(bucket="b", region="us-east-1")
    monkeypatch.setattr(retire_tasks, "ml_environment", lambda: environment)
    for name in ("sagemaker_client", "cloudwatch_client", "_scaling", "s3_client"):
        monkeypatch.setattr(retire_tasks, name, lambda _: found)
    monkeypatch.setattr(retire_tasks, "read_history", lambda *_: History(entries=(ENTRY,) if found.endpoints else ()))
    return found


CONTEXT: Any = {"params": {"model": MODEL.name}}


def answer(option: str) -> Any:
    return {"chosen_options": [option]}


def test_only_the_models_own_goes_and_only_after_a_yes(cloud: Cloud) -> None:
    serving = retire_tasks.find_serving(CONTEXT)
    assert serving["endpoints"] == [PRODUCTION]
    assert serving["targets"] == [TARGET], "no other model's"
    assert f"saves about {COST.least:.0f} USD a month" in serving["text"]
    with pytest.raises(AirflowSkipException):
        retire_tasks.remove_serving(CONTEXT, answer=answer("Keep"), serving=serving)
    assert cloud.removed == []
    for _ in range(2):  # a retry finds it gone
        retire_tasks.remove_serving(CONTEXT, answer=answer("Retire"), serving=serving)
    assert cloud.removed[:3] == [TARGET, f"{PRODUCTION}-errors", PRODUCTION]
    assert cloud.removed.count(PRODUCTION) == 1


def test_what_is_not_served_cannot_be_retired(cloud: Cloud) -> None:
    cloud.endpoints.clear()
    with pytest.raises(AirflowFailException, match="nothing serves"):
        retire_tasks.find_serving(CONTEXT)


def test_the_history_is_closed_once_and_a_promotion_opens_it_again(
    ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3: Any = ml_bucket
    record_promotion(s3, "my-ml-bucket", MODEL.name, ENTRY)
    monkeypatch.setattr(history, "now", lambda: datetime(2026, 11, 2, tzinfo=UTC))
    closed = record_retirement(s3, "my-ml-bucket", MODEL.name)
    assert current(closed) is None
    assert record_retirement(s3, "my-ml-bucket", MODEL.name) == closed
    again = ENTRY.model_copy(update={"since": datetime(2026, 11, 3, tzinfo=UTC)})
    opened = record_promotion(s3, "my-ml-bucket", MODEL.name, again)
    assert [entry.until is None for entry in opened.entries] == [False, True]


def test_scheduled_runs_of_a_retired_model_do_nothing_until_a_promotion(
    ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3: Any = ml_bucket
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
    answer_from(monkeypatch, s3=s3)

    def context(run_type: str) -> Any:
        params = {"day": "2026-11-05", "challenger": None}
        return {"dag_run": SimpleNamespace(run_type=run_type), "params": params, "dag": SimpleNamespace(params=params)}

    firsts = (partial(score.wait_for_partition, MODEL), partial(monitor.wait_for_scores, MODEL))
    skipped = (*firsts, partial(train.plan_training, MODEL), partial(monitor.find_late_days, MODEL))
    for first in firsts:
        assert first(context("scheduled")), "nothing was ever in production: the run reports that itself"
    record_promotion(s3, "my-ml-bucket", MODEL.name, ENTRY)
    monkeypatch.setattr(history, "now", lambda: datetime(2026, 11, 2, tzinfo=UTC))
    record_retirement(s3, "my-ml-bucket", MODEL.name)
    for task in skipped:
        with pytest.raises(AirflowSkipException, match="is retired since 2026-11-02"):
            task(context("scheduled"))
    assert firsts[0](context("manual")), "somebody asked for it"
    again = ENTRY.model_copy(update={"since": datetime(2026, 11, 3, tzinfo=UTC)})
    record_promotion(s3, "my-ml-bucket", MODEL.name, again)
    for first in firsts:
        assert first(context("scheduled"))


def test_endpoints_cost_until_they_are_gone(ml_bucket: LocalS3) -> None:
    """A second span ends the first; what is recorded twice, or ended again, is unchanged."""
    s3: Any = ml_bucket
    days = [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3)]
    variant = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    for config, since in (("a", days[0]), ("b", days[1]), ("b", days[2])):
        served.begin(s3, "my-ml-bucket", "pumps", served.span_of(MODEL, "production", config, variant, since))
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    served.begin(s3, "my-ml-bucket", "pumps", served.span_of(MODEL, "staging", "c", serverless, days[0]))
    for _ in range(2):
        served.end(s3, "my-ml-bucket", "pumps", "production", days[2])
    found = served.read_served(s3, "my-ml-bucket", "pumps")
    assert [(span["config"], span["began"][:10], (span["ended"] or "")[:10]) for span in found] == [
        ("a", "2026-11-01", "2026-11-02"),
        ("b", "2026-11-02", "2026-11-03"),
        ("c", "2026-11-01", ""),
    ]
    assert (found[2]["instances"], found[2]["memory_mb"]) == (0, 2048)


@pytest.mark.parametrize("approvers", [{}, {"7": "ada"}])
def test_the_environments_approvers_are_asked(monkeypatch: pytest.MonkeyPatch, approvers: dict[str, str]) -> None:
    environment = {**json.loads(EXAMPLE), "approvers": approvers}
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", json.dumps(environment))
    monkeypatch.setattr(HITLOperator, "execute", lambda self, context: None)
    asks = retire_tasks.RetirementOperator(task_id="ask", subject="?", options=["Retire", "Keep"])
    asks.execute({})  # type: ignore[typeddict-item]
    assert asks.assigned_users == ([{"id": "7", "name": "ada"}] if approvers else None)
