"""How an approval in the Model Registry reaches Airflow: an EventBridge rule and an SQS queue for each model.

A Dag file may not call AWS or read a Variable, so the queue's name follows from what is known at parse time: the
environment's name (``sagemaker_jobs.names``) and the model's. Both the creator of the queue (infrastructure on AWS,
``make up`` on a laptop) and the trigger that reads it (``sagemaker_jobs.approvals``) take it from here.
"""

from __future__ import annotations

from typing import Any

APPROVE, REJECT = "Approve", "Reject"  # the possible answers to a promotion


def queue_name(environment: str, group: str) -> str:
    """The name of a model package group's approval queue, and of its rule. SQS allows 80 characters, rules 64."""
    name = f"{environment}-{group}-approvals"
    if len(name) > 64:
        raise ValueError(f"'{name}' has {len(name)} characters; 64 are allowed: shorten the environment's name")
    return name


def event_pattern(group: str) -> dict[str, Any]:
    """The events that the rule matches: approvals, but no other change of an approved version, such as of its
    metadata."""
    return {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {
            "ModelPackageGroupName": [group],
            "ModelApprovalStatus": ["Approved"],
            "UpdatedModelPackageFields": ["ModelApprovalStatus"],
        },
    }
