"""The tasks that watch a model's data, for what comes late and for drift, each under its id."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, cast

from airflow.sdk import Context

from include.models.config import ModelConfig
from include.monitor.drift import DRIFT_NAMESPACE, Drift, Measured, measure, monitoring_of, page
from include.platform.clients import cloudwatch_client, s3_client, sagemaker_client
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.errors import PermanentError
from include.platform.notifications import notify
from include.platform.run_context import read_json, write_text
from include.platform.storage import drift_of, drift_profile_of, drift_report_of, scores_manifest
from include.registry.history import current, read_history
from include.registry.model_index import index_drift
from include.registry.versions import describe
from include.score.plan import days_between, days_to_sweep, end_of, list_partitions
from include.score.published import read_published
from include.score.tasks import day_of_run, planner_of
from sagemaker_jobs.links import file_page
from sagemaker_jobs.names import environment_name
from sagemaker_jobs.sensors import Partition

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

SCORED_WITHIN = timedelta(hours=6)  # of the moment until which the day's raw data is waited for
BACKFILL = "backfill__"  # how the ids of such runs begin
ON_EVENT = "asset_triggered"  # the type of a run that published scores start
TAKEN_BY_CLOUDWATCH = timedelta(days=14)  # older values are refused


class LateRun(TypedDict):
    """A scoring run to start, as arguments of ``TriggerRunOperator``."""

    trigger_run_id: str
    conf: dict[str, str]


class Found(Measured):
    """What ``measure_drift`` hands on: with the address of the page for people, the id of the run of ``train_<model>``
    that a drift from this version starts, the run that measured, the digest of the day's scores, and the run that found
    the same of the same scores before."""

    report: str
    training_run: str
    measured_by: str
    scores: str
    known_from: str | None


def find_late_days(model: ModelConfig, context: Context) -> list[LateRun]:
    """A scoring run for each day whose raw data came late or changed. None in a backfill, of which many runs would look
    at the same days, and none in a run that the publication of a day's scores started.

    The run id holds the data's digest, so a day is tried once for each state of its data.
    """
    if context["dag_run"].run_type == "backfill":
        log.info("a backfill looks for no late data")
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
    day = day_of_run(context)
    return {
        "what": f"the scores of {day}",
        "bucket": ml_environment().bucket,
        "keys": [scores_manifest(model.name, day)],
        "until": end_of(day) + timedelta(hours=model.daily_scoring.wait_hours) + SCORED_WITHIN,
        "advice": f"They are published by score_{model.name}: look at its run of {day}, then clear this task.",
    }


def measure_drift(model: ModelConfig, context: Context) -> Found:
    """Measure the drift of the window that ends with the run's day, keep it for the day, with a page for people, and
    send it to CloudWatch.

    Raises:
        DriftError, PermanentError: the day's scores or the version's profile lack what is needed.
    """
    environment, day = ml_environment(), day_of_run(context)
    client = s3_client(environment)
    drift, scores = _drift(model, environment, client, day)
    drift_uri = drift_of(environment.bucket, model.name, day)
    before = read_json(client, drift_uri) or {}
    content = drift.as_json() | {"measured_by": context["dag_run"].run_id, "scores": scores}
    same = all(before.get(name) == content[name] for name in ("scores", "model_version", "verdict"))
    followed = (
        same and before["measured_by"] != content["measured_by"] and not before["measured_by"].startswith(BACKFILL)
    )
    known_from = before["measured_by"] if followed else None
    write_text(client, drift_uri, json.dumps(content, indent=1))
    page_uri = drift_report_of(environment.bucket, model.name, day)
    write_text(client, page_uri, page(drift), "text/html")
    index_drift(client, environment.bucket, model, [day])
    _send_metrics(environment, drift)
    report = file_page(page_uri, sagemaker_client(environment))
    log.info("%s\n  report: %s", drift.summary, report)
    training_run = f"drift__version_{drift.version}"
    return cast(Found, {**content, "report": report, "training_run": training_run, "known_from": known_from})


def check_drift(model: ModelConfig, context: Context, *, found: Found) -> list[str]:
    """The tasks that follow a measurement. Only a drift that is new, from the version that is in production now, has
    people told and a training started; and none that a backfill finds."""
    reason = _reason_to_keep(model, context, found)
    if reason:
        log.info("%s: %s", found["verdict"], reason)
        return ["keep_model"]
    return ["report_drift", *(["retrain_model"] if monitoring_of(model).retrain else [])]


def report_drift(model: ModelConfig, context: Context, *, found: Found) -> None:
    """Tell people of a drift."""
    then = (
        f"train_{model.name} has been started (run {found['training_run']}, once for each version). What it registers "
        "waits for approval."
        if monitoring_of(model).retrain
        else f"Nothing is done about it by itself (monitoring.retrain of models/{model.name}/model.yaml). Start "
        f"train_{model.name} in the Airflow UI if the world has changed; look at the raw data if it has not."
    )
    notify(
        f"{model.name}: features have drifted",
        f"{found['summary']}.\n\nReport: {found['report']}\n\n{then}",
        group=f"{model.name} drift",
    )


def keep_model(model: ModelConfig, context: Context, *, found: Found) -> str:
    """Nothing is done; the summary is the task's result."""
    return found["summary"]


def _drift(model: ModelConfig, environment: MlEnvironment, client: S3Client, day: str) -> tuple[Drift, str]:
    """The drift of the window that ends with the day, and the digest of the day's scores."""
    bucket, settings = environment.bucket, monitoring_of(model)
    first = (date.fromisoformat(day) - timedelta(days=settings.window_days - 1)).isoformat()
    found = {each: read_published(client, bucket, model.name, each) for each in days_between(first, day)}
    last = found[day]
    if last is None or not last.get("profile"):
        kept = "were made by code that kept no profile of them" if last else "are gone"
        raise PermanentError(
            f"the scores of {day} {kept}. Score the day again (score_{model.name} with day {day} and force), then "
            "clear this task."
        )
    version = last["model_version"]
    profiles = {
        each: _require_json(client, f"s3://{bucket}/{published['profile']}")
        for each, published in found.items()
        if published and published["model_version"] == version and published.get("profile")
    }
    scored_with = describe(sagemaker_client(environment), last["model_package_arn"])
    training = _require_json(client, drift_profile_of(scored_with.evaluation))
    return measure(model, version, training, day, profiles), last["sha256"]


def _require_json(client: S3Client, uri: str) -> Any:
    if (content := read_json(client, uri)) is None:
        raise PermanentError(f"{uri} is gone. Bring an earlier version of the object back, then clear this task.")
    return content


def _reason_to_keep(model: ModelConfig, context: Context, found: Found) -> str | None:
    if found["verdict"] != "drifted":
        return found["summary"]
    if context["dag_run"].run_type == "backfill":
        return "a backfill looks at days gone by; nothing follows from it"
    if found["known_from"]:
        return f"run {found['known_from']} found the same of the same scores, and did what follows"
    age = datetime.now(UTC).date() - date.fromisoformat(found["date"])
    if context["dag_run"].run_type == ON_EVENT and age.days > model.daily_scoring.sweep_days + 1:
        return f"{found['date']} is a day gone by, scored only now; nothing follows from it"
    environment = ml_environment()
    client = s3_client(environment)
    champion = current(read_history(client, environment.bucket, model.name))
    if champion is None or champion.version != found["model_version"]:
        return f"version {found['model_version']} is not in production any more"
    day_before = (date.fromisoformat(found["date"]) - timedelta(days=1)).isoformat()
    before = read_json(client, drift_of(environment.bucket, model.name, day_before))
    if before and (before["model_version"], before["verdict"]) == (found["model_version"], "drifted"):
        return f"known since {day_before} or earlier, when people were told"
    return None


def _send_metrics(environment: MlEnvironment, drift: Drift) -> None:
    now = datetime.now(UTC)
    at = min(end_of(drift.day), now)  # CloudWatch refuses what is to come, too
    if now - at > TAKEN_BY_CLOUDWATCH:
        log.info("no metrics are sent: CloudWatch takes none of days so long past")
        return
    values: dict[str, float] = {"Rows": drift.rows, "DriftedFeatures": len(drift.drifted)}
    if drift.features:
        values["LargestIndex"] = drift.features[0].psi
    dimensions = {"Environment": environment_name(), "Model": drift.model.name}
    cloudwatch_client(environment).put_metric_data(
        Namespace=DRIFT_NAMESPACE,
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
