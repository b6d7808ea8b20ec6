"""The tasks that monitor a model's data, for late arrivals and drift, each named after its id."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime, timedelta
from typing import TypedDict, cast

from airflow.sdk import Context

from include.models.config import ModelConfig
from include.models.config.files import day_folder
from include.models.config.performance import Performance
from include.models.config.watching import METRICS_NAMESPACE
from include.monitor.drift import monitoring_of
from include.monitor.gathered import Of, place_of
from include.monitor.gathered import judged as judged_window
from include.monitor.links import links_of
from include.monitor.performance import METRICS
from include.monitor.traffic import callers_requests, refusals
from include.monitor.trend import trend_of
from include.monitor.verdict import (
    Judged,
    Told,
    VerdictJson,
    changed_on,
    days_to_look_back,
    may_train,
    page,
    to_tell,
    what_of,
)
from include.platform.clients import cloudwatch_client, s3_client, sagemaker_client
from include.platform.dag_settings import require_fields
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.notifications import notify
from include.platform.objects import parsed, read_json, read_versioned, write_if_unchanged, write_text
from include.platform.storage import (
    DRIFT,
    day_of,
    drift_of,
    drift_report_of,
    monitoring_prefix,
    scores_manifest,
    split_uri,
    told_of,
)
from include.platform.storage import performance_of as performance_uri
from include.registry.history import current, read_history
from include.registry.model_index import index_drift
from include.registry.retired import skip_if_retired
from include.score.plan import days_to_sweep, end_of, list_partitions
from include.score.tasks import day_of_run, planner_of
from sagemaker_jobs.links import file_page
from sagemaker_jobs.names import environment_name
from sagemaker_jobs.sensors import Partition

log = logging.getLogger(__name__)

SCORED_WITHIN = timedelta(hours=6)  # after the deadline for the day's raw data
ON_EVENT = "asset_triggered"  # the type of a run started by published scores
TAKEN_BY_CLOUDWATCH = timedelta(days=14)  # older values are refused
TRAFFIC = "traffic"  # group of the tasks that watch an endpoint


class LateRun(TypedDict):
    """A scoring run to start, as arguments of ``TriggerRunOperator``."""

    trigger_run_id: str
    conf: dict[str, str]


class TrainingConf(TypedDict):
    """The form of a run of ``train_<model>`` that monitoring starts."""

    started_by: str
    must_learn: str | None


class Found(VerdictJson):
    """What ``judge_day`` returns: the verdict, what it is of, the address of its report, and the id and the form of the
    run of ``train_<model>`` that it may start."""

    of: Of
    report: str
    training_run: str
    training: TrainingConf


def find_late_days(model: ModelConfig, context: Context) -> list[LateRun]:
    """A scoring run for each day whose raw data arrived late or changed. None in a backfill, many of whose runs would
    check the same days, and none in a run started by the publication of a day's scores.

    The run id holds the data's digest, so each state of a day's data is tried once.
    """
    skip_if_retired(model, context)
    if context["dag_run"].run_type == "backfill":
        log.info("a backfill does not look for late data")
        return []
    if context["dag_run"].run_type == ON_EVENT:
        log.info("this run is about the scores that have just been published; daily runs look for late data")
        return []
    days = days_to_sweep(model, day_of_run(context), datetime.now(UTC))
    log.info("looking at the raw data of %s to %s", days[0], days[-1])
    environment = ml_environment()
    s3 = s3_client(environment)
    partitions = list_partitions(s3, environment.bucket, model.name)
    late = planner_of(model, environment, s3, partitions).late_days(days)
    for day in late:
        log.info("%s: its raw data came or changed after it was scored", day)
    return [{"trigger_run_id": f"late__{day}__{digest}", "conf": {"day": day}} for day, digest in late.items()]


def wait_for_scores(model: ModelConfig, context: Context) -> Partition:
    require_fields(context)
    skip_if_retired(model, context)
    day = day_of_run(context)
    return {
        "what": f"the scores of {day}",
        "bucket": ml_environment().bucket,
        "keys": [scores_manifest(model.name, day)],
        "until": end_of(day) + timedelta(hours=model.daily_scoring.wait_hours) + SCORED_WITHIN,
        "advice": f"They are published by score_{model.name}: look at its run of {day}, then clear this task.",
    }


def judge_day(model: ModelConfig, context: Context, *, of: Of = "scores") -> Found:
    """Judges the window that ends with the run's day, stores the day's verdict with a report, and sends it to
    CloudWatch.

    Raises:
        DriftError, PermanentError: what is published of the day, or the version's profile, lacks what is needed.
    """
    environment, day = ml_environment(), day_of_run(context)
    client, bucket, place = s3_client(environment), environment.bucket, place_of(model, of)
    judged, manifest = judged_window(model, environment, client, day, of)
    found = judged.as_json()
    write_text(client, drift_of(bucket, place, day), json.dumps(found, indent=1))
    known, trend = judged.performance, None
    if place == model.name:  # the console shows one verdict of a day
        index = index_drift(client, bucket, model, [day])
        if known:
            trend = trend_of(index, day, known["metric"], known["evaluated"], METRICS[known["metric"]].ends)
    worth: Performance | None = (
        read_json(client, performance_uri(bucket, model.name, known["until"])) if known and known["until"] else None
    )
    page_uri, version = drift_report_of(bucket, place, day), judged.drift.version
    links = links_of(model, environment, context, day=day, version=version, manifest=manifest)
    write_text(client, page_uri, page(judged, trend, worth, links), "text/html")
    _send_metrics(environment, judged, apart=place != model.name)
    report = file_page(page_uri, sagemaker_client(environment))
    log.info("%s\n  report: %s", judged.summary, report)
    before = (read_json(client, drift_of(bucket, place, each)) for each in days_to_look_back(model, day))
    training: TrainingConf = {
        "started_by": f"monitor_{model.name}, {day}: {judged.verdict} of version {version} since {judged.since}",
        "must_learn": changed_on(version, before),
    }
    training_run = f"monitor__{day}__version_{version}"
    more = {"of": of, "report": report, "training_run": training_run, "training": training}
    return cast(Found, {**found, **more})


def check_verdict(model: ModelConfig, context: Context, *, found: Found) -> list[str]:
    """The tasks that follow a verdict: people are told what is new, and a training starts if model.yaml asks for it;
    neither in a backfill, nor for a version that is not in production. An endpoint's requests start no training of a
    model that is also scored daily."""
    group = f"{TRAFFIC}." if found["of"] == "traffic" else ""
    return [f"{group}{task}" for task in _following(model, context, found)]


def _following(model: ModelConfig, context: Context, found: Found) -> list[str]:
    reason = _reason_to_keep(model, context, found)
    if reason:
        log.info("%s: %s", found["verdict"], reason)
        return ["keep_model"]
    client, uri = s3_client(ml_environment()), _told_of(model, found)
    told: Told | None = read_json(client, uri)
    telling, follow, run_id = to_tell(told, found), list[str](), context["dag_run"].run_id
    if telling:
        log.info("people are told: it %s", telling)
        follow.append("report_verdict")
    changed = found["training"]["must_learn"]
    if place_of(model, found["of"]) != model.name:
        log.info("no training is started: daily scores decide on that")
    elif refused := may_train(monitoring_of(model), told, found, run_id, changed, _judged_later(model, found)):
        log.info("no training is started: %s", refused)
    else:
        _remember(model, found, trained_by=run_id)
        follow.append("retrain_model")
    return follow or ["keep_model"]


def report_verdict(model: ModelConfig, context: Context, *, found: Found) -> None:
    """Notifies people of a verdict, and records that; not if they know it already, as after clearing this task."""
    told: Told | None = read_json(s3_client(ml_environment()), _told_of(model, found))
    telling = to_tell(told, found)
    if telling is None:
        log.info("nothing is sent: on %s people were told this, or something newer", told["on"] if told else "no day")
        return
    about = f"{model.name}, endpoint" if found["of"] == "traffic" else model.name
    subjects = {
        "begins": f"{about}: {found['verdict']}",
        "changes": f"{about}: now {found['verdict']}",
        "reminder": f"{about}: still {found['verdict']}, since {found['since']}",
        "is over": f"{about}: {told['verdict'] if told else 'what was reported'} is over",
    }
    trained = told is not None and told["trained"] == found["date"]
    then = (
        f"train_{model.name} has been started (run {found['training_run']}). What it registers waits for approval."
        if trained
        else f"Start train_{model.name} in the Airflow UI if you want to train again now."
        if found["verdict"] in ("performance loss", "drift without harm")
        else ""
    )
    parts = [f"{found['summary']}.", found["advice"], f"Report: {found['report']}", then]
    notify(subjects[telling], "\n\n".join(part for part in parts if part))
    _remember(model, found)


def keep_model(model: ModelConfig, context: Context, *, found: Found) -> str:
    """Does nothing; returns the summary."""
    return found["summary"]


def _remember(model: ModelConfig, found: Found, *, trained_by: str | None = None) -> None:
    """Records what people were told, or which run started a training for the day."""
    client, uri, day = s3_client(ml_environment()), _told_of(model, found), found["date"]
    body, etag = read_versioned(client, uri)
    nothing: Told = {
        "verdict": "fine",
        "since": day,
        "on": day,
        "what": [],
        "version": found["model_version"],
        "trained": None,
        "trained_by": None,
    }
    told: Told = parsed(uri, body) if body else nothing
    now: Told = (
        {**told, "trained": day, "trained_by": trained_by}
        if trained_by
        else {
            **told,
            "verdict": found["verdict"],
            "since": found["since"],
            "on": day,
            "what": what_of(found),
            "version": found["model_version"],
        }
    )
    if not write_if_unchanged(client, uri, json.dumps(now, indent=1).encode(), etag):
        raise RuntimeError(f"{uri} was written by another run meanwhile; a retry reads it again")


def _told_of(model: ModelConfig, found: Found) -> str:
    return told_of(ml_environment().bucket, place_of(model, found["of"]))


def _judged_later(model: ModelConfig, found: Found) -> str | None:
    """The newest day after a verdict's that has one too; None if there is none."""
    place, client = place_of(model, found["of"]), s3_client(ml_environment())
    bucket, report = split_uri(drift_report_of(ml_environment().bucket, place, found["date"]))
    listed = client.list_objects_v2(Bucket=bucket, Prefix=monitoring_prefix(place) + day_folder(""), StartAfter=report)
    judged = [item["Key"] for item in listed.get("Contents", []) if item["Key"].endswith(f"/{DRIFT}")]
    return day_of(judged[-1]) if judged else None


def _reason_to_keep(model: ModelConfig, context: Context, found: Found) -> str | None:
    if context["dag_run"].run_type == "backfill":
        return "a backfill looks at past days; it has no consequences"
    age = datetime.now(UTC).date() - date.fromisoformat(found["date"])
    if context["dag_run"].run_type == ON_EVENT and age.days > model.daily_scoring.sweep_days + 1:
        return f"{found['date']} is a past day, scored only now; it has no consequences"
    environment = ml_environment()
    champion = current(read_history(s3_client(environment), environment.bucket, model.name))
    if champion is None or champion.version != found["model_version"]:
        return f"version {found['model_version']} is no longer in production"
    return None


def _send_metrics(environment: MlEnvironment, judged: Judged, *, apart: bool) -> None:
    """``apart``: of an endpoint, whose model's daily scores have the metrics of these names."""
    drift = judged.drift
    now = datetime.now(UTC)
    at = min(end_of(drift.day), now)  # CloudWatch also rejects times in the future
    if now - at > TAKEN_BY_CLOUDWATCH:
        log.info("no metrics are sent: CloudWatch does not accept data this old")
        return
    values: dict[str, float] = {
        "Rows": drift.rows,
        "DriftedFeatures": len(drift.drifted),
        "DataFaults": len(judged.faults),
    }
    if drift.features:
        values["LargestIndex"] = max(feature.psi for feature in drift.features)
    values |= {
        name: value
        for name, key in (("EstimatedPerformance", "estimated"), ("RealisedPerformance", "realised"))
        if judged.performance and (value := judged.performance[key]) is not None  # type: ignore[literal-required] # one of its keys
    }
    if judged.performance and judged.performance["scored"]:
        values["LabelledShare"] = judged.performance["labelled"] / judged.performance["scored"]
    if apart:
        values = {f"Traffic{name}": value for name, value in values.items()}
    if judged.traffic:
        refused, asked = refusals(judged.traffic)
        values |= {"TrafficRequests": callers_requests(judged.traffic), "TrafficRefused": refused / max(asked, 1)}
    dimensions = {"Environment": environment_name(), "Model": drift.model.name}
    cloudwatch_client(environment).put_metric_data(
        Namespace=METRICS_NAMESPACE,
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": text} for key, text in dimensions.items()],
                "Timestamp": at,
                "Value": value,
            }
            for name, value in values.items()
        ],
    )
