"""The account's service quotas: how many instances of a kind may be in use at the same time, in total and per instance
type."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping

from include.local_sagemaker.core.errors import ResourceLimitExceeded
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import ENDPOINT, PROCESSING_JOB, TRAINING_JOB, TRANSFORM_JOB, Json, Kind

# kind of usage -> the resource, and its names in AWS's list of quotas: per instance type, and in total
_USAGES: dict[str, tuple[Kind, str, str]] = {
    "processing": (PROCESSING_JOB, "processing job", "Number of instances across all processing jobs"),
    "training": (TRAINING_JOB, "training job", "Number of instances across all training jobs"),
    "spot": (TRAINING_JOB, "spot training job", "Number of instances across all spot training jobs"),
    "transform": (TRANSFORM_JOB, "transform job", "Number of instances across all transform jobs"),
    "endpoint": (ENDPOINT, "endpoint", "Number of instances across active endpoints"),
}
_OVER = ("Completed", "Failed", "Stopped", "Deleting")
# counting and creating are one step: of two requests for the last instance, one is refused
_LOCK = threading.Lock()


def parse(text: str) -> dict[str, int]:
    """``processing=4,endpoint/ml.m5.large=0``. Raises ValueError that says what is wrong."""
    quotas = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name.partition("/")[0] not in _USAGES or not number.isdecimal():
            raise ValueError(f"{part!r} is not KIND=NUMBER or KIND/INSTANCE_TYPE=NUMBER with {', '.join(_USAGES)}")
        quotas[name] = int(number)
    return quotas


@contextlib.contextmanager
def within(region: Region, wanted: Mapping[str, Mapping[str, int]]) -> Iterator[None]:
    """For the time in which what uses the wanted instances (usage -> type -> number) is created.

    What is created is counted by its document's ``_Instances``, which look the same.

    Raises:
        ResourceLimitExceeded: as AWS words it.
    """
    limited = {name.partition("/")[0] for name in region.settings.quotas} & wanted.keys()
    if not limited:
        yield
        return
    with _LOCK:
        for usage in sorted(limited):
            _check_usage(region, usage, wanted[usage])
        yield


def _check_usage(region: Region, usage: str, wanted: Mapping[str, int]) -> None:
    quotas, used = region.settings.quotas, _used(region, usage)
    _, word, in_all = _USAGES[usage]
    if usage in quotas:
        _check(in_all, quotas[usage], sum(used.values()), sum(wanted.values()))
    for kind, number in wanted.items():
        if f"{usage}/{kind}" in quotas:
            _check(f"{kind} for {word} usage", quotas[f"{usage}/{kind}"], used[kind], number)


def _used(region: Region, usage: str) -> Counter[str]:
    kind = _USAGES[usage][0]
    found: Counter[str] = Counter()
    for document in region.iterate(kind):
        if document[kind.status] not in _OVER:
            found.update(document.get("_Instances", {}).get(usage, {}))
    return found


def _check(quota: str, limit: int, used: int, wanted: int) -> None:
    if wanted and used + wanted > limit:
        raise ResourceLimitExceeded(
            f"The account-level service limit '{quota}' is {limit} Instances, with current utilization of {used} "
            f"Instances and a request delta of {wanted} Instances. Please use AWS Service Quotas to request an increase"
            " for this quota. If AWS Service Quotas is not available, contact AWS support to request an increase for"
            " this quota."
        )


def instances(usage: str, resources: Json) -> Json:
    """``_Instances`` of a job by its ``InstanceType`` and ``InstanceCount``, or its ``InstanceGroups``."""
    found: Counter[str] = Counter()
    for group in resources.get("InstanceGroups") or [resources]:
        found[group["InstanceType"]] += group["InstanceCount"]
    return {usage: dict(found)}
