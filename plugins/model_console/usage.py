"""How much the endpoints that scale, or are paid by use, were used in a month, by CloudWatch's metrics of every hour.

``InvocationsPerInstance`` gets 1 / (number of instances) for each request, so an hour's requests divided by its sum is
the number of instances: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ScalingPolicyMetric.html. An hour
without requests has no such number, and counts with the fewest instances. Seconds of answering are ``ModelLatency``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from model_console.costs import Usage

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef, MetricTypeDef

HOUR = 3600
AT_ONCE = 40  # endpoints: three metrics of 744 hours each; an answer has at most 100,800 values
METRICS = ("Invocations", "InvocationsPerInstance", "ModelLatency")


def of_month(cloudwatch: CloudWatchClient, endpoints: Sequence[str], month: str) -> Usage:
    """Raises botocore.exceptions.ClientError: CloudWatch cannot be asked."""
    first = datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
    end = (first + timedelta(days=32)).replace(day=1)
    sums: dict[str, dict[str, dict[datetime, float]]] = {}
    for start in range(0, len(endpoints), AT_ONCE):
        some = endpoints[start : start + AT_ONCE]
        asked = {
            f"m{place}_{number}": (name, metric)
            for place, name in enumerate(some)
            for number, metric in enumerate(METRICS)
        }
        pages = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[_query(query, *wanted) for query, wanted in asked.items()], StartTime=first, EndTime=end
        )
        for result in (one for page in pages for one in page["MetricDataResults"]):
            name, metric = asked[result["Id"]]
            hours = (hour.astimezone(UTC) for hour in result["Timestamps"])
            sums.setdefault(name, {}).setdefault(metric, {}).update(zip(hours, result["Values"], strict=True))
    return Usage(
        instances={name: _instances(found) for name, found in sums.items()},
        seconds={
            name: {hour: micros / 1e6 for hour, micros in found.get("ModelLatency", {}).items()}
            for name, found in sums.items()
        },
    )


def _instances(found: dict[str, dict[datetime, float]]) -> dict[datetime, float]:
    shares = found.get("InvocationsPerInstance", {})
    return {hour: count / shares[hour] for hour, count in found.get("Invocations", {}).items() if shares.get(hour)}


def _query(query: str, endpoint: str, metric: str) -> MetricDataQueryTypeDef:
    measured: MetricTypeDef = {
        "Namespace": "AWS/SageMaker",
        "MetricName": metric,
        "Dimensions": [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}],
    }
    return {"Id": query, "MetricStat": {"Metric": measured, "Period": HOUR, "Stat": "Sum"}}
