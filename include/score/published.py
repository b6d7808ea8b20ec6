"""What a day's published scores are, as their manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypedDict

from include.platform.raw_files import RawFile, list_raw_data
from include.platform.run_context import read_json
from include.platform.storage import scores_manifest, scores_partition

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


class ScoresFile(TypedDict):
    """A Parquet file of the partition."""

    key: str
    rows: int
    bytes: int
    sha256: str


class JobCost(TypedDict):
    """What a job of the run took; None where it was not measured."""

    task: str
    instance_type: str | None
    instance_count: int | None
    billable_seconds: int | None


class ScoresManifest(TypedDict):
    """``_SUCCESS.json``. ``digest`` and ``inputs`` are those of the plan; ``profile`` is the key of a ``DayProfile``,
    None or missing where the scores were checked by code from before there were any."""

    model: str
    date: str
    rows: int
    sha256: str
    files: list[ScoresFile]
    profile: NotRequired[str | None]
    model_package_arn: str
    model_version: int
    model_version_reason: str
    code_hash: str
    digest: str
    inputs: list[RawFile]
    published_at: str
    dag_id: str
    run_id: str
    quarantined: dict[str, int]
    jobs: list[JobCost]


def read_published(s3: S3Client, bucket: str, model: str, day: str) -> ScoresManifest | None:
    """The manifest of a day's published scores; None where there are none."""
    found: ScoresManifest | None = read_json(s3, f"s3://{bucket}/{scores_manifest(model, day)}")
    return found


def lost_scores(s3: S3Client, bucket: str, manifest: ScoresManifest) -> list[str]:
    """Keys of files that the manifest names and that are not there."""
    there = {file["key"] for file in list_raw_data(s3, bucket, scores_partition(manifest["model"], manifest["date"]))}
    return [file["key"] for file in manifest["files"] if file["key"] not in there]
