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
from collections.abc import Mapping
from typing import Any

from include.platform.raw_files import list_raw_data
from include.platform.storage import DayRun, scores_manifest, scores_partition, scores_symlink, split_uri


class PublishError(RuntimeError):
    """The scores must not be published; the message says why."""


def publish(
    s3: Any, run: DayRun, model: str, plan: Mapping[str, Any], facts: Mapping[str, Any], published_at: str
) -> dict[str, Any]:
    """Publish the staged parts of a run as its day's scores.

    Args:
        s3: a boto3 S3 client.
        plan: ``DayPlan.as_json`` of the run.
        facts: added to the manifest.

    Returns:
        The manifest, as ``_SUCCESS.json`` has it.

    Raises:
        PublishError: a part is not what validate_scores wrote.
        botocore.exceptions.ClientError: S3 refused.
    """
    day, partition = plan["day"], scores_partition(model, plan["day"])
    bucket, staged = split_uri(run.staged_scores)
    parts = json.loads(s3.get_object(Bucket=bucket, Key=f"{staged}/parts.json")["Body"].read())
    files = []
    for number, part in enumerate(parts["parts"]):
        key = f"{partition}part-{number:05}-{part['sha256'][:16]}.parquet"
        copied = {"Bucket": bucket, "Key": f"{staged}/{part['name']}"}
        if s3.head_object(**copied)["ContentLength"] != part["bytes"]:
            raise PublishError(f"s3://{bucket}/{copied['Key']} is not as validate_scores wrote it. Clear that task.")
        s3.copy_object(Bucket=bucket, Key=key, CopySource=copied)
        files.append({"key": key, "rows": part["rows"], "bytes": part["bytes"], "sha256": part["sha256"]})
    profile = _put_profile(s3, bucket, partition, parts.get("profile"))
    version = plan["version"]
    manifest = {
        "model": model,
        "date": day,
        "rows": sum(file["rows"] for file in files),
        "sha256": hashlib.sha256("".join(file["sha256"] for file in files).encode()).hexdigest(),
        "files": files,
        "profile": profile,
        "model_package_arn": version["arn"],
        "model_version": version["number"],
        "model_version_reason": version["reason"],
        "code_hash": plan["code_hash"],
        "digest": plan["digest"],
        "inputs": plan["inputs"],
        "published_at": published_at,
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        **facts,
    }
    links = "".join(f"s3://{bucket}/{file['key']}\n" for file in files)
    s3.put_object(
        Bucket=bucket,
        Key=scores_manifest(model, day),
        Body=json.dumps(manifest, indent=1).encode(),
        ContentType="application/json",
    )
    s3.put_object(Bucket=bucket, Key=scores_symlink(model, day), Body=links.encode(), ContentType="text/plain")
    _remove_superseded(s3, bucket, partition, {scores_manifest(model, day), profile, *(file["key"] for file in files)})
    return manifest


def _put_profile(s3: Any, bucket: str, partition: str, profile: Mapping[str, Any] | None) -> str | None:
    """Its key; None of scores that were checked by code from before there were profiles."""
    if profile is None:
        return None
    body = json.dumps(profile).encode()
    key = f"{partition}_profile-{hashlib.sha256(body).hexdigest()[:16]}.json"
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    return key


def _remove_superseded(s3: Any, bucket: str, partition: str, current: set[str | None]) -> None:
    stale = [file["key"] for file in list_raw_data(s3, bucket, partition) if file["key"] not in current]
    for start in range(0, len(stale), 1000):
        some = [{"Key": key} for key in stale[start : start + 1000]]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})
