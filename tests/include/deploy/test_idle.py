"""Idle endpoints are reported once a week."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.deploy import idle
from include.models.config import load_model
from include.platform.environment import EXAMPLE
from include.registry.history import now

MODEL = load_model("electricity")
ASKED = {"electricity-production": [1.0, 2.0, 4.0], "electricity-staging": [1.0, 3.0]}


class Aws:
    """SageMaker with two endpoints, CloudWatch with their requests per five minutes, and S3."""

    def __init__(self, age: timedelta, serverless: tuple[str, ...] = ()) -> None:
        self.age, self.serverless, self.kept = age, serverless, dict[str, Any]()

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        if EndpointName not in ASKED:
            raise ClientError({"Error": {"Code": "ValidationException"}}, "DescribeEndpoint")
        kind = {"CurrentServerlessConfig": {}} if EndpointName in self.serverless else {}
        return {"LastModifiedTime": now() - self.age, "ProductionVariants": [kind]}

    def get_paginator(self, _: str) -> Aws:
        return self

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        name = asked["MetricDataQueries"][0]["MetricStat"]["Metric"]["Dimensions"][0]["Value"]
        return [{"MetricDataResults": [{"Values": ASKED[name]}]}]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
    sent: list[str] = []
    monkeypatch.setattr(idle, "notify", lambda subject, message: sent.append(f"{subject}\n{message}"))
    return sent


def look(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> list[str]:
    for name in ("s3_client", "sagemaker_client", "cloudwatch_client"):
        monkeypatch.setattr(idle, name, lambda _: aws)
    monkeypatch.setattr(idle, "read_json", lambda s3, uri: s3.kept.get(uri))
    monkeypatch.setattr(idle, "write_text", lambda s3, uri, text: s3.kept.update({uri: json.loads(text)}))
    return idle.name_idle_endpoints([MODEL], {})  # type: ignore[typeddict-item]


def test_what_had_only_probes_is_named_once_a_week(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    aws = Aws(age=timedelta(days=30))
    assert look(monkeypatch, aws) == ["electricity-staging"]
    assert "1 idle endpoint" in told[0]
    assert "electricity-staging" in told[0]
    assert look(monkeypatch, aws) == []
    (record,) = aws.kept.values()
    record["told_at"] = (now() - timedelta(days=8)).isoformat()
    assert look(monkeypatch, aws) == ["electricity-staging"]
    assert len(told) == 2


def test_what_is_new_or_costs_nothing_is_not(monkeypatch: pytest.MonkeyPatch, told: list[str]) -> None:
    assert look(monkeypatch, Aws(age=timedelta(days=2))) == []
    assert look(monkeypatch, Aws(age=timedelta(days=30), serverless=("electricity-staging",))) == []
    assert told == []
