"""Warm pools: instances that a training job keeps for the next similar one, which then starts without delay.

Form and rules: https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

from include.local_sagemaker.core.errors import ValidationException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import TRAINING_JOB, Json
from include.local_sagemaker.jobs.job_queue import TERMINAL

_CLAIMING = threading.Lock()  # two jobs never get the same instances


def keep_alive_seconds(document: Json) -> int:
    return int(document.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds", 0))


def check(request: Json) -> None:
    """Raises ValidationException: spot instances cannot be kept."""
    if keep_alive_seconds(request) and request.get("EnableManagedSpotTraining"):
        raise ValidationException("KeepAlivePeriodInSeconds is not supported with managed spot training.")


def claim(region: Region, name: str, request: Json) -> bool:
    """Give the job an earlier one's instances that are still warm. Returns whether there were any."""
    if not keep_alive_seconds(request):
        return False
    with _CLAIMING:
        warm = next(_available(region, request), None)
        if warm is None:
            return False
        kept = _kept_seconds(warm)
        status = {"Status": "Reused", "ResourceRetainedBillableTimeInSeconds": kept, "ReusedByJob": name}
        region.update(TRAINING_JOB, warm["TrainingJobName"], {"WarmPoolStatus": status})
    return True


def retained(document: Json, ended: float) -> Json:
    """The part of a finished job's document that says its instances stay warm from now on."""
    if not (seconds := keep_alive_seconds(document)):
        return {}
    return {"WarmPoolStatus": {"Status": "Available"}, "_WarmFrom": ended, "_WarmUntil": ended + seconds}


def shown(document: Json) -> Json:
    """The document as of now: a pool that nobody used in time is terminated."""
    status = document.get("WarmPoolStatus", {}).get("Status")
    if status == "Available":
        state = "Available" if time.time() < document["_WarmUntil"] else "Terminated"
        billed = {"Status": state, "ResourceRetainedBillableTimeInSeconds": _kept_seconds(document)}
        return {**document, "WarmPoolStatus": billed}
    if status is None and keep_alive_seconds(document):
        return {**document, "WarmPoolStatus": {"Status": "InUse"}}
    return document


def _available(region: Region, request: Json) -> Iterator[Json]:
    wanted = _matched(request)
    for name, document in region.service.store.all(TRAINING_JOB, statuses=TERMINAL):
        is_warm = (
            document.get("WarmPoolStatus", {}).get("Status") == "Available" and time.time() < document["_WarmUntil"]
        )
        if name == region.name and is_warm and _matched(document) == wanted:
            yield document


def _matched(job: Json) -> str:
    """What two jobs must have in common to share instances."""
    resources = {key: value for key, value in job["ResourceConfig"].items() if key != "KeepAlivePeriodInSeconds"}
    options = {key: bool(job.get(key)) for key in ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption")}
    return json.dumps([job["RoleArn"], resources, job.get("VpcConfig"), options], sort_keys=True)


def _kept_seconds(document: Json) -> int:
    return int(min(time.time(), document["_WarmUntil"]) - document["_WarmFrom"])
