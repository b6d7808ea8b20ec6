"""Provides what a run reads: the job code, the environment's settings, and one model's raw data."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3

from include.deploy import approval_events
from include.deploy.approval_events import event_pattern
from include.models.config import ModelConfig, load_model
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.arguments import check_data
from include.ops.local_stack.raw_data import raw_data, run_job, split_days
from include.ops.local_stack.settings import BUCKET, Settings
from include.platform.catalogue import usable_models
from include.platform.code_bundle import upload_code
from include.platform.environment import VARIABLE
from include.platform.raw_files import RawFile, list_raw_data, manifest_digest
from include.platform.request_parts import group_name
from include.platform.storage import daily_partition, daily_prefix, raw_prefix
from include.score import inbox_events
from include.score.plan import days_between, list_partitions

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ALL_DAYS = 100_000  # more than any data has
CUT_FROM = "cut-from"  # metadata of a partition's files: the digest of the raw tables that they were split from


class SeedError(RuntimeError):
    """There is no data to run on; the message says what is missing."""


def publish(settings: Settings) -> None:
    """What a deploy does on AWS: uploads the job code under its hash, sets the Airflow Variable that names it, and
    routes approvals and inbox files to Airflow."""
    s3 = s3_client(settings)
    s3.create_bucket(Bucket=BUCKET)
    facts = settings.ml_environment(code_hash=upload_code(s3, BUCKET, settings.code_root))
    AirflowApi(settings.airflow_url, settings.login).set_variable(VARIABLE, json.dumps(facts))
    for model in usable_models():
        group = group_name(model)
        _route(settings, approval_events.queue_name(settings.environment_name, group), event_pattern(group))
    # all objects send events, and the rule selects the inbox's
    s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}})
    _route(settings, inbox_events.queue_name(settings.environment_name), inbox_events.event_pattern(BUCKET))


def seed(settings: Settings, model: str, data: Path | None, say: Callable[[str], None]) -> None:
    """Uploads the raw tables from ``data``, a folder or a model's only file, or from the model's generator.

    Raises:
        ArgumentsError: ``data`` has none of the model's tables.
        RawDataError: the generator failed.
    """
    s3 = s3_client(settings)
    place = data or raw_data(settings.python("jobs"), settings.home, model, say)
    files = check_data(place, raw_files(load_model(model)))
    uploaded = _synchronise(s3, raw_prefix(model), files)
    say(f"raw data: {len(files)} files from {place} ({uploaded} uploaded, {len(files) - uploaded} already there)")


def raw_files(model: ModelConfig) -> list[str]:
    """The files of a model's raw tables, in the order of model.yaml."""
    return [table.file for table in model.data.tables.values()]


def _route(settings: Settings, name: str, pattern: Mapping[str, Any]) -> None:
    """Creates a queue and the rule that fills it, under the same name."""
    sqs, events = (aws_client(settings, service) for service in ("sqs", "events"))
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps(pattern), State="ENABLED")
    events.put_targets(Rule=name, Targets=[{"Id": "airflow", "Arn": arn}])


def seed_days(settings: Settings, model: str, first: str, last: str, say: Callable[[str], None]) -> None:
    """Splits the raw tables in the bucket into daily partitions, for the days that need one.

    Raises:
        SeedError: there are no raw tables.
        RawDataError: they cannot be split.
    """
    s3 = s3_client(settings)
    files = list_raw_data(s3, BUCKET, raw_prefix(model))
    if not files:
        raise SeedError(f"s3://{BUCKET}/{raw_prefix(model)} is empty: there are no days to score. Run make run first")
    needed = _needed(s3, model, days_between(first, last), manifest_digest(files))
    if not needed:
        return
    with tempfile.TemporaryDirectory(dir=settings.home) as folder:
        raw, days = Path(folder, "raw"), Path(folder, "days")
        _download(s3, files, raw)
        which = ("--first", needed[0], "--last", needed[-1])
        split_days(settings.python("jobs"), model, raw, days, *which)
        upload_days(settings, model, days, say)


def newest_days(settings: Settings, model: str, count: int) -> tuple[str, str] | None:
    """The first and the last of the newest ``count`` days of the raw tables in the bucket; None if there are none.

    Raises:
        RawDataError: the tables cannot be read.
    """
    s3 = s3_client(settings)
    files = list_raw_data(s3, BUCKET, raw_prefix(model))
    if not files:
        return None
    with tempfile.TemporaryDirectory(dir=settings.home) as folder:
        raw = Path(folder, "raw")
        _download(s3, files, raw)
        asked = ("--model", model, "--raw", str(raw), "--days", folder, "--newest", str(count), "--say")
        first, last = run_job(settings.python("jobs"), "include.jobs.split_days", *asked).split()[-2:]
    return first, last


def _download(s3: S3Client, files: list[RawFile], folder: Path) -> None:
    folder.mkdir()
    for file in files:
        s3.download_file(BUCKET, file["key"], str(folder / file["key"].rsplit("/", 1)[-1]))


def upload_days(settings: Settings, model: str, days: Path, say: Callable[[str], None]) -> None:
    """Uploads the needed partitions from a folder of ``date=<day>/``, split from the raw tables in the bucket."""
    s3 = s3_client(settings)
    digest = manifest_digest(list_raw_data(s3, BUCKET, raw_prefix(model)))
    folders = {folder.name.removeprefix("date="): folder for folder in sorted(days.iterdir())}
    needed = _needed(s3, model, list(folders), digest)
    for day in needed:
        for table in sorted(folders[day].iterdir()):
            key = daily_partition(model, day) + table.name
            s3.upload_file(str(table), BUCKET, key, ExtraArgs={"Metadata": {CUT_FROM: digest}})
    say(f"daily raw data: {len(needed)} partitions uploaded to s3://{BUCKET}/{daily_prefix(model)}")


def _needed(s3: S3Client, model: str, days: list[str], digest: str) -> list[str]:
    """The days that have no partition, or one that was split from other raw tables. Partitions from elsewhere are left
    alone."""

    def is_stale(files: list[RawFile]) -> bool:
        metadata: dict[str, str] = s3.head_object(Bucket=BUCKET, Key=files[0]["key"])["Metadata"]
        return metadata.get(CUT_FROM, digest) != digest

    there = list_partitions(s3, BUCKET, model)
    return [day for day in days if day not in there or is_stale(there[day])]


def s3_client(settings: Settings) -> S3Client:
    return cast("S3Client", aws_client(settings, "s3"))


def aws_client(settings: Settings, service: str) -> Any:
    """A boto3 client of the local SageMaker's."""
    variables = settings.aws_environment()
    return boto3.client(  # type: ignore[call-overload]  # of any service
        service,
        endpoint_url=settings.sagemaker_url,
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


def _synchronise(s3: S3Client, prefix: str, files: Mapping[str, Path]) -> int:
    """Makes the prefix contain exactly these files; returns the number of uploads. Unchanged ones keep their ETag."""
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    there = {item["Key"]: item["Size"] for item in listed}
    wanted = {prefix + name: file for name, file in files.items()}
    for key in there.keys() - wanted.keys():
        s3.delete_object(Bucket=BUCKET, Key=key)
    uploaded = 0
    for key, file in wanted.items():
        checksum = hashlib.sha256(file.read_bytes()).hexdigest()
        if key in there and s3.head_object(Bucket=BUCKET, Key=key)["Metadata"].get("sha256") == checksum:
            continue
        s3.upload_file(str(file), BUCKET, key, ExtraArgs={"Metadata": {"sha256": checksum}})
        uploaded += 1
    return uploaded
