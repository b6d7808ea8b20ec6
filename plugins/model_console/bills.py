"""What AWS bills for models in a month, by the tag ``model`` that all that they use has: asked of Cost Explorer, which
charges a cent for each question, so only when a person asks, and kept for hours."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

KEPT_FOR = 6 * 3600.0  # seconds; AWS brings its bill up to date about as often


@dataclass(frozen=True)
class Bill:
    """USD by model, and why it is not known."""

    usd: Mapping[str, float] = field(default_factory=dict)
    why_not: str = ""


_kept: dict[str, tuple[float, Bill]] = {}


def of_month(month: str) -> Bill:
    """The bill of a month (``2026-11``) as far as there is one."""
    if month in _kept and time.monotonic() - _kept[month][0] < KEPT_FOR:
        return _kept[month][1]
    begin = date.fromisoformat(f"{month}-01")
    end = (begin + timedelta(days=32)).replace(day=1)
    config = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2})
    try:
        answer = boto3.client("ce", region_name="us-east-1", config=config).get_cost_and_usage(
            TimePeriod={"Start": begin.isoformat(), "End": end.isoformat()},
            Granularity="MONTHLY",
            Metrics=["UnblendedCost"],
            GroupBy=[{"Type": "TAG", "Key": "model"}],
        )
    except (ClientError, BotoCoreError) as error:
        return Bill(why_not=str(error)[:300])
    bill = Bill(
        {
            group["Keys"][0].partition("$")[2]: float(group["Metrics"]["UnblendedCost"]["Amount"])
            for period in answer["ResultsByTime"]
            for group in period.get("Groups", [])
            if group["Keys"][0].partition("$")[2]
        }
    )
    _kept[month] = (time.monotonic(), bill)
    return bill
