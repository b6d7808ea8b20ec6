"""Endpoints by their hours, and what AWS bills beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from model_console import bills
from model_console.costs import by_model, endpoint, endpoints_of, roll_up
from tests.plugins.model_console.test_overview import index

NOW = datetime(2026, 11, 3, 10, tzinfo=UTC)
SERVING = {"instance_type": "ml.m5.large", "instances": 2}


def test_an_endpoint_costs_the_hours_that_versions_served_in_the_month() -> None:
    served = index(
        serving=SERVING,
        production=[
            {"version": 1, "from": "2026-10-01T00:00:00Z", "to": "2026-11-01T12:00:00Z"},
            {"version": 2, "from": "2026-11-02T10:00:00Z", "to": None},
        ],
    )
    line = endpoint("pumps", served, "2026-11", "us-east-1", NOW)
    assert line is not None
    assert (line.hours, line.usd) == (2 * (12 + 24), pytest.approx(72 * 0.115))
    october = endpoint("pumps", served, "2026-10", "us-east-1", NOW)
    assert october is not None
    assert october.hours == 2 * 31 * 24
    assert endpoint("pumps", served, "2026-09", "us-east-1", NOW) is None


def test_what_is_paid_by_use_or_never_served_costs_no_hours() -> None:
    assert endpoint("pumps", index(serving={**SERVING, "instances": 0}), "2026-11", "us-east-1", NOW) is None
    assert endpoint("pumps", index(), "2026-11", "us-east-1", NOW) is None  # an index from before there were any
    assert endpoint("pumps", None, "2026-11", "us-east-1", NOW) is None


def test_jobs_and_endpoint_add_up_and_an_unknown_price_leaves_the_sum_unknown() -> None:
    job = {"dag_id": "train_pumps", "kind": "training", "seconds": 3600, "usd": 0.5}
    served = {"pumps": index(serving=SERVING), "mills": index(serving={**SERVING, "instance_type": "ml.new"})}
    lines = roll_up({"pumps": {"a": job}}, endpoints_of(served, "2026-11", "us-east-1", NOW))
    assert by_model(lines) == {"pumps": pytest.approx(0.5 + 48 * 0.115), "mills": None}


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
