from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from include.models.config import INSTANCE_TYPE
from sagemaker_jobs.account import Account, account
from sagemaker_jobs.kinds import ENDPOINT, KINDS, TRAINING, compact

from .conftest import training_job


def test_every_kind_of_job_has_a_pool() -> None:
    assert account().pools.keys() == KINDS.keys() - {ENDPOINT.word}  # which is awaited like a job, and is none


def test_a_job_costs_its_seconds_times_its_instances() -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 10}
    arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/t"
    job = training_job("t", "Completed", ResourceConfig=resources, TrainingJobArn=arn, BillableTimeInSeconds=1800)
    found = compact(TRAINING, job)
    assert found["billable_seconds"] == 3600
    assert found["cost_usd"] == account().usd_per_hour["us-east-1"]["ml.m5.large"] > 0


def test_prices_are_of_instance_types_that_model_yaml_takes() -> None:
    types = {name for prices in account().usd_per_hour.values() for name in prices}
    assert types
    assert [name for name in types if not re.fullmatch(INSTANCE_TYPE, name)] == []


@pytest.mark.parametrize(
    ("region", "instance", "seconds"),
    [
        ("us-east-1", "ml.p9.large", 60),
        ("mars-1", "ml.m5.large", 60),
        ("us-east-1", None, 60),
        ("us-east-1", "ml.m5.large", None),
    ],
)
def test_what_is_not_known_is_said_so(region: str, instance: str | None, seconds: float | None) -> None:
    assert account().cost(region, instance, seconds) == "unknown"


@pytest.mark.parametrize(
    "wrong", [{"pools": {"training": 0}}, {"pools": {"baking": 1}}, {"usd_per_hour": {"r": {"ml.m5.large": 0}}}]
)
def test_impossible_values_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Account.model_validate({"pools": {}, "usd_per_hour": {}, **wrong})
