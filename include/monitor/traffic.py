"""A day of a production endpoint: what it was asked, as far as that was kept, and what CloudWatch counted of all of it.
Judged for what only requests have; their features and answers are judged as those of a scored day. Pure, except that a
client asks CloudWatch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from statistics import fmean
from typing import TYPE_CHECKING

from include.deploy.traffic import VARIANT
from include.models.config.drift_profile import TrafficDay
from include.models.config.fault import Fault
from include.models.config.watching import CapturedDay, ServedDay

if TYPE_CHECKING:
    from types_boto3_cloudwatch.client import CloudWatchClient

    from include.monitor.verdict import VerdictJson

FEWEST = 20  # requests of a day that say something
FEWEST_DAYS = 7  # before one, to say what is usual
REFUSED = 0.02  # share of requests that callers may get wrong
REASONS = 3  # that are told
HOUR = 3600

STATISTICS = {
    "requests": ("Invocations", "Sum"),
    "refused": ("Invocation4XXErrors", "Sum"),
    "failed": ("Invocation5XXErrors", "Sum"),
    "p50": ("ModelLatency", "p50"),
    "p99": ("ModelLatency", "p99"),
}


def served_day(cloudwatch: CloudWatchClient, endpoint: str, start: datetime, end: datetime) -> ServedDay:
    """What CloudWatch counted of an endpoint; of latencies the largest of the hours'."""
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": VARIANT}]
    asked = [
        {
            "Id": key,
            "MetricStat": {
                "Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": dimensions},
                "Period": HOUR,
                "Stat": statistic,
            },
        }
        for key, (metric, statistic) in STATISTICS.items()
    ]
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=asked,  # type: ignore[arg-type] # its parts are typed one by one
        StartTime=start,
        EndTime=end,
    )
    values: dict[str, list[float]] = {key: [] for key in STATISTICS}
    for page in pages:
        for result in page["MetricDataResults"]:
            values[result["Id"]] += result["Values"]
    p50, p99 = (max(values[key]) / 1000 if values[key] else None for key in ("p50", "p99"))
    counts = {key: round(sum(values[key])) for key in ("requests", "refused", "failed")}
    return {
        "requests": counts["requests"],
        "refused": counts["refused"],
        "failed": counts["failed"],
        "p50_ms": p50,
        "p99_ms": p99,
    }


def faults_of_traffic(day: str, days: Mapping[str, TrafficDay], yesterday: VerdictJson | None = None) -> list[Fault]:
    """What is wrong with a day's requests, whatever is in them: there are none, or many were refused.

    Args:
        days: those that are known, the day's own among them, of any version.
        yesterday: its verdict: days that were faulty do not say what is usual.
    """
    faulty = yesterday if yesterday and yesterday["verdict"] == "data fault" else None
    since, lasting = (faulty["since"], {one["kind"] for one in faulty["faults"]}) if faulty else (day, set[str]())
    now, before = days[day]["captured"], [one for each, one in days.items() if each < since]
    found = []
    kept = [one["captured"]["requests"] for one in before]
    usual = fmean(kept) if len(kept) >= FEWEST_DAYS and all(kept) else 0.0
    if not now["requests"] and (usual >= FEWEST or "volume" in lasting):
        told = f", where {usual:,.0f} a day are usual" if usual else f" since {since}"
        found.append(Fault("endpoint", None, "volume", f"no request was kept{told}"))
    refused, asked = refusals(days[day])
    share = refused / asked if asked else 0.0
    most = max((many / of for many, of in map(refusals, before) if of >= FEWEST), default=0.0)
    if refused >= FEWEST and share > max(REFUSED, 2 * most):
        before_that = f"; on the days before at most {most:.1%}" if before else ""
        told = f"{refused:,} of {asked:,} requests were refused ({share:.1%}{before_that}){_reasons(now)}"
        found.append(Fault("endpoint", None, "refused", told))
    return found


def refusals(day: TrafficDay) -> tuple[int, int]:
    """How many requests were refused, of how many: of those that were kept, or, where the container could keep none
    that was refused, of all that CloudWatch counted."""
    captured, served = day["captured"], day["served"]
    kept = sum(captured["refused"].values())
    if not kept and served["refused"]:
        return served["refused"], max(served["requests"], served["refused"])
    return kept, captured["requests"]


def _reasons(captured: CapturedDay) -> str:
    most = sorted(captured["refused"].items(), key=lambda one: -one[1])[:REASONS]
    return "".join(f"; {many:,} with {reason}" for reason, many in most)
