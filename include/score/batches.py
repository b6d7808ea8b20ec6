"""Groups past days into jobs: how many, which days in each, and the cost. Pure.

A job takes minutes to start before its first day. So there are as many as the account may run at once, but none with
less work than its start-up takes, and each scores with one version.
"""

from __future__ import annotations

import math
from typing import Literal, TypedDict

from include.models.config import ModelConfig
from include.platform.raw_files import raw_megabytes
from include.score.plan import DayPlan, Preview
from sagemaker_jobs.account import account, no_price

START_UP_SECONDS = 180
OWN_SECONDS = 30  # of a job in addition to its days: inputs, imports, the model
ASSUMED_DAY_SECONDS = 3.0  # if no batch has been measured yet
DAY_MEGABYTES = 5.0  # the fixed cost of a day, as megabytes of text


class Estimate(TypedDict):
    """The estimate of a backfill. ``how``: where the seconds per day come from."""

    jobs: int
    instance_type: str
    instance_seconds: float
    usd: float | Literal["unknown"]
    how: str


def batches_of(model: ModelConfig, preview: Preview) -> list[list[DayPlan]]:
    """The days to score, in order, by job: consecutive days of one version, in jobs of about the same size."""
    plans = sorted(preview.plans.values(), key=lambda plan: (plan.version.version, plan.day))
    if not plans:
        return []
    work = {plan.day: DAY_MEGABYTES + raw_megabytes(plan.inputs) for plan in plans}
    share = sum(work.values()) / _jobs(model, len(plans) * (preview.seconds or ASSUMED_DAY_SECONDS))
    batches: list[list[DayPlan]] = []
    begun, number = 0.0, -1
    for plan in plans:
        of_share = int((begun + work[plan.day] / 2) / share)
        if of_share != number or batches[-1][-1].version != plan.version:
            batches.append([])
        batches[-1].append(plan)
        begun, number = begun + work[plan.day], of_share
    return batches


def _jobs(model: ModelConfig, seconds: float) -> int:
    """The number of jobs for this much work: none takes more than half of model.yaml's limit for a job."""
    most = model.daily_scoring.max_runtime_minutes * 60 / 2
    sensible = min(account().pools["processing"], math.ceil(seconds / START_UP_SECONDS))
    return max(1, sensible, math.ceil(seconds / most))


def estimate(model: ModelConfig, instance_type: str | None, region: str, preview: Preview, jobs: int) -> Estimate:
    """Estimates the time and cost of this many jobs for these days.

    Args:
        instance_type: the environment's override; None if it has none.
    """
    each = preview.seconds or ASSUMED_DAY_SECONDS
    seconds = len(preview.plans) * each + jobs * OWN_SECONDS
    used = instance_type or model.daily_scoring.instance_type
    return {
        "jobs": jobs,
        "instance_type": used,
        "instance_seconds": round(seconds, 1),
        "usd": account().cost(region, used, seconds),
        "how": f"{each:.1f} s a day, as in earlier batches"
        if preview.seconds
        else f"{each:.0f} s a day are assumed: no batch has been measured yet",
    }


def cost_in_words(found: Estimate, region: str) -> str:
    jobs = f"{found['jobs']} job{'' if found['jobs'] == 1 else 's'}"
    unknown = f"at an unknown price ({no_price(found['instance_type'], region)})"
    price = f"{found['usd']:.2f} USD in {region}" if isinstance(found["usd"], int | float) else unknown
    hours = found["instance_seconds"] / 3600
    return f"{jobs}, about {hours:.2f} instance-hours of {found['instance_type']}, {price} ({found['how']})"
