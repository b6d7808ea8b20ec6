"""What the tasks of a scoring run ask for."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.models.config import ModelConfig
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.raw_files import RawFile, list_raw_data
from include.platform.request_parts import Request, group_name
from include.platform.run_context import PINNED, Job, here, recorded, write
from include.platform.storage import DayRun, daily_partition, daily_prefix, scores_partition, split_uri
from include.registry import requests as registry
from include.registry.history import HistoryError
from include.score import requests as scoring
from include.score import sinks
from include.score.plan import (
    PlanError,
    Planner,
    day_inputs,
    days_between,
    days_due,
    end_of,
    list_partitions,
    list_partitions_of,
    scoring_of,
)
from include.score.publish import PublishError, publish
from sagemaker_jobs.sensors import Partition

log = logging.getLogger(__name__)


def day_of_run(context: Context) -> str:
    """The day to score: the one asked for, else the one with which the run's data interval begins."""
    if asked := context["params"]["day"]:
        return str(asked)
    start = context["dag_run"].data_interval_start
    if start is None:
        raise AirflowFailException("this run has no data interval: trigger it with a day, or with a logical date.")
    return start.astimezone(UTC).date().isoformat()


def partition(model: ModelConfig, context: Context) -> Partition:
    """What PartitionSensor waits for."""
    day, section = day_of_run(context), scoring_of(model)
    prefix = daily_partition(model.name, day)
    return {
        "what": f"the raw data of {day}",
        "bucket": ml_environment().bucket,
        "keys": [f"{prefix}{model.data.tables[name].file}*" for name in section.tables],
        "until": end_of(day) + timedelta(hours=section.wait_hours),
        "advice": "Put them there, plain or .gz; the daily sweep then scores the day, or clear this task. A day on "
        "which nothing happened is delivered too: files with a header alone.",
    }


def planner(
    model: ModelConfig, environment: MlEnvironment, s3: Any, partitions: Mapping[str, list[RawFile]]
) -> Planner:
    return Planner(
        model,
        s3=s3,
        sagemaker=SageMakerHook(region_name=environment.region).conn,
        bucket=environment.bucket,
        partitions=partitions,
        group=group_name(model),
        code_hash=environment.code_hash,
        image_uri=environment.image_uri,
    )


def plan(model: ModelConfig, context: Context) -> dict[str, Any] | None:
    """The plan of the run's day, recorded in the run's folder; None where its scores are published already.

    Raises:
        AirflowFailException: the day's data or a version is missing; or code that is gone was to be used.
    """
    environment, run = here(context)
    day, params = day_of_run(context), context["params"]
    s3 = S3Hook(region_name=environment.region).conn
    try:
        asked = planner(model, environment, s3, list_partitions_of(s3, environment.bucket, model, day))
        plan = asked.plan(day, str(params["model_version"]))
        published = asked.published(day)
    except (PlanError, HistoryError) as error:
        raise AirflowFailException(str(error)) from error
    log.info("%s: version %d (%s); %d raw files", day, plan.version.number, plan.version.reason, len(plan.inputs))
    if published is not None and plan.is_done(published) and not params["force"]:
        log.info(
            "%s is unchanged since run %s published it at %s: same raw data (ETags), code %s and model %s. Nothing to "
            "do; force scores it all the same.",
            *(day, published["run_id"], published["published_at"], plan.code_hash, plan.version.arn),
        )
        return None
    content = plan.as_json()
    folder = run.of_day(plan.digest)
    prefix = daily_prefix(model.name)
    names = [file["key"].removeprefix(prefix) for file in plan.inputs]
    write(s3, folder.day_inputs, json.dumps([{"prefix": f"s3://{environment.bucket}/{prefix}"}, *names]))
    write(s3, run.day_plan, json.dumps(content))
    return {name: content[name] for name in ("day", "digest", "version")}


def late_days(model: ModelConfig, context: Context) -> list[dict[str, Any]]:
    """A scoring run for each day whose raw data came late or changed: ``trigger_run_id`` and ``conf``.

    The run id holds the data's digest, so a day is tried once for each state of its data.
    """
    asked = context["params"]["days"]
    days = days_between(*sorted(asked)) if asked else days_due(model, datetime.now(UTC))
    log.info("looking at the raw data of %s to %s", days[0], days[-1])
    environment = ml_environment()
    s3 = S3Hook(region_name=environment.region).conn
    late = planner(model, environment, s3, list_partitions(s3, environment.bucket, model.name)).late_days(days)
    for day in late:
        log.info("%s: its raw data came or changed after it was scored", day)
    return [{"trigger_run_id": f"late__{day}__{digest}", "conf": {"day": day}} for day, digest in late.items()]


def begun(context: Context) -> tuple[MlEnvironment, DayRun, dict[str, Any]]:
    """The environment with the code and image that the run was planned with, the run's folder, the plan.

    Raises:
        AirflowFailException: there is no plan.
    """
    environment, run = here(context)
    plan = recorded(environment, run.day_plan, by="plan_day")
    return environment.model_copy(update={name: plan[name] for name in PINNED}), run.of_day(plan["digest"]), plan


def input_validation(model: ModelConfig, context: Context) -> Request:
    environment, run, plan = begun(context)
    return scoring.validate_input(model, environment, run, day=plan["day"])


def features(model: ModelConfig, context: Context, *, validated: Job) -> Request:
    environment, run, plan = begun(context)
    chunks, artifact = int(validated["result"]["facts"]["chunks"]), plan["version"]["artifact"]
    return scoring.build_features(model, environment, run, day=plan["day"], artifact=artifact, chunks=chunks)


def transform(model: ModelConfig, context: Context) -> Request:
    """Raises AirflowSkipException for a day without a row to score."""
    environment, run, plan = begun(context)
    shards = _shards(environment, run)
    if not shards:
        raise AirflowSkipException(f"{plan['day']} has no row to score: an empty partition will be published")
    return scoring.score(model, environment, run, shards=shards)


def hosted_model(model: ModelConfig, context: Context) -> Request:
    environment, _, plan = begun(context)
    version = plan["version"]
    return registry.hosted_model(model, environment, image=version["image"], artifact=version["artifact"])


def scores_validation(model: ModelConfig, context: Context) -> Request:
    environment, run, _ = begun(context)
    return scoring.validate_scores(model, environment, run, rows=_shards(environment, run) > 0)


def publication(model: ModelConfig, context: Context, jobs: Mapping[str, Job | None]) -> dict[str, Any]:
    """Publish the run's checked scores; the manifest without its lists.

    Args:
        jobs: what the run's jobs returned, by task; None for one that was skipped.

    Raises:
        AirflowFailException: the day's raw data changed since it was read, or a part is not as it was checked.
    """
    environment, run, plan = begun(context)
    s3 = S3Hook(region_name=environment.region).conn
    day = plan["day"]
    validated = jobs["validate_input"]
    tables = validated["result"]["tables"] if validated else {}
    facts = {
        "quarantined": {name: table["rejected"] for name, table in tables.items() if table["rejected"]},
        "jobs": [_cost(task, found) for task, found in jobs.items() if found],
    }
    try:
        _require_unchanged(s3, environment.bucket, model, plan)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = publish(s3, run, model.name, plan, facts, now)
    except (PlanError, PublishError) as error:
        raise AirflowFailException(str(error)) from error
    log.info("published %d rows of %s with version %s", manifest["rows"], day, manifest["model_version"])
    brief = ("date", "rows", "sha256", "model_package_arn", "model_version", "model_version_reason", "quarantined")
    return {name: manifest[name] for name in brief}


def kafka_check(model: ModelConfig, context: Context) -> Request:
    """Raises AirflowSkipException: the environment has no Kafka, so nothing is sent there."""
    environment, run, _ = begun(context)
    if environment.kafka is None:
        raise AirflowSkipException("ml_environment has no kafka: scores are published in S3 and sent nowhere else")
    return sinks.check_kafka(model, environment, run)


def sending(model: ModelConfig, context: Context) -> Request:
    """The day's partition as it is published now, whichever run did so."""
    environment, run, plan = begun(context)
    partition = f"s3://{environment.bucket}/{scores_partition(model.name, plan['day'])}"
    return sinks.send_scores(model, environment, run, scores=partition)


def _require_unchanged(s3: Any, bucket: str, model: ModelConfig, plan: Mapping[str, Any]) -> None:
    day = plan["day"]
    if day_inputs(model, day, list_partitions_of(s3, bucket, model, day)) != plan["inputs"]:
        raise PublishError(
            f"the raw data of {day} changed while it was being scored, so nothing was published. Clear "
            "plan_day, or leave it to the daily sweep."
        )


def _cost(task: str, job: Job) -> dict[str, Any]:
    return {"task": task} | {name: job.get(name) for name in ("instance_type", "instance_count", "billable_seconds")}


def _shards(environment: MlEnvironment, run: DayRun) -> int:
    """How many objects of rows there are to score."""
    bucket, prefix = split_uri(f"{run.day_features}/rows/")
    return len(list_raw_data(S3Hook(region_name=environment.region).conn, bucket, prefix))
