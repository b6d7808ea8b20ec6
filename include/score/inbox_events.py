"""How an inbox file reaches Airflow: one EventBridge rule and one SQS queue for all models; the key names the model.

As for approvals (``deploy.approval_events``), the queue's name follows from the environment's name.
"""

from __future__ import annotations

from typing import Any


def queue_name(environment: str) -> str:
    """The name of the queue of arrivals, and of its rule."""
    return f"{environment}-inbox"


def event_pattern(bucket: str) -> dict[str, Any]:
    """The events that the rule matches. The bucket must send its events to EventBridge."""
    return {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": "inbox/"}]}},
    }
