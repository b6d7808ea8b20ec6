"""A day of a production endpoint: what it was asked, as far as that was kept, and what CloudWatch counted of all of it.
Judged for what only requests have; their features and answers are judged as those of a scored day. Pure, except that a
client asks CloudWatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import fmean
from typing import TYPE_CHECKING

from include.deploy.traffic import VARIANT
from include.models.config.drift_profile import TrafficDay
from include.models.config.fault import Fault, FaultJson
from include.models.config.watching import CapturedDay, ServedDay

if TYPE_CHECKING:
    from types_boto3_cloudwatch.client import CloudWatchClient

    from include.monitor.verdict import VerdictJson

ENDPOINT = "endpoint"  # in the place of a raw table, for faults of its requests
FEWEST = 20  # requests of a day that say something
FEWEST_DAYS = 7  # before one, to say what is usual
REFUSED = 0.02  # share of requests that callers may get wrong
REFUSED_AT_FIRST = 0.1  # likewise while no day says what is usual
UNREAD = 0.2  # share of the kept requests that counting may not understand
LOOK_BACK = 14  # days, of which some may be missing or faulty
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


def faults_of_traffic(
    day: str, days: Mapping[str, TrafficDay], earlier: Mapping[str, VerdictJson] | None = None
) -> list[Fault]:
    """What is wrong with a day's requests, whatever is in them: there are none, many were refused, or what was kept
    cannot be read.

    Args:
        days: those that are known, the day's own among them, of any version.
        earlier: verdicts of the days before: faulty days do not say what is usual.
    """
    faults = {each: _faults_in(verdict) for each, verdict in sorted((earlier or {}).items()) if each < day}
    lasting = faults[max(faults)] if faults else {}
    sound = [each for each in sorted(days) if each < day and not faults.get(each)]
    before = [days[each] for each in sound[-FEWEST_DAYS:]]
    found = [
        _volume(days[day], before, lasting.get("volume")),
        _refused(days[day], before, lasting.get("refused")),
        _unread(days[day]),
    ]
    return [fault for fault in found if fault is not None]


def _faults_in(verdict: VerdictJson) -> dict[str, FaultJson]:
    """An endpoint's own faults in a verdict, by kind."""
    return {one["kind"]: one for one in verdict["faults"] if one["table"] == ENDPOINT}


def _volume(now: TrafficDay, before: Sequence[TrafficDay], lasting: FaultJson | None) -> Fault | None:
    if now["captured"]["requests"]:
        return None
    if lasting:
        return Fault(ENDPOINT, None, "volume", lasting["found"], usual=lasting.get("usual"))
    kept = [one["captured"]["requests"] for one in before]
    usual = fmean(kept) if len(kept) >= FEWEST_DAYS and all(kept) else 0.0
    if usual < FEWEST:
        return None
    return Fault(ENDPOINT, None, "volume", f"no request was kept, where {usual:,.0f} a day are usual", usual=usual)


def _refused(now: TrafficDay, before: Sequence[TrafficDay], lasting: FaultJson | None) -> Fault | None:
    refused, asked = refusals(now)
    usual = max((many / of for many, of in map(refusals, before) if of >= FEWEST), default=None)
    if lasting and "usual" in lasting:
        usual = lasting["usual"]
    most = REFUSED_AT_FIRST if usual is None else max(REFUSED, 2 * usual)
    if refused < FEWEST or refused <= most * asked:
        return None
    known = "" if usual is None else f"; on the days before at most {usual:.1%}"
    told = f"{refused:,} of {asked:,} requests were refused ({refused / asked:.1%}{known}){_reasons(now['captured'])}"
    return Fault(ENDPOINT, None, "refused", told, usual=usual)


def _unread(now: TrafficDay) -> Fault | None:
    unread, kept = now["captured"]["unread"], now["captured"]["requests"]
    if unread < FEWEST or unread <= UNREAD * kept:
        return None
    told = f"{unread:,} of {kept:,} requests that were kept cannot be read ({unread / kept:.1%})"
    return Fault(ENDPOINT, None, "unread", told)


def refusals(day: TrafficDay) -> tuple[int, int]:
    """How many requests were refused, of how many: of those that were kept, or, where the container could keep none
    that was refused, of the callers' requests that CloudWatch counted."""
    kept = sum(day["captured"]["refused"].values())
    if not kept and day["served"]["refused"]:
        return day["served"]["refused"], callers_requests(day)
    return kept, day["captured"]["requests"]


def callers_requests(day: TrafficDay) -> int:
    """How many of the requests that CloudWatch counted were callers', by the share of golden requests among those that
    were kept. Golden requests are not refused, so refused ones that were not kept are all callers'."""
    captured, served = day["captured"], day["served"]
    not_kept = 0 if captured["refused"] else served["refused"]
    others = max(0, served["requests"] - not_kept)
    kept = captured["requests"] + captured["probes"]
    return not_kept + (round(others * captured["requests"] / kept) if kept else others)


def _reasons(captured: CapturedDay) -> str:
    most = sorted(captured["refused"].items(), key=lambda one: -one[1])[:REASONS]
    return "".join(f"; {many:,} with {reason}" for reason, many in most)
