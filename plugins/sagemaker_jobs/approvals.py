"""The trigger that starts a Dag on an approval in the Model Registry."""

from __future__ import annotations

import json

from sagemaker_jobs.kinds import Json
from sagemaker_jobs.queues import QueueTrigger


class PackageApprovalTrigger(QueueTrigger):
    """Fires for every approval; the event is ``{"model_package_arn", "version", "approved_at"}``."""

    @staticmethod
    def event_of(body: str) -> Json:
        """Parses EventBridge's "SageMaker Model Package State Change"."""
        event = json.loads(body)
        detail = event["detail"]
        return {
            "model_package_arn": detail["ModelPackageArn"],
            "version": int(detail["ModelPackageVersion"]),
            "approved_at": event["time"],
        }
