"""A day's checked scores to where others read them: all of them or none.

What each kind of reader sees while a day is scored again:

- who reads ``_SUCCESS.json`` and the files that it names sees the scores of before or those of after, whole;
- so does Athena, whose table follows a list of files that is one object, replaced in one step;
- who reads the partition's folder sees old and new files together for the moment between the manifest's replacement
  and the removal of the files before: the folder is for looking, the manifest for reading.

Files are named by their content and never change. Publishing again what is there changes nothing. Beside the scores
lies how the day's features and predictions are distributed, for whoever watches for drift.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from include.models.config import DayProfile
from include.models.config.files import PARTS
from include.models.config.results import Parts
from include.platform.errors import PermanentError
from include.platform.raw_files import list_raw_data
from include.platform.run_context import read_json, write_text
from include.platform.storage import Run, scores_manifest, scores_partition, scores_symlink, split_uri
from include.score.plan import DayPlan
from include.score.published import JobCost, ScoresFile, ScoresManifest

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef


class PublishError(PermanentError):
    """The scores must not be published; the message says why."""


def publish(
    s3: S3Client,
    run: Run,
    model: str,
    plan: DayPlan,
    *,
    staged: str,
    quarantined: dict[str, int],
    jobs: list[JobCost],
    published_at: str,
) -> ScoresManifest:
    """Publish the staged parts of a run as its day's scores.

    Args:
        staged: the folder of checked scores.
        quarantined: how many rows of each table were set aside, where some were.
        jobs: what the run's jobs took.

    Returns:
        The manifest, as it lies in S3.

    Raises:
        PublishError: a part is not what the job that checked it wrote.
        botocore.exceptions.ClientError: S3 refused.
    """
    partition, manifest_key = scores_partition(model, plan.day), scores_manifest(model, plan.day)
    bucket, folder = split_uri(staged)
    parts: Parts | None = read_json(s3, f"{staged}/{PARTS}")
    if parts is None:
        raise PublishError(f"{staged}/{PARTS} is gone. Clear the task that staged the scores.")
    files: list[ScoresFile] = []
    for number, part in enumerate(parts["parts"]):
        key = f"{partition}part-{number:05}-{part['sha256'][:16]}.parquet"
        source = f"{folder}/{part['name']}"
        if s3.head_object(Bucket=bucket, Key=source)["ContentLength"] != part["bytes"]:
            raise PublishError(f"s3://{bucket}/{source} is not as it was checked. Clear the task that staged it.")
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": source})
        files.append({"key": key, "rows": part["rows"], "bytes": part["bytes"], "sha256": part["sha256"]})
    profile = _put_profile(s3, bucket, partition, parts.get("profile"))
    manifest: ScoresManifest = {
        "model": model,
        "date": plan.day,
        "rows": sum(file["rows"] for file in files),
        "sha256": hashlib.sha256("".join(file["sha256"] for file in files).encode()).hexdigest(),
        "files": files,
        "profile": profile,
        "model_package_arn": plan.version.model_package_arn,
        "model_version": plan.version.version,
        "model_version_reason": plan.reason,
        "code_hash": plan.code_hash,
        "digest": plan.digest,
        "made_of": plan.made_of,
        "inputs": plan.inputs,
        "published_at": published_at,
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "quarantined": quarantined,
        "jobs": jobs,
    }
    links = "".join(f"s3://{bucket}/{file['key']}\n" for file in files)
    write_text(s3, f"s3://{bucket}/{manifest_key}", json.dumps(manifest, indent=1))
    write_text(s3, f"s3://{bucket}/{scores_symlink(model, plan.day)}", links, "text/plain")
    _remove_superseded(s3, bucket, partition, {manifest_key, profile, *(file["key"] for file in files)})
    return manifest


def _put_profile(s3: S3Client, bucket: str, partition: str, profile: DayProfile | None) -> str | None:
    """Its key; None of scores that were checked by code from before there were profiles."""
    if profile is None:
        return None
    body = json.dumps(profile).encode()
    key = f"{partition}_profile-{hashlib.sha256(body).hexdigest()[:16]}.json"
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    return key


def _remove_superseded(s3: S3Client, bucket: str, partition: str, current: set[str | None]) -> None:
    stale = [file["key"] for file in list_raw_data(s3, bucket, partition) if file["key"] not in current]
    for start in range(0, len(stale), 1000):
        some: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in stale[start : start + 1000]]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})
