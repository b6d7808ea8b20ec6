"""What the console shows of a model, in one object: ``index/<model>.json``.

It is derived data. Tasks that change something read their part again from its source (the production history, the Model
Registry, manifests of scores, drift) and write it here, so that a page of a hundred models costs a hundred reads and no
listing. If it is lost or in doubt, ``python -m include.ops.rebuild_index`` rebuilds it from these sources.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

from botocore.exceptions import ClientError

from include.models.config import ModelConfig
from include.models.config.estimating import watched_metric
from include.models.config.judging import Verdict
from include.models.config.performance import Performance, sample_that_counts
from include.platform.clients import error_code
from include.platform.objects import parsed, read_json, read_versioned, write_if_unchanged
from include.platform.request_parts import endpoint_name, group_name
from include.platform.storage import drift_of, model_index, performance_of, scores_manifest
from include.registry.history import read_history
from include.registry.served import Span, read_served
from include.registry.versions import NO_SUCH_GROUP

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker.client import SageMakerClient
    from types_boto3_sagemaker.type_defs import ModelPackageSummaryTypeDef

NAMED = ("data_manifest", "data_sha256")  # of the metadata data_...; the rest are raw files, which the manifest has
NEWEST = 20  # versions, and times in production, kept
DAYS = 400  # newest days kept
WRITES = 12  # attempts, as many tasks may write at once


class IndexedVersion(TypedDict):
    """A version of the registry. ``metrics`` are those that gates check, ``gates`` what they were held to, in words;
    ``facts`` is the rest of its metadata."""

    version: int
    arn: str
    registered_at: str
    approval: str
    metrics: dict[str, float]
    gates: NotRequired[dict[str, list[str]]]
    facts: dict[str, str]


class IndexedDay(TypedDict):
    """A scored day. ``instance_seconds`` counts every instance of its jobs, by type; ``again``: other scores of the day
    were replaced."""

    rows: int
    rejected: int
    version: int
    published_at: str
    run_id: str
    instance_seconds: dict[str, float]
    again: NotRequired[bool]


class IndexedDrift(TypedDict):
    """A monitored day. ``estimated``: the expected ``metric`` of the predictions in its window, if it can be
    estimated."""

    verdict: str
    summary: str
    version: int
    drifted: list[str]
    metric: NotRequired[str]
    estimated: NotRequired[float | None]


class IndexedPerformance(TypedDict):
    """A scored day with labels: its window's realised ``metric``."""

    version: int
    rows: int
    labelled: int
    metric: str
    value: float | None
    interval: tuple[float, float] | None


class IndexedProbe(TypedDict):
    """The last probe of the production endpoint; ``state`` is ``answers`` if all is well."""

    at: str
    state: str
    says: str


class ModelIndex(TypedDict):
    """``index/<model>.json``. ``production`` and ``versions`` have the newest entries, in ascending order; ``days``,
    ``drift`` and ``performance`` are by ISO date; ``served`` is when endpoints ran on what."""

    model: str
    description: str
    owner: str
    group: str
    endpoint: str
    written_at: str
    production: list[dict[str, Any]]
    versions: list[IndexedVersion]
    days: dict[str, IndexedDay]
    drift: dict[str, IndexedDrift]
    performance: NotRequired[dict[str, IndexedPerformance]]
    probe: NotRequired[IndexedProbe]
    served: NotRequired[list[Span]]


class IndexConflictError(RuntimeError):
    """Every attempt collided with another writer: a retry helps."""


def index_scores(s3: S3Client, bucket: str, model: ModelConfig, days: Iterable[str]) -> ModelIndex:
    """Writes scored days (ISO dates) into a model's index.

    Raises:
        IndexConflictError: too many tasks write it at the same time.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    scored = {day: _scored(s3, bucket, model.name, day) for day in days}
    return _write(s3, bucket, model, lambda found: {**found, "days": _merged(found["days"], scored)})


def index_drift(s3: S3Client, bucket: str, model: ModelConfig, days: Iterable[str]) -> ModelIndex:
    """Writes monitored days (ISO dates) into a model's index. Raises: as ``index_scores``."""
    watched = {day: _watched(s3, bucket, model.name, day) for day in days}
    return _write(s3, bucket, model, lambda found: {**found, "drift": _merged(found["drift"], watched)})


def index_performance(s3: S3Client, bucket: str, model: ModelConfig, days: Iterable[str]) -> ModelIndex:
    """Writes days (ISO dates) with labels into a model's index. Raises: as ``index_scores``."""
    worth = {day: _worth(s3, bucket, model, day) for day in days}
    return _write(
        s3, bucket, model, lambda found: {**found, "performance": _merged(found.get("performance", {}), worth)}
    )


def index_probe(s3: S3Client, bucket: str, model: ModelConfig, probe: IndexedProbe) -> ModelIndex:
    """Writes the last probe of the production endpoint into a model's index. Raises: as ``index_scores``."""
    return _write(s3, bucket, model, lambda found: {**found, "probe": probe})


def index_versions(s3: S3Client, sagemaker: SageMakerClient, bucket: str, model: ModelConfig) -> ModelIndex:
    """Writes the registry's versions, the production history and its endpoints' times into a model's index.

    Raises: as ``index_scores``; also where SageMaker cannot be asked.
    """
    production = [entry.as_json() for entry in read_history(s3, bucket, model.name).entries[-NEWEST:]]
    versions, served = _versions(s3, sagemaker, group_name(model)), read_served(s3, bucket, model.name)
    changed = {"production": production, "versions": versions, "served": served}
    return _write(s3, bucket, model, lambda found: cast("ModelIndex", {**found, **changed}))


def index_served(s3: S3Client, bucket: str, model: ModelConfig) -> ModelIndex:
    """Writes the times of its endpoints into a model's index. Raises: as ``index_scores``."""
    served = read_served(s3, bucket, model.name)
    return _write(s3, bucket, model, lambda found: {**found, "served": served})


def _empty(model: ModelConfig) -> ModelIndex:
    return {
        "model": model.name,
        "description": model.description,
        "owner": model.owner,
        "group": group_name(model),
        "endpoint": endpoint_name(model, "production"),
        "written_at": "",
        "production": [],
        "versions": [],
        "days": {},
        "drift": {},
    }


def _merged[T](before: Mapping[str, T], now: Mapping[str, T | None]) -> dict[str, T]:
    """By day, oldest first; days that no longer exist are left out."""
    both = {**before, **now}
    return {day: entry for day, entry in sorted(both.items())[-DAYS:] if entry is not None}


def _scored(s3: S3Client, bucket: str, model: str, day: str) -> IndexedDay | None:
    manifest = read_json(s3, f"s3://{bucket}/{scores_manifest(model, day)}")
    if manifest is None:
        return None
    seconds: dict[str, float] = {}
    for job in manifest["jobs"]:
        name = str(job["instance_type"])
        seconds[name] = seconds.get(name, 0.0) + (job["billable_seconds"] or 0) * (job["instance_count"] or 1)
    scored: IndexedDay = {
        "rows": manifest["rows"],
        "rejected": sum(manifest["quarantined"].values()),
        "version": manifest["model_version"],
        "published_at": manifest["published_at"],
        "run_id": manifest["run_id"],
        "instance_seconds": seconds,
    }
    if manifest.get("supersedes"):
        scored["again"] = True
    return scored


def _watched(s3: S3Client, bucket: str, model: str, day: str) -> IndexedDrift | None:
    found = read_json(s3, drift_of(bucket, model, day))
    if found is None:
        return None
    watched: IndexedDrift = {
        "verdict": found["verdict"],
        "summary": found["summary"],
        "version": found["model_version"],
        "drifted": found["drifted"],
    }
    if performance := found.get("performance"):
        watched["metric"], watched["estimated"] = performance["metric"], performance["estimated"]
    return watched


def _worth(s3: S3Client, bucket: str, model: ModelConfig, day: str) -> IndexedPerformance | None:
    found: Performance | None = read_json(s3, performance_of(bucket, model.name, day))
    if found is None:
        return None
    window, metric = found["window"], watched_metric(model)
    value, interval = window["metrics"].get(metric), window["intervals"].get(metric)
    if sampled := sample_that_counts(window, model.monitoring.min_rows if model.monitoring else 0):
        metric, value, interval = sampled["metric"], sampled["value"], sampled["interval"]
    return {
        "version": found["model_version"],
        "rows": found["rows"],
        "labelled": found["labelled"],
        "metric": metric,
        "value": value,
        "interval": interval,
    }


def _versions(s3: S3Client, sagemaker: SageMakerClient, group: str) -> list[IndexedVersion]:
    try:
        newest = sagemaker.list_model_packages(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=NEWEST
        )["ModelPackageSummaryList"]
    except ClientError as error:
        if error_code(error) in NO_SUCH_GROUP:
            return []  # the first registration creates the group
        raise
    return [_version(s3, sagemaker, summary) for summary in reversed(newest)]


def _version(s3: S3Client, sagemaker: SageMakerClient, summary: ModelPackageSummaryTypeDef) -> IndexedVersion:
    arn = summary["ModelPackageArn"]
    metadata = sagemaker.describe_model_package(ModelPackageName=arn).get("CustomerMetadataProperties", {})
    metrics = {name.removeprefix("metric_"): text for name, text in metadata.items() if name.startswith("metric_")}
    return {
        "version": summary["ModelPackageVersion"],
        "arn": arn,
        "registered_at": summary["CreationTime"].isoformat(timespec="seconds"),
        "approval": summary["ModelApprovalStatus"],
        "metrics": {name: float(text) for name, text in metrics.items()},
        "gates": _gates(s3, metadata.get("evaluation_report", "")),
        "facts": {
            name: text for name, text in metadata.items() if name in NAMED or not name.startswith(("metric_", "data_"))
        },
    }


def _gates(s3: S3Client, report: str) -> dict[str, list[str]]:
    """What each metric was held to, of the run of an evaluation report; nothing of runs that did not keep it."""
    folder, evaluated, _ = report.rpartition("/evaluate_model/")
    verdicts: list[Verdict] = (read_json(s3, f"{folder}/check_metrics/gates.json") if evaluated else None) or []
    found: dict[str, list[str]] = {}
    for verdict in verdicts:
        held_to = {"max": "≤ ", "champion": "the champion's "}.get(verdict["kind"], "≥ ")
        missed = "" if verdict["passed"] else ", missed"
        found.setdefault(verdict["metric"], []).append(f"{held_to}{verdict['threshold']:.4g}{missed}")
    return found


def _write(s3: S3Client, bucket: str, model: ModelConfig, change: Callable[[ModelIndex], ModelIndex]) -> ModelIndex:
    """Applies a change to the index; repeats the read if somebody wrote it in between."""
    uri = f"s3://{bucket}/{model_index(model.name)}"
    for attempt in range(WRITES):
        found, etag = read_versioned(s3, uri)
        changed = change(parsed(uri, found) if found is not None else _empty(model))
        changed["description"], changed["owner"] = model.description, model.owner
        changed["written_at"] = datetime.now(UTC).isoformat(timespec="seconds")
        if _put_if_unchanged(s3, uri, json.dumps(changed, separators=(",", ":")).encode(), etag):
            return changed
        time.sleep(random.uniform(0, 0.1 * 2 ** min(attempt, 5)))  # noqa: S311 - no secret: who goes first
    raise IndexConflictError(f"{uri} was written by others {WRITES} times in a row; a retry helps")


def _put_if_unchanged(s3: S3Client, uri: str, body: bytes, etag: str | None) -> bool:
    """False if others wrote the index since it was read, or deleted it, as a rebuild does."""
    try:
        return write_if_unchanged(s3, uri, body, etag)
    except ClientError as error:
        if error_code(error) != "NoSuchKey":
            raise
        return False
