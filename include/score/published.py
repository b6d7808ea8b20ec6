"""A day's published scores, as described by their manifest."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NotRequired, TypedDict

from pydantic import TypeAdapter, ValidationError

from include.platform.errors import PermanentError
from include.platform.objects import read_versioned
from include.platform.raw_files import RawFile, list_raw_data
from include.platform.run_folders import Run
from include.platform.storage import scores_manifest, scores_partition

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


class PublishedError(PermanentError):
    """The manifest of published scores cannot be read; the message says why and what to do."""


class ScoresFile(TypedDict):
    """A Parquet file of the partition."""

    key: str
    rows: int
    bytes: int
    sha256: str


class JobCost(TypedDict):
    """The cost of one of the run's jobs; None if it was not measured."""

    task: str
    instance_type: str | None
    instance_count: int | None
    billable_seconds: int | None


class ScoresManifest(TypedDict):
    """``_SUCCESS.json``. ``digest``, ``made_of`` and ``inputs`` are those of the plan; ``profile`` is the key of a
    ``DayProfile``, None or missing if the scores were checked by code without profiles; ``shown``: that of the rows
    that the console shows, None if values may not be shown; ``supersedes``: the keys of the previous scores, which are
    removed once these can be read."""

    model: str
    date: str
    rows: int
    sha256: str
    files: list[ScoresFile]
    profile: NotRequired[str | None]
    shown: NotRequired[str | None]
    model_package_arn: str
    model_version: int
    model_version_reason: str
    code_hash: str
    digest: str
    made_of: NotRequired[dict[str, str]]
    inputs: list[RawFile]
    published_at: str
    dag_id: str
    run_id: str
    quarantined: dict[str, int]
    jobs: list[JobCost]
    supersedes: NotRequired[list[str]]


def publication_of(manifest: ScoresManifest | None) -> str | None:
    """A unique identifier of a publication of a day; None if there is none."""
    return manifest and f"{manifest['dag_id']} {manifest['run_id']} {manifest['published_at']}"


def is_of_run(manifest: ScoresManifest | None, run: Run) -> bool:
    """Whether the run has published these scores."""
    return manifest is not None and (manifest["dag_id"], manifest["run_id"]) == (run.dag_id, run.run_id)


def read_published(s3: S3Client, bucket: str, model: str, day: str) -> ScoresManifest | None:
    """The manifest of a day's published scores; None if there are none.

    Raises:
        PublishedError: the object is not a manifest.
    """
    uri = f"s3://{bucket}/{scores_manifest(model, day)}"
    return manifest_in(read_versioned(s3, uri)[0], uri, model, day)


def manifest_in(content: bytes | None, uri: str, model: str, day: str) -> ScoresManifest | None:
    """The manifest that an object holds; raises as ``read_published``."""
    try:
        return None if content is None else _reader().validate_json(content)
    except ValueError as error:  # not JSON, not UTF-8, or not as publish_scores writes it
        raise PublishedError(
            f"{uri} is invalid ({_first_problem(error)}). publish_scores writes it: score the day again "
            f"(score_{model} with day {day}), or restore the object."
        ) from error


@cache
def _reader() -> TypeAdapter[ScoresManifest]:
    return TypeAdapter(ScoresManifest)


def _first_problem(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole object'}: {first['msg']}"


def lost_scores(s3: S3Client, bucket: str, manifest: ScoresManifest) -> list[str]:
    """Keys of files that the manifest names but that are missing."""
    there = {file["key"] for file in list_raw_data(s3, bucket, scores_partition(manifest["model"], manifest["date"]))}
    return [file["key"] for file in manifest["files"] if file["key"] not in there]
