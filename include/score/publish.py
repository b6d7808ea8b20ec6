"""Publishes a day's checked scores: all or none, exactly once.

What each kind of reader sees while a day is scored again:

- readers of ``_SUCCESS.json`` and the files that it names see either the old scores or the new ones, complete;
- so does Athena, whose table reads a list of files that is one object, replaced atomically;
- readers of the partition's folder see old and new files together for the moment between the replacement of the
  manifest and the removal of the old files: list the folder only to look around, read through the manifest.

**Two writers of one day**, one of which may be a backfill, do not harm each other. The manifest is written only if
unchanged since it was read, so one of them is first. The other finds its plan overtaken: if both would publish the
same, it publishes nothing; otherwise it is refused. Files are named by their content and the run that copied them, and
a publisher removes the files of the previous manifest: no writer ever removes what another one's manifest is about to
name. Beside the scores is a profile of the day's features and predictions, for drift monitoring.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from include.models.config import DayProfile
from include.models.config.files import PARTS
from include.models.config.results import Parts
from include.platform.errors import PermanentError
from include.platform.objects import read_json, read_versioned, write_if_unchanged
from include.platform.run_folders import Run
from include.platform.storage import scores_manifest, scores_partition, scores_symlink, split_uri
from include.score.plan import DayPlan
from include.score.published import (
    JobCost,
    PublishedError,
    ScoresFile,
    ScoresManifest,
    is_of_run,
    manifest_in,
    publication_of,
)

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

log = logging.getLogger(__name__)

ABANDONED_AFTER = timedelta(days=1)  # age of a copied file that no manifest names; copying a day takes minutes


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
    """Publishes the staged parts of a run as its day's scores.

    Args:
        staged: the folder of checked scores.
        quarantined: the number of rejected rows by table, for tables with any.
        jobs: the costs of the run's jobs.

    Returns:
            The manifest in S3; another run's, if that published the same scores since the day was planned.

    Raises:
        PublishError: a part has changed since it was checked, or another run published other scores since the
            day was planned.
        botocore.exceptions.ClientError: S3 refused.
    """
    bucket, uri = run.bucket, f"s3://{run.bucket}/{scores_manifest(model, plan.day)}"
    copied: list[ScoresFile] = []
    profile: str | None = None
    shown: str | None = None
    while True:
        before, etag = _current(s3, uri, model, plan.day)
        if before is not None and not is_of_run(before, run) and publication_of(before) != plan.replaces:
            _remove(s3, bucket, _keys(copied, profile, shown))
            _link(s3, bucket, model, plan.day)  # the publishing run may have been stopped before this step
            return _same_scores(before, plan)
        if not copied:
            copied, profile, shown = _copy(s3, run, model, plan.day, staged)
        kept = _keys(copied, profile, shown)
        manifest: ScoresManifest = {
            "model": model,
            "date": plan.day,
            "rows": sum(file["rows"] for file in copied),
            "sha256": hashlib.sha256("".join(file["sha256"] for file in copied).encode()).hexdigest(),
            "files": copied,
            "profile": profile,
            "shown": shown,
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
            "supersedes": _superseded(s3, bucket, model, plan.day, before, kept),
        }
        if write_if_unchanged(s3, uri, json.dumps(manifest, indent=1).encode(), etag):
            break
    _link(s3, bucket, model, plan.day)
    _remove(s3, bucket, manifest["supersedes"])
    return manifest


def _current(s3: S3Client, uri: str, model: str, day: str) -> tuple[ScoresManifest | None, str | None]:
    """The current manifest and its ETag; an unreadable one counts as none, and is overwritten."""
    content, etag = read_versioned(s3, uri)
    try:
        return manifest_in(content, uri, model, day), etag
    except PublishedError as error:
        log.warning("%s", error)
        return None, etag


def _same_scores(found: ScoresManifest, plan: DayPlan) -> ScoresManifest:
    """Another run's manifest, if its scores match the plan.

    Raises:
        PublishError: they do not.
    """
    by = f"run {found['run_id']} of {found['dag_id']} published the scores of {plan.day} at {found['published_at']}"
    if found["digest"] != plan.digest:
        raise PublishError(
            f"{by}, after this run was planned, and made them from other inputs ({plan.why_due(found)}). Nothing was "
            "overwritten. To score the day as it is now, clear plan_day, or trigger the backfill again."
        )
    log.info("%s: the same scores, so nothing was published again", by)
    return found


def _copy(s3: S3Client, run: Run, model: str, day: str, staged: str) -> tuple[list[ScoresFile], str | None, str | None]:
    """Copy the staged parts into the partition; the files, and the keys of how they are distributed and of the rows
    that the console shows."""
    partition, of_run = scores_partition(model, day), hashlib.sha256(run.folder.encode()).hexdigest()[:8]
    bucket, folder = split_uri(staged)
    parts: Parts | None = read_json(s3, f"{staged}/{PARTS}")
    if parts is None:
        raise PublishError(f"{staged}/{PARTS} is missing. Clear the task that staged the scores.")
    files: list[ScoresFile] = []
    for number, part in enumerate(parts["parts"]):
        key = f"{partition}part-{number:05}-{part['sha256'][:16]}-{of_run}.parquet"
        source = f"{folder}/{part['name']}"
        if s3.head_object(Bucket=bucket, Key=source)["ContentLength"] != part["bytes"]:
            raise PublishError(f"s3://{bucket}/{source} changed since it was checked. Clear the task that staged it.")
        s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": source})
        files.append({"key": key, "rows": part["rows"], "bytes": part["bytes"], "sha256": part["sha256"]})
    profile = _put_profile(s3, bucket, f"{partition}_profile-{{}}-{of_run}.json", parts.get("profile"))
    shown = parts.get("rows")
    if shown is None:
        return files, profile, None
    key = f"{partition}_rows-{shown['sha256'][:16]}-{of_run}.json.gz"
    s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": f"{folder}/{shown['name']}"})
    return files, profile, key


def _put_profile(s3: S3Client, bucket: str, key: str, profile: DayProfile | None) -> str | None:
    """The profile's key; None for scores checked by code without profiles."""
    if profile is None:
        return None
    body = json.dumps(profile).encode()
    key = key.format(hashlib.sha256(body).hexdigest()[:16])
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    return key


def _keys(files: Iterable[ScoresFile], *beside: str | None) -> list[str]:
    return [*(file["key"] for file in files), *(key for key in beside if key)]


def _superseded(
    s3: S3Client, bucket: str, model: str, day: str, before: ScoresManifest | None, kept: Iterable[str]
) -> list[str]:
    """What lies in the partition and may go: what the manifest before named, and what nobody came to name."""
    named = (
        {*_keys(before["files"], before.get("profile"), before.get("shown")), *before.get("supersedes", [])}
        if before
        else set()
    )
    oldest, own = datetime.now(UTC) - ABANDONED_AFTER, {*kept, scores_manifest(model, day)}
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=scores_partition(model, day))
    return [
        item["Key"]
        for page in pages
        for item in page.get("Contents", [])
        if item["Key"] not in own and (item["Key"] in named or item["LastModified"] < oldest)
    ]


def _link(s3: S3Client, bucket: str, model: str, day: str) -> None:
    """Writes Athena's list of files from the current manifest, also with concurrent writers."""
    manifest_uri, uri = (f"s3://{bucket}/{key(model, day)}" for key in (scores_manifest, scores_symlink))
    written = False
    while not written:
        # read before the manifest: a list from an older manifest never overwrites one from a newer
        _, etag = read_versioned(s3, uri)
        manifest, _ = _current(s3, manifest_uri, model, day)
        links = "".join(f"s3://{bucket}/{file['key']}\n" for file in manifest["files"]) if manifest else ""
        written = write_if_unchanged(s3, uri, links.encode(), etag, "text/plain")


def _remove(s3: S3Client, bucket: str, keys: list[str]) -> None:
    for start in range(0, len(keys), 1000):
        some: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in keys[start : start + 1000]]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": some, "Quiet": True})
