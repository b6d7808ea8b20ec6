"""What the tasks that watch a model for drift ask for."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from include.deploy.approval_events import environment_name
from include.deploy.tasks import s3, sagemaker
from include.models.config import ModelConfig
from include.monitor.drift import DRIFT_NAMESPACE, Drift, DriftError, measure, monitoring_of, page
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.notifications import notify
from include.platform.run_context import read_json, write
from include.platform.storage import drift_of, drift_profile_of, drift_report_of, scores_manifest
from include.registry.history import current, read_history
from include.registry.packages import package_of
from include.score.plan import days_between, end_of, read_published, scoring_of
from include.score.tasks import day_of_run
from sagemaker_jobs.links import file_page
from sagemaker_jobs.sensors import Partition

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient

log = logging.getLogger(__name__)

SCORED_WITHIN = timedelta(hours=6)  # of the moment until which the day's raw data is waited for
TAKEN_BY_CLOUDWATCH = timedelta(days=14)  # older values are refused


def scores(model: ModelConfig, context: Context) -> Partition:
    """What PartitionSensor waits for."""
    day = day_of_run(context)
    return {
        "what": f"the scores of {day}",
        "bucket": ml_environment().bucket,
        "keys": [scores_manifest(model.name, day)],
        "until": end_of(day) + timedelta(hours=scoring_of(model).wait_hours) + SCORED_WITHIN,
        "advice": f"They are published by score_{model.name}: look at its run of {day}, then clear this task.",
    }


def measured(model: ModelConfig, context: Context) -> dict[str, Any]:
    """The drift of the window that ends with the run's day: kept for the day, with a page for people, and sent to
    CloudWatch.

    Returns:
        ``Drift.as_json``, the page's address as ``report``, and ``training_run``, the id of the run of
        ``train_<model>`` that a drift from this version starts.

    Raises:
        AirflowFailException: the day's scores or the version's profile lack what is needed.
    """
    environment, day = ml_environment(), day_of_run(context)
    client = s3(environment)
    drift = _drift(model, environment, client, day)
    content = drift.as_json()
    write(client, drift_of(environment.bucket, model.name, day), json.dumps(content, indent=1))
    page_uri = drift_report_of(environment.bucket, model.name, day)
    write(client, page_uri, page(drift), "text/html")
    _send_metrics(environment, drift)
    report = file_page(page_uri, client)
    log.info("%s\n  report: %s", drift.summary, report)
    return {**content, "report": report, "training_run": f"drift__version_{drift.version}"}


def next_steps(model: ModelConfig, context: Context, found: Mapping[str, Any]) -> list[str]:
    """The tasks that follow a measurement. Only a drift that is new, from the version that is in production now, has
    people told and a training started; and none that a backfill finds."""
    reason = _reason_to_keep(model, context, found)
    if reason:
        log.info("%s: %s", found["verdict"], reason)
        return ["keep_model"]
    return ["report_drift", *(["retrain_model"] if monitoring_of(model).retrain else [])]


def told(model: ModelConfig, found: Mapping[str, Any]) -> None:
    """Tell people of a drift."""
    then = (
        f"train_{model.name} has been started (run {found['training_run']}, once for each version). What it registers "
        "waits for approval."
        if monitoring_of(model).retrain
        else f"Nothing is done about it by itself (monitoring.retrain of models/{model.name}/model.yaml). Start "
        f"train_{model.name} in the Airflow UI if the world has changed; look at the raw data if it has not."
    )
    notify(f"{model.name}: features have drifted", f"{found['summary']}.\n\nReport: {found['report']}\n\n{then}")


def _drift(model: ModelConfig, environment: MlEnvironment, client: Any, day: str) -> Drift:
    bucket, settings = environment.bucket, monitoring_of(model)
    first = (date.fromisoformat(day) - timedelta(days=settings.window_days - 1)).isoformat()
    found = {each: read_published(client, bucket, model.name, each) for each in days_between(first, day)}
    last = found[day]
    if last is None or not last.get("profile"):
        kept = "were made by code that kept no profile of them" if last else "are gone"
        raise AirflowFailException(
            f"the scores of {day} {kept}. Score the day again (score_{model.name} with day {day} and force), then "
            "clear this task."
        )
    version = last["model_version"]
    profiles = {
        each: _required(client, f"s3://{bucket}/{published['profile']}")
        for each, published in found.items()
        if published and published["model_version"] == version and published.get("profile")
    }
    package = package_of(sagemaker(environment).describe_model_package(ModelPackageName=last["model_package_arn"]))
    training = _required(client, drift_profile_of(package["statistics"]))
    try:
        return measure(model, version, training, day, profiles)
    except DriftError as error:
        raise AirflowFailException(str(error)) from error


def _required(client: Any, uri: str) -> Any:
    if (content := read_json(client, uri)) is None:
        raise AirflowFailException(f"{uri} is gone. Bring an earlier version of the object back, then clear this task.")
    return content


def _reason_to_keep(model: ModelConfig, context: Context, found: Mapping[str, Any]) -> str | None:
    if found["verdict"] != "drifted":
        return str(found["summary"])
    if context["dag_run"].run_type == "backfill":
        return "a backfill looks at days gone by; nothing follows from it"
    environment = ml_environment()
    client = s3(environment)
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
    cloudwatch = cast("CloudWatchClient", AwsBaseHook(client_type="cloudwatch", region_name=environment.region).conn)
    cloudwatch.put_metric_data(
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
