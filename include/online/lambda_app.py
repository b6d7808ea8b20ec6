"""The inbox on AWS Lambda, without Airflow: ``handler`` takes S3's "Object Created" events, from EventBridge or from an
SQS queue behind it. Its environment variables are those of ``settings``, except the model, which is in the key. Of an
SQS batch, only the failed messages are delivered again.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from include.models.config import ConfigError
from include.models.errors import JobError
from include.models.quoting import unforeseen
from include.online.inbox import Arrived, take
from include.online.score_file import Champion, champion_of
from include.online.settings import Settings

log = logging.getLogger("online")


def handler(event: Mapping[str, Any], _: object = None) -> dict[str, Any]:
    """Lambda's entry point."""
    if "Records" not in event:
        return {"outcome": _take(event)}
    failed = []
    for record in event["Records"]:
        try:
            _take(json.loads(record["body"]))
        except Exception:  # whatever the error, other messages go on, and this one is delivered again
            log.exception("%s is left in the queue", record["messageId"])
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def arrived_in(event: Mapping[str, Any]) -> Arrived:
    """The object of an event; https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html."""
    detail = event["detail"]
    return Arrived(detail["bucket"]["name"], detail["object"]["key"], f'"{detail["object"]["etag"]}"')


def _take(event: Mapping[str, Any]) -> str:
    arrived = arrived_in(event)
    try:
        outcome = take(boto3.client("s3"), arrived, answerer)
    except (JobError, ConfigError, ClientError):
        raise
    except Exception as error:  # noqa: BLE001 - of whichever model: the log is of all of them
        raise RuntimeError(unforeseen(error)) from None
    log.info("%s", json.dumps({"key": arrived.key, "etag": arrived.etag, "outcome": outcome}))
    return outcome


def answerer(model: str) -> Champion:
    """The current champion. Events are handled one at a time, and the previous one's files are deleted."""
    folder = Path(tempfile.gettempdir(), "champion")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return champion_of(Settings.from_environment({**os.environ, "MODEL": model}), boto3.client("s3"), folder)
