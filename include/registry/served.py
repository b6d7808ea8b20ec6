"""On what a model's endpoints have run, and when, for their costs: ``production/<model>/endpoints.json``.

Deployments, rollbacks and ``retire`` write it; the console's index has a copy.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from include.models.config import ModelConfig
from include.platform.objects import parsed, read_json, read_versioned, write_if_unchanged
from include.platform.request_parts import Stage, endpoint_name
from include.platform.storage import endpoints_served

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

NEWEST = 300  # spans kept: a daily deployment for five months


class Span(TypedDict):
    """A time on one configuration. ``instances`` at least and ``most`` with autoscaling, both 0 if it is paid by use,
    of containers with ``memory_mb``; ``ended`` is None while it lasts."""

    stage: Stage
    endpoint: str
    config: str
    instance_type: str | None
    instances: int
    most: int
    memory_mb: int
    began: str
    ended: str | None


def span_of(model: ModelConfig, stage: Stage, config: str, variant: Mapping[str, Any], since: datetime) -> Span:
    """A time that begins.

    Args:
        variant: of the endpoint's configuration, as SageMaker describes it.
    """
    count, scaled = variant.get("InitialInstanceCount", 0), model.serving.autoscaling if stage == "production" else None
    return {
        "stage": stage,
        "endpoint": endpoint_name(model, stage),
        "config": config,
        "instance_type": variant.get("InstanceType"),
        "instances": count,
        "most": max(scaled.max_instances, count) if scaled and count else count,
        "memory_mb": variant.get("ServerlessConfig", {}).get("MemorySizeInMB", 0),
        "began": since.astimezone(UTC).isoformat(timespec="seconds"),
        "ended": None,
    }


def begin(s3: S3Client, bucket: str, model: str, span: Span) -> None:
    """Records a span, which ends the stage's last one; nothing if the stage already serves with this configuration.

    Raises:
        RuntimeError: another run wrote meanwhile; a retry reads it again.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """

    def begun(spans: list[Span]) -> list[Span]:
        if any(_lasts(one, span["stage"]) and one["config"] == span["config"] for one in spans):
            return spans
        return [*_ended(spans, span["stage"], span["began"]), span]

    _change(s3, bucket, model, begun)


def end(s3: S3Client, bucket: str, model: str, stage: Stage, at: datetime) -> None:
    """Records that a stage's endpoint is gone. Raises: as ``begin``."""
    _change(s3, bucket, model, lambda spans: _ended(spans, stage, at.isoformat(timespec="seconds")))


def read_served(s3: S3Client, bucket: str, model: str) -> list[Span]:
    """All spans, the oldest first; none if nothing was deployed since they are recorded."""
    return list(read_json(s3, endpoints_served(bucket, model)) or [])


def _lasts(span: Span, stage: Stage) -> bool:
    return span["stage"] == stage and span["ended"] is None


def _ended(spans: list[Span], stage: Stage, at: str) -> list[Span]:
    return [{**one, "ended": max(at, one["began"])} if _lasts(one, stage) else one for one in spans]


def _change(s3: S3Client, bucket: str, model: str, change: Callable[[list[Span]], list[Span]]) -> None:
    uri = endpoints_served(bucket, model)
    body, etag = read_versioned(s3, uri)
    spans: list[Span] = parsed(uri, body) if body else []
    changed = change(spans)[-NEWEST:]
    if changed != spans and not write_if_unchanged(s3, uri, json.dumps(changed, indent=1).encode(), etag):
        raise RuntimeError(f"{uri} was written by another run meanwhile; a retry reads it again")
