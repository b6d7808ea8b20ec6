"""Whether production endpoints answer as they did in their test: golden requests every few minutes, without a job."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypedDict

from airflow.sdk import Context
from botocore.exceptions import BotoCoreError, ClientError

from include.deploy.endpoint_checks import Report, Thresholds, columns_of, load_golden_requests, probe_endpoint
from include.deploy.serving_modes import mode_of
from include.models.config import ModelConfig
from include.models.config.watching import METRICS_NAMESPACE
from include.platform.clients import cloudwatch_client, runtime_client, s3_client, sagemaker_client
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.notifications import notify
from include.platform.objects import read_json, write_text
from include.platform.request_parts import endpoint_name
from include.platform.storage import golden_requests_of, probes_of
from include.registry.history import current, read_history
from include.registry.model_index import index_probe
from include.registry.versions import describe
from sagemaker_jobs.names import environment_name

if TYPE_CHECKING:
    from types_boto3_cloudwatch.type_defs import MetricDatumTypeDef

log = logging.getLogger(__name__)

KEPT = 1000  # newest probes
SOONER = timedelta(seconds=30)  # how much earlier than probe_minutes a run may come
REMIND_AFTER = timedelta(days=1)
State = Literal["answers", "wrong answers", "slow", "unreachable"]


class Probe(TypedDict):
    """One probe of an endpoint: its result, also in words, and the median latency of one row in milliseconds."""

    at: str
    version: int
    state: State
    says: str
    p50_ms: float | None


class Probes(TypedDict):
    """``probes.json``: the newest probes, in order, and the last notification with its time."""

    probes: list[Probe]
    told: State
    told_at: str


def probe_endpoints(models: Sequence[ModelConfig], context: Context) -> dict[str, State]:
    """Probes the production endpoint of each model that is due; returns the results by model."""
    environment, now = ml_environment(), datetime.now(UTC)
    found: dict[str, State] = {}
    for model in models:
        if (probe := _probe(model, environment, now)) is not None:
            log.info("%s: %s", model.name, probe["says"])
            found[model.name] = probe["state"]
    return found


def _probe(model: ModelConfig, environment: MlEnvironment, now: datetime) -> Probe | None:
    s3, uri = s3_client(environment), probes_of(environment.bucket, model.name)
    nothing: Probes = {"probes": [], "told": "answers", "told_at": now.isoformat()}
    known: Probes = read_json(s3, uri) or nothing
    last = datetime.fromisoformat(known["probes"][-1]["at"]) if known["probes"] else None
    every = timedelta(minutes=model.serving.probe_minutes)
    champion = current(read_history(s3, environment.bucket, model.name))
    if not every or champion is None or (last and now - last < every - SOONER):
        return None
    version = describe(sagemaker_client(environment), champion.model_package_arn)
    golden = load_golden_requests(s3, golden_requests_of(version.evaluation))
    name, allowed = endpoint_name(model, "production"), model.serving.latency
    usual_p50, usual_p99 = mode_of(model).usual_ms
    thresholds = Thresholds(allowed.p50_ms or usual_p50, allowed.p99_ms or usual_p99, requests=len(golden), clients=1)
    try:
        report = probe_endpoint(
            runtime_client(environment),
            sagemaker_client(environment),
            name,
            golden=golden,
            columns=columns_of(golden),
            thresholds=thresholds,
            quote=model.quotes_values,
        )
    except (BotoCoreError, ClientError) as error:
        report = None
        says = f"endpoint {name} cannot be reached: {error}"
    probe: Probe = {
        "at": now.isoformat(timespec="seconds"),
        "version": champion.version,
        "state": state_of(report),
        "says": report["summary"] if report else says,
        "p50_ms": report["p50_ms"] if report else None,
    }
    known["probes"] = [*known["probes"], probe][-KEPT:]
    _send(environment, model, probe, now)
    if telling := to_tell(known, now):
        notify(f"{model.name}: production endpoint {telling}", f"{probe['says']}\n\n{ADVICE[probe['state']]}")
        known |= {"told": probe["state"], "told_at": probe["at"]}
    write_text(s3, uri, json.dumps(known))
    index_probe(s3, environment.bucket, model, {"at": probe["at"], "state": probe["state"], "says": probe["says"]})
    return probe


ADVICE: dict[State, str] = {
    "answers": "Nothing has to be done.",
    "wrong answers": "Its answers differ from those of the production version in its test: roll back (Dag rollback).",
    "slow": "Look at its instances and its requests in CloudWatch; raise instance_count or autoscaling in model.yaml.",
    "unreachable": "Look at the endpoint's state and its log in CloudWatch; roll back, or promote the version again.",
}


def state_of(report: Report | None) -> State:
    """The state that a probe found; a report of None means that the endpoint could not be reached."""
    if report is None or (not report["golden_ok"] and report["p50_ms"] is None):
        return "unreachable"
    if not report["golden_ok"]:
        return "wrong answers"
    return "answers" if report["passed"] else "slow"


def to_tell(known: Probes, now: datetime) -> str | None:
    """What to tell people about the last probe; None if they know, or if it may be chance: except for wrong answers,
    two probes in a row must agree."""
    last, told = known["probes"][-1]["state"], known["told"]
    before = known["probes"][-2]["state"] if len(known["probes"]) > 1 else None
    if last == told:
        due = last != "answers" and now - datetime.fromisoformat(known["told_at"]) >= REMIND_AFTER
        return f"still: {last}" if due else None
    if last != "wrong answers" and last != before:
        return None
    return "answers again" if last == "answers" else last


def _send(environment: MlEnvironment, model: ModelConfig, probe: Probe, now: datetime) -> None:
    dimensions = [{"Name": "Environment", "Value": environment_name()}, {"Name": "Model", "Value": model.name}]
    values = {"ProbeFailed": float(probe["state"] != "answers")}
    if probe["p50_ms"] is not None:
        values["ProbeLatency"] = probe["p50_ms"]
    data: list[MetricDatumTypeDef] = [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": now, "Value": value}  # type: ignore[typeddict-item] # plain dictionaries
        for name, value in values.items()
    ]
    cloudwatch_client(environment).put_metric_data(Namespace=METRICS_NAMESPACE, MetricData=data)
