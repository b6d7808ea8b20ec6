"""An endpoint's page: what serves, how traffic was shared, its alarms, the last requests, and a form to send one."""

from __future__ import annotations

import time
from dataclasses import dataclass

from botocore.exceptions import ClientError
from werkzeug.wrappers import Request, Response

from include.local_sagemaker.core.service import Region, Service
from include.local_sagemaker.core.store import Json
from include.local_sagemaker.endpoints.live_endpoints import Endpoints
from include.local_sagemaker.endpoints.recent import Recent
from include.local_sagemaker.http.routing import route
from include.local_sagemaker.pages.kinds import KINDS
from include.local_sagemaker.pages.one_resource import facts, find
from include.local_sagemaker.pages.rendering import not_found, page

_FORMATS = ("application/json", "text/csv", "application/jsonlines")
_LARGEST_FORM = 7 * 2**20


@dataclass(frozen=True)
class Sent:
    """What the form sent, and the result."""

    body: str = ""
    format: str = _FORMATS[0]
    answer: str = ""
    seconds: float | None = None


@route("GET", "/_local/show/endpoints/(?P<name>[^/]+)")
@route("GET", "/_local/logs/endpoints/(?P<name>[^/]+)")
def show_endpoint(service: Service, request: Request, name: str) -> Response:
    return _page(service, request, name, Sent())


@route("POST", "/_local/show/endpoints/(?P<name>[^/]+)")
def send(service: Service, request: Request, name: str) -> Response:
    """Invoke the endpoint with the form's content, as a client would."""
    request.max_content_length = _LARGEST_FORM
    body, kind = request.form.get("body", ""), request.form.get("format", _FORMATS[0])
    region = service.region(request.args.get("region", "us-east-1"))
    began = time.perf_counter()
    try:
        found = region.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=name, Body=body.encode(), ContentType=kind, Accept="application/json"
        )
        answer = found["Body"].read().decode(errors="replace")
    except ClientError as error:
        answer = str(error)
    return _page(service, request, name, Sent(body, kind, answer, time.perf_counter() - began))


def _page(service: Service, request: Request, name: str, sent: Sent) -> Response:
    one = KINDS["endpoints"]
    found = find(service, one, name, request.args.get("region"))
    if found is None:
        return not_found(f"There is no endpoint named {name}.")
    region_name, document = found
    region = service.region(region_name)
    live = Endpoints.of(service).live(region_name, name)
    return page(
        "endpoint.html",
        **facts(region, one, document) | {"active": False},  # a page that reloads itself would empty the form
        recent=live.recent if live else Recent(),
        variants=_variants(document),
        alarms=_alarms(region, document),
        formats=_FORMATS,
        sent=sent,
    )


def _variants(document: Json) -> list[Json]:
    """What each variant serves: its weight, instances, and the artifact and image of its container."""
    live = document["_Live"]
    containers = live["containers"]
    return [
        {
            "name": summary["VariantName"],
            "config": live["config"]["EndpointConfigName"],
            "weight": summary["CurrentWeight"],
            "instances": summary.get("CurrentInstanceCount", 0) or "serverless",
            "image": containers[summary["VariantName"]][0]["Image"],
            "artifact": containers[summary["VariantName"]][0].get("ModelDataUrl", ""),
        }
        for summary in document.get("ProductionVariants", [])
    ]


def _alarms(region: Region, document: Json) -> list[Json]:
    """The alarms whose names begin with the endpoint's, and those that would roll its last deployment back."""
    rollback = (document.get("LastDeploymentConfig") or {}).get("AutoRollbackConfiguration", {}).get("Alarms", [])
    cloudwatch = region.client("cloudwatch")
    found = cloudwatch.describe_alarms(AlarmNamePrefix=f"{document['EndpointName']}-")["MetricAlarms"]
    if names := [one["AlarmName"] for one in rollback]:
        found += cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    alarms = {one["AlarmName"]: one for one in found}
    return [
        {"name": name, "state": alarm["StateValue"], "reason": alarm.get("StateReason", "")}
        for name, alarm in sorted(alarms.items())
    ]
