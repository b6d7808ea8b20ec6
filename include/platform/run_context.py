"""What every task knows when it runs: the environment's settings, and what its run began with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import Context
from botocore.exceptions import ClientError

from include.platform.clients import s3_client
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.errors import PermanentError
from include.platform.raw_files import RawFile
from include.platform.storage import Run, split_uri

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


ABSENT = ("NoSuchKey", "404")
OVERTAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


class DataManifest(TypedDict):
    """What a run of several jobs began with: code, image, and the raw data that it reads."""

    code_hash: str
    image_uri: str
    files: list[RawFile]


def current_run(context: Context) -> tuple[MlEnvironment, Run]:
    """The environment as it is now, and the run's folder."""
    environment = ml_environment()
    task_instance = context["ti"]
    return environment, Run(environment.bucket, task_instance.dag_id, task_instance.run_id)


def triggered_by(context: Context) -> str | None:
    """The user of Airflow who started the run; None where a schedule or an event did."""
    return getattr(context.get("dag_run"), "triggering_user_name", None)


def pinned_run(context: Context) -> tuple[MlEnvironment, Run, list[RawFile]]:
    """The environment with the code and image that the run began with, the run, and the raw data it reads.

    Raises:
        PermanentError: the first task did not record them.
    """
    environment, run = current_run(context)
    manifest: DataManifest = read_record(environment, run.data_manifest, by="prepare_data")
    return pin(environment, manifest["code_hash"], manifest["image_uri"]), run, manifest["files"]


def pin(environment: MlEnvironment, code_hash: str, image_uri: str) -> MlEnvironment:
    """The environment with code and image as they were at the run's start, whatever was deployed since."""
    commit = environment.git_commit if environment.code_hash == code_hash else None
    return environment.model_copy(update={"code_hash": code_hash, "image_uri": image_uri, "git_commit": commit})


def read_record(environment: MlEnvironment, uri: str, by: str) -> Any:
    """What an earlier task of the run has written down, as JSON.

    Args:
        by: the id of that task.

    Raises:
        PermanentError: it is gone.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    content = read_json(s3_client(environment), uri)
    if content is None:
        raise PermanentError(f"{uri}, which {by} writes, is gone. Clear {by}.")
    return content


def read_json(s3: S3Client, uri: str) -> Any:
    """The content of a JSON object; None where there is none (any more)."""
    bucket, key = split_uri(uri)
    try:
        return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] not in ABSENT:
            raise
        return None


def read_versioned(s3: S3Client, uri: str) -> tuple[bytes | None, str | None]:
    """An object's content and ETag, for ``write_if_unchanged``; None and None where there is no object."""
    bucket, key = split_uri(uri)
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ABSENT:
            raise
        return None, None
    return found["Body"].read(), found["ETag"]


def write_if_unchanged(
    s3: S3Client, uri: str, body: bytes, etag: str | None, content_type: str = "application/json"
) -> bool:
    """Write an object if nobody has since it was read; whether it was written.

    Args:
        etag: as ``read_versioned`` gave it; None where there was no object.

    Raises:
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    bucket, key = split_uri(uri)
    try:
        if etag:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, IfMatch=etag)
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*")
    except ClientError as error:
        if error.response["Error"]["Code"] not in OVERTAKEN:
            raise
        return False
    return True


def write_text(s3: S3Client, uri: str, content: str, content_type: str = "application/json") -> None:
    """Put a text where a run or others read it."""
    bucket, key = split_uri(uri)
    s3.put_object(Bucket=bucket, Key=key, Body=content.encode(), ContentType=content_type)
