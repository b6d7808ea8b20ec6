"""The tasks that count what a production endpoint was asked in a day, each under its id."""

from __future__ import annotations

import json
import logging
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from include.deploy.traffic import VARIANT
from include.models.config import DayProfile, ModelConfig
from include.models.config.drift_profile import TrafficDay
from include.models.config.files import CAPTURED, SHADOW_VARIANT, VERSION
from include.monitor import requests
from include.monitor.label_tasks import ON_EVENT
from include.monitor.traffic import served_day
from include.platform.clients import cloudwatch_client, s3_client
from include.platform.objects import read_json, write_text
from include.platform.raw_files import copy_files, list_raw_data
from include.platform.request_parts import Request, endpoint_name
from include.platform.run_context import current_run, read_record
from include.platform.storage import captured, captured_day, challenger_folder, split_uri
from include.registry.history import in_production_at, read_history
from include.score.plan import end_of
from include.score.tasks import day_of_run

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

NOTHING: DayProfile = {"rows": 0, "features": {}, "predictions": {}}


def find_captures(model: ModelConfig, context: Context) -> int:
    """Write down which files of data capture have the day's requests, and which version answered; how many they are.

    Raises:
        AirflowSkipException: nothing was in production, or the run is about scores that were published.
    """
    environment, run = current_run(context)
    if context["dag_run"].run_type == ON_EVENT and model.scoring:
        raise AirflowSkipException("this run is about scores that were published; daily runs look at the endpoint")
    day, s3 = day_of_run(context), s3_client(environment)
    last = end_of(day) - timedelta(seconds=1)
    version = in_production_at(read_history(s3, environment.bucket, model.name), last)
    if version is None:
        raise AirflowSkipException(f"no version was in production at the end of {day}")
    endpoint = endpoint_name(model, "production")
    keys = _captures_of(s3, captured(environment.bucket, endpoint, VARIANT), day)
    beside = {one: _captures_of(s3, one, day) for one in _shadows(s3, captured(environment.bucket, endpoint, ""))}
    shadows = [one.rpartition(SHADOW_VARIANT)[2] for one, files in beside.items() if files]
    log.info("%s: %d files of captured requests, answered by version %d", day, len(keys), version.version)
    log.info("its shadows: %s", ", ".join(f"version {one}" for one in shadows) or "none")
    every = [*keys, *(key for files in beside.values() for key in files)]
    write_text(s3, run.traffic_inputs, json.dumps([{"prefix": f"s3://{environment.bucket}/"}, *every]))
    plan = {
        "day": day,
        "files": len(keys),
        "version": version.version,
        "arn": version.model_package_arn,
        "artifact": version.artifact,
        "since": version.since.isoformat(),
        "shadows": shadows,
    }
    write_text(s3, run.traffic_plan, json.dumps(plan))
    return len(keys)


def _captures_of(s3: S3Client, place: str, day: str) -> list[str]:
    """Keys of what may have been captured of a variant in a day; the job leaves out requests of other days."""
    its = date.fromisoformat(day)
    before, after = its - timedelta(days=1), its + timedelta(days=1)
    # a file lies where its first request belongs, and may be written late
    folders = [f"{place}/{before:%Y/%m/%d}/23/", f"{place}/{its:%Y/%m/%d}/", f"{place}/{after:%Y/%m/%d}/00/"]
    return [file["key"] for folder in folders for file in list_raw_data(s3, *split_uri(folder))]


def _shadows(s3: S3Client, endpoint: str) -> list[str]:
    """Folders of an endpoint's shadow variants, of any day.

    Args:
        endpoint: the folder of its captures, with a trailing slash.
    """
    bucket, prefix = split_uri(f"{endpoint}{SHADOW_VARIANT}")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
    found = [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])]
    return [f"s3://{bucket}/{one.rstrip('/')}" for one in found]


def count_captures(model: ModelConfig, context: Context) -> Request:
    """Raises AirflowSkipException: no request was kept."""
    environment, run = current_run(context)
    plan = read_record(environment, run.traffic_plan, by="find_captures")
    if not plan["files"]:
        raise AirflowSkipException(f"no request of {plan['day']} was kept")
    day, since, artifact = plan["day"], plan["since"], plan["artifact"]
    return requests.count_captures(model, environment, run, day=day, since=since, artifact=artifact)


def publish_captures(model: ModelConfig, context: Context) -> int:
    """Put what was counted where verdicts are read from, with what CloudWatch counted, and what shadows answered where
    the promotion packet reads it; how many requests were kept."""
    environment, run = current_run(context)
    s3, plan = s3_client(environment), read_record(environment, run.traffic_plan, by="find_captures")
    counted = read_json(s3, f"{run.counted_captures}/{CAPTURED}") if plan["files"] else None
    start = datetime.combine(date.fromisoformat(plan["day"]), datetime.min.time(), UTC)
    found: TrafficDay = {
        "model_version": plan["version"],
        "model_package_arn": plan["arn"],
        "captured": counted["captured"]
        if counted
        else {"requests": 0, "refused": {}, "before": 0, "unread": 0, "probes": 0},
        "served": served_day(
            cloudwatch_client(environment), endpoint_name(model, "production"), start, end_of(plan["day"])
        ),
        "profile": counted["profile"] if counted else NOTHING,
    }
    for version in plan.get("shadows", []) if counted else []:
        source = f"{run.counted_captures}/{VERSION}{version}/"
        copy_files(s3, source, challenger_folder(model.name, plan["day"], int(version)))
    write_text(s3, captured_day(environment.bucket, model.name, plan["day"]), json.dumps(found))
    return found["captured"]["requests"]
