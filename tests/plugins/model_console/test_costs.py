"""Endpoint costs by the hour, and AWS's bill for comparison."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from model_console import bills
from model_console.costs import Usage, by_model, by_use, endpoints, endpoints_of, roll_up
from model_console.usage import of_month
from tests.plugins.model_console.test_overview import index

NOW = datetime(2026, 11, 3, 10, tzinfo=UTC)
OCTOBER, NOON, TUESDAY = "2026-10-01T00:00:00+00:00", "2026-11-01T12:00:00+00:00", "2026-11-02T10:00:00+00:00"


def span(began: str, ended: str | None = None, **changes: Any) -> dict[str, Any]:
    """Two instances, in production for a moment."""
    stage = changes.get("stage", "production")
    size = {"instance_type": "ml.m5.large", "instances": 2, "most": 2, "memory_mb": 0}
    return {
        "stage": stage,
        "endpoint": f"pumps-{stage}",
        "config": "c",
        **size,
        **changes,
        "began": began,
        "ended": ended,
    }


def lines(
    *spans: dict[str, Any], month: str = "2026-11", usage: Usage | None = None
) -> dict[str, tuple[float, float | None]]:
    """Hours and USD by kind."""
    found = endpoints("pumps", index(served=list(spans)), month, "us-east-1", NOW, usage)
    return {line.kind: (line.hours, line.usd) for line in found}


def test_an_endpoint_costs_the_hours_that_it_ran_in_the_month_on_what_it_ran_then() -> None:
    larger = span(TUESDAY, instance_type="ml.m5.xlarge")
    served = (span(OCTOBER, NOON), larger)
    assert lines(*served) == {"endpoint": (2 * (12 + 24), pytest.approx(24 * 0.115 + 48 * 0.23))}
    assert lines(*served, month="2026-10")["endpoint"][0] == 2 * 31 * 24
    assert lines(*served, month="2026-09") == {}


def test_a_staging_endpoint_costs_until_it_is_deleted() -> None:
    tested = span(TUESDAY, "2026-11-02T11:30:00+00:00", stage="staging", instances=1, most=1)
    kept = span("2026-11-03T00:00:00+00:00", stage="staging", instances=1, most=1)
    assert lines(tested) == {"staging endpoint": (1.5, pytest.approx(1.5 * 0.115, abs=1e-4))}
    assert lines(tested, kept, span(TUESDAY)) == {
        "endpoint": (48, pytest.approx(48 * 0.115)),
        "staging endpoint": (11.5, pytest.approx(11.5 * 0.115, abs=2e-4)),
    }


def test_instances_that_autoscaling_added_cost_their_hours() -> None:
    scaled = span("2026-11-03T07:30:00+00:00", most=4)
    at = {hour: datetime(2026, 11, 3, hour, tzinfo=UTC) for hour in (7, 8, 9)}
    used = Usage({"pumps-production": {at[7]: 4.0, at[8]: 3.0, at[9]: 9.0}}, {})
    assert lines(scaled, usage=used)["endpoint"][0] == 0.5 * 4 + 3 + 4, "never more than the maximum"
    assert lines(scaled, usage=Usage({}, {}))["endpoint"][0] == 2.5 * 2, "an hour without requests counts the minimum"
    assert lines(scaled)["endpoint"][0] == 2.5 * 2


def test_what_is_paid_by_use_costs_the_seconds_that_it_answered() -> None:
    size = {"instance_type": None, "instances": 0, "most": 0, "memory_mb": 4096}
    shared = datetime(2026, 11, 2, 10, tzinfo=UTC)
    used = Usage({}, {"pumps-production": {shared: 1800.0, datetime(2026, 11, 3, 9, tzinfo=UTC): 5400.0}})
    before = span("2026-11-02T10:00:00+00:00", "2026-11-02T10:20:00+00:00", **size)
    after = span("2026-11-02T10:20:00+00:00", **size)
    assert lines(before, after, usage=used) == {"endpoint": (2.0, pytest.approx(7200 * 4 * 0.00002))}
    assert lines(after) == {"endpoint": (0.0, None)}, "there was no source to ask"


def test_an_index_from_before_there_were_any_has_none() -> None:
    assert endpoints("pumps", index(), "2026-11", "us-east-1", NOW) == []
    assert endpoints("pumps", None, "2026-11", "us-east-1", NOW) == []


def test_jobs_and_endpoint_add_up_and_an_unknown_price_leaves_the_sum_unknown() -> None:
    job = {"dag_id": "train_pumps", "kind": "training", "seconds": 3600, "usd": 0.5}
    served = {"pumps": index(served=[span(TUESDAY)]), "mills": index(served=[span(TUESDAY, instance_type="ml.new")])}
    found = roll_up({"pumps": {"a": job}}, endpoints_of(served, "2026-11", "us-east-1", NOW))
    assert by_model(found) == {"pumps": pytest.approx(0.5 + 48 * 0.115), "mills": None}


def test_only_what_scales_or_is_paid_by_use_is_measured() -> None:
    scaled, gone = span(TUESDAY, most=3), span(OCTOBER, "2026-10-02T00:00:00+00:00", most=3, stage="staging")
    assert by_use([index(served=[span(TUESDAY)]), index(served=[scaled, gone]), index()], "2026-11", NOW) == [
        "pumps-production"
    ]


class CloudWatch:
    """Two hours of an endpoint on three instances, the second without a request."""

    asked = 0

    def get_paginator(self, _: str) -> CloudWatch:
        return self

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        self.asked += 1
        values = {"Invocations": 300.0, "InvocationsPerInstance": 100.0, "ModelLatency": 6e6}
        hour = datetime(2026, 11, 2, 10, tzinfo=UTC)
        assert (asked["StartTime"], asked["EndTime"]) == (
            datetime(2026, 11, 1, tzinfo=UTC),
            datetime(2026, 12, 1, tzinfo=UTC),
        )
        return [
            {
                "MetricDataResults": [
                    {
                        "Id": query["Id"],
                        "Timestamps": [hour],
                        "Values": [values[query["MetricStat"]["Metric"]["MetricName"]]],
                    }
                    for query in asked["MetricDataQueries"]
                ]
            }
        ]


def test_instances_are_requests_by_requests_per_instance() -> None:
    watch = CloudWatch()
    found = of_month(watch, ["pumps-production"], "2026-11")  # type: ignore[arg-type]
    hour = datetime(2026, 11, 2, 10, tzinfo=UTC)
    assert found == Usage({"pumps-production": {hour: 3.0}}, {"pumps-production": {hour: 6.0}})
    assert of_month(watch, [], "2026-11") == Usage({}, {})  # type: ignore[arg-type]
    assert watch.asked == 1, "a query costs money: none for an empty list"


class CostExplorer:
    def __init__(self) -> None:
        self.asked, self.refused = 0, False

    def get_cost_and_usage(self, **asked: Any) -> dict[str, Any]:
        self.asked += 1
        if self.refused:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetCostAndUsage")
        assert asked["TimePeriod"] == {"Start": "2026-02-01", "End": "2026-03-01"}
        cost = {"UnblendedCost": {"Amount": "12.5", "Unit": "USD"}}
        groups = [{"Keys": [key], "Metrics": cost} for key in ("model$pumps", "model$")]
        return {"ResultsByTime": [{"Groups": groups}]}


def test_a_bill_is_asked_for_once_and_a_refusal_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    explorer = CostExplorer()
    monkeypatch.setattr(boto3, "client", lambda *_, **__: explorer)
    monkeypatch.setattr(bills, "_kept", {})
    explorer.refused = True
    assert "AccessDenied" in bills.of_month("2026-02").why_not
    explorer.refused = False
    assert bills.of_month("2026-02").usd == bills.of_month("2026-02").usd == {"pumps": 12.5}
    assert explorer.asked == 2
