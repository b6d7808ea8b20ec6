"""Whether production endpoints answer as they did in their test: golden requests every few minutes, without a job."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Literal, TypedDict

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import BotoCoreError, ClientError

from include.deploy.endpoint_checks import (
    Report,
    Thresholds,
    columns_of,
    is_being_changed,
    load_golden_requests,
    probe_endpoint,
)
from include.deploy.serving_modes import mode_of
from include.deploy.traffic import longest_shift
from include.models.config import ModelConfig
from include.models.config.watching import METRICS_NAMESPACE
from include.platform.clients import cloudwatch_client, runtime_client, s3_client, sagemaker_client
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.errors import PermanentError
from include.platform.notifications import notify
from include.platform.objects import read_json, write_text
from include.platform.request_parts import endpoint_name
from include.platform.storage import golden_requests_of, probes_of
from include.registry.history import Entry, current, read_history
from include.registry.model_index import IndexConflictError, index_probe
from include.registry.versions import describe
from sagemaker_jobs.failures import is_transient
from sagemaker_jobs.names import environment_name

if TYPE_CHECKING:
    from types_boto3_cloudwatch.type_defs import MetricDatumTypeDef
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

KEPT = 1000  # newest probes
SOONER = timedelta(seconds=30)  # how much earlier than probe_minutes a run may come
REMIND_AFTER = timedelta(days=1)
RECORDED_WITHIN = timedelta(hours=2)  # after traffic has moved, a version is tested and recorded
State = Literal[
    "answers", "wrong answers", "slow", "fails requests", "unreachable", "being changed", "changed and not recorded"
]
WELL: tuple[State, ...] = ("answers", "being changed")
CHANGES: tuple[State, ...] = ("being changed", "changed and not recorded")
# what stops the probe of a model, and must not stop the next one's: a file that is missing or broken, AWS, a message
# that cannot be sent
BROKEN = (AirflowException, BotoCoreError, ClientError, IndexConflictError, LookupError, TypeError, ValueError)


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
    """Probes the production endpoint of each model that is due; returns the results by model.

    Raises:
        PermanentError, RuntimeError: some models could not be probed, with the reasons; the others were.
    """
    environment, now = ml_environment(), datetime.now(UTC)
    found: dict[str, State] = {}
    failed: dict[str, Exception] = {}
    for model in models:
        try:
            probe = _probe(model, environment, now)
        except BROKEN as error:
            log.exception("%s could not be probed", model.name)
            failed[model.name] = error
            continue
        if probe is not None:
            log.info("%s: %s", model.name, probe["says"])
            found[model.name] = probe["state"]
    if failed:
        reasons = "\n  ".join(f"{name}: {type(error).__name__}: {error}" for name, error in failed.items())
        told = (
            f"{len(failed)} of {len(models)} models could not be probed; the others were, if they were due. Until this "
            f"is repaired, nobody is told if these endpoints fail:\n  {reasons}"
        )
        raise (RuntimeError if any(map(_may_pass, failed.values())) else PermanentError)(told)
    return found


def _may_pass(error: Exception) -> bool:
    return isinstance(error, IndexConflictError) or is_transient(error)


def _probe(model: ModelConfig, environment: MlEnvironment, now: datetime) -> Probe | None:
    s3, uri = s3_client(environment), probes_of(environment.bucket, model.name)
    known = _known(s3, uri, now)
    last = datetime.fromisoformat(known["probes"][-1]["at"]) if known["probes"] else None
    every = timedelta(minutes=model.serving.probe_minutes)
    champion = current(read_history(s3, environment.bucket, model.name))
    if not every or champion is None or (last and now - last < every - SOONER):
        return None
    state, says, p50_ms = _ask(model, environment, champion)
    if state == "being changed" and (since := changing_since(known["probes"])):
        took = now - datetime.fromisoformat(since)
        if took >= longest_shift(model.serving.deployment) + RECORDED_WITHIN:
            state, says = "changed and not recorded", f"{says} It has been so since {since}."
    at = now.isoformat(timespec="seconds")
    probe: Probe = {"at": at, "version": champion.version, "state": state, "says": says, "p50_ms": p50_ms}
    known["probes"] = [*known["probes"], probe][-KEPT:]
    if telling := to_tell(known, now):
        notify(f"{model.name}: production endpoint {telling}", f"{says}\n\n{ADVICE[state]}")
        known |= {"told": state, "told_at": at}
    write_text(s3, uri, json.dumps(known))
    _send(environment, model, probe, now)
    index_probe(s3, environment.bucket, model, {"at": at, "state": state, "says": says})
    return probe


def _known(s3: S3Client, uri: str, now: datetime) -> Probes:
    """What is known of earlier probes; nothing if the file cannot be read, as an endpoint can be watched without."""
    nothing: Probes = {"probes": [], "told": "answers", "told_at": now.isoformat()}
    try:
        return read_json(s3, uri) or nothing
    except ValueError as error:
        log.warning("%s Until then, the list of probes starts empty.", error)
        return nothing


def _ask(model: ModelConfig, environment: MlEnvironment, champion: Entry) -> tuple[State, str, float | None]:
    """The state of the endpoint, also in words, and its median latency."""
    sagemaker = sagemaker_client(environment)
    version = describe(sagemaker, champion.model_package_arn)
    golden = load_golden_requests(s3_client(environment), golden_requests_of(version.evaluation))
    name, allowed = endpoint_name(model, "production"), model.serving.latency
    usual_p50, usual_p99 = mode_of(model).usual_ms
    thresholds = Thresholds(allowed.p50_ms or usual_p50, allowed.p99_ms or usual_p99, requests=len(golden), clients=1)
    try:
        # beforehand: what begins to change only now still answers as the champion
        changing = is_being_changed(sagemaker, name, champion.endpoint_config)
        report = probe_endpoint(
            runtime_client(environment),
            sagemaker,
            name,
            golden=golden,
            columns=columns_of(golden),
            thresholds=thresholds,
            quote=model.quotes_values,
        )
    except (BotoCoreError, ClientError) as error:
        return state_of(None), f"endpoint {name} cannot be reached: {error}", None
    state, says = state_of(report, changing=changing), report["summary"]
    if state == "being changed":
        says = f"endpoint {name} is on its way from version {champion.version} to another configuration. {says}"
    return state, says, report["p50_ms"]


ADVICE: dict[State, str] = {
    "answers": "Nothing has to be done.",
    "wrong answers": "Its answers differ from those of the production version in its test: roll back (Dag rollback).",
    "slow": "Look at its instances and its requests in CloudWatch; raise instance_count or autoscaling in model.yaml.",
    "fails requests": "Some requests are throttled, or end with a 5xx: look at its log and its metrics in CloudWatch; "
    "raise instance_count, autoscaling or serverless.max_concurrency in model.yaml.",
    "unreachable": "Look at the endpoint's state and its log in CloudWatch; roll back, or promote the version again.",
    "being changed": "Nothing has to be done: a deployment or a rollback is under way.",
    "changed and not recorded": "Look at the last run of the model's Dag deploy_, or of rollback: it has put another "
    "version behind the endpoint and has not recorded it as production's. Clear its failed task, or roll back.",
}


def state_of(report: Report | None, *, changing: bool = False) -> State:
    """The state that a probe found.

    Args:
        report: None if the endpoint could not be reached.
        changing: another version than production's may have answered, with answers and a latency of its own.
    """
    if report is None or (report["p50_ms"] is None and not report["golden_ok"] and not report["wrong"]):
        return "unreachable"
    if changing and not report["passed"]:
        return "being changed"
    if report["wrong"]:
        return "wrong answers"
    if report["unanswered"]:
        return "fails requests"
    return "answers" if report["passed"] else "slow"


def changing_since(probes: Sequence[Probe]) -> str | None:
    """When the first of the last probes found what it is now: an endpoint that is changed."""
    lasting = list(takewhile(lambda probe: probe["state"] in CHANGES, reversed(probes)))
    return lasting[-1]["at"] if lasting else None


def to_tell(known: Probes, now: datetime) -> str | None:
    """What to tell people about the last probe; None if they know, or need not know, or if it may be chance: except for
    wrong answers, two probes in a row must agree."""
    last, told = known["probes"][-1]["state"], known["told"]
    before = known["probes"][-2]["state"] if len(known["probes"]) > 1 else None
    if last == "being changed":
        return None
    if last == told:
        due = last != "answers" and now - datetime.fromisoformat(known["told_at"]) >= REMIND_AFTER
        return f"still: {last}" if due else None
    if last != "wrong answers" and last != before:
        return None
    return "answers again" if last == "answers" else last


def _send(environment: MlEnvironment, model: ModelConfig, probe: Probe, now: datetime) -> None:
    dimensions = [{"Name": "Environment", "Value": environment_name()}, {"Name": "Model", "Value": model.name}]
    values = {"ProbeFailed": float(probe["state"] not in WELL)}
    if probe["p50_ms"] is not None:
        values["ProbeLatency"] = probe["p50_ms"]
    data: list[MetricDatumTypeDef] = [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": now, "Value": value}  # type: ignore[typeddict-item] # plain dictionaries
        for name, value in values.items()
    ]
    cloudwatch_client(environment).put_metric_data(Namespace=METRICS_NAMESPACE, MetricData=data)
