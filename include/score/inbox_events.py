"""How a file of the inbox reaches Airflow: one EventBridge rule and one SQS queue for all models, which keys name.

As with approvals (``deploy.approval_events``) the queue's name follows from the environment's alone.
"""

from __future__ import annotations

from typing import Any


def queue_name(environment: str) -> str:
    """The queue of what arrives; also the rule's name."""
    return f"{environment}-inbox"


def event_pattern(bucket: str) -> dict[str, Any]:
    """What the rule lets through. The bucket has to tell EventBridge of its objects."""
    return {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": "inbox/"}]}},
    }
