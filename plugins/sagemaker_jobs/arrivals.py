"""The trigger that starts a Dag when an object arrives in a bucket."""

from __future__ import annotations

import json

from sagemaker_jobs.kinds import Json
from sagemaker_jobs.queues import QueueTrigger


class ObjectArrivalTrigger(QueueTrigger):
    """Fires for every object; the event is ``{"bucket", "key", "etag"}``."""

    @staticmethod
    def event_of(body: str) -> Json:
        """Parses EventBridge's "Object Created";
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html."""
        detail = json.loads(body)["detail"]
        found = detail["object"]
        etag = found.get("etag") or found["eTag"]  # moto's spelling
        return {"bucket": detail["bucket"]["name"], "key": str(found["key"]), "etag": str(etag).strip('"')}
