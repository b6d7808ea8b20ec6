from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from include.models.config import INSTANCE_TYPE, load_model, model_names
from include.ops.mwaa.target import load_target, target_names
from sagemaker_jobs.account import Account, account, no_price, total_usd
from sagemaker_jobs.kinds import ENDPOINT, KINDS, TRAINING, compact

from .conftest import training_job


def test_every_kind_of_job_has_a_pool() -> None:
    assert account().pools.keys() == KINDS.keys() - {ENDPOINT.word}  # it is awaited like a job, but is none


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


def test_every_environment_s_region_has_the_prices_of_its_models_or_the_line_is_said() -> None:
    """No instance type that the models of this checkout ask for is missing."""
    regions = {load_target(name).region for name in target_names()}
    types = {
        part.instance_type
        for model in map(load_model, model_names())
        for part in (model.processing, model.training, model.serving, model.scoring)
        if part
    }
    known = account().usd_per_hour
    assert [(region, one) for region in regions for one in types if one not in known.get(region, {})] == []
    assert "the line 'ml.c5.xlarge: <usd>' under usd_per_hour, eu-west-1" in no_price("ml.c5.xlarge", "eu-west-1")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pools": {"training": 0}}, r"pools\.training\n.*greater than or equal to 1"),
        ({"pools": {"training": 1001}}, r"pools\.training\n.*less than or equal to 1000"),
        ({"pools": {"baking": 1}}, r"pools\.baking.*\n.*'processing', 'training', 'tuning' or 'transform'"),
        ({"usd_per_hour": {"r": {"ml.m5.large": 0}}}, r"ml\.m5\.large`\n.*greater than 0"),
        ({"prices": {}}, r"prices\n.*not permitted"),
    ],
)
def test_impossible_values_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Account.model_validate({"pools": {}, "usd_per_hour": {}, **wrong})


def test_costs_are_rounded_to_the_hundredth_of_a_cent() -> None:
    prices = Account.model_validate({"pools": {}, "usd_per_hour": {"here": {"ml.m5.large": 0.115}}})
    assert prices.cost("here", "ml.m5.large", 7200) == 0.23
    assert prices.cost("here", "ml.m5.large", 100) == 0.0032
    assert prices.cost("here", "ml.m5.large", 0) == 0


@pytest.mark.parametrize(
    ("costs", "total"),
    [([], 0.0), ([1, 2.5], 3.5), ([0.00004, 0.00004], 0.0001), ([1, "unknown"], None), ([None], None)],
)
def test_a_total_is_known_where_every_cost_is(costs: list[float | str | None], total: float | None) -> None:
    assert total_usd(costs) == total


def test_a_serverless_endpoint_costs_its_seconds_times_its_memory() -> None:
    prices = Account.model_validate(
        {"pools": {}, "usd_per_hour": {}, "usd_per_serverless_gb_second": {"here": 0.00002}}
    )
    assert prices.serverless_cost("here", 3072, 1000) == 0.06
    assert prices.serverless_cost("elsewhere", 3072, 1000) is None
