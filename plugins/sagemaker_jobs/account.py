"""The AWS account's limits and prices, from ``account.yaml``: pool sizes and instance prices."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["processing", "training", "tuning", "transform"]


class Account(BaseModel):
    """``account.yaml``, checked. Prices are USD per instance-hour, by region and instance type, and of serverless
    endpoints per second and GB of memory, by region."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    pools: dict[Kind, Annotated[int, Field(ge=1, le=1000)]]
    usd_per_hour: dict[str, dict[str, Annotated[float, Field(gt=0, le=1000)]]]
    usd_per_serverless_gb_second: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}

    def cost(
        self, region: str, instance_type: str | None, instance_seconds: float | None
    ) -> float | Literal["unknown"]:
        """The cost in USD of that many seconds of one instance; "unknown" if the table has no price or nothing was
        measured."""
        price = self.usd_per_hour.get(region, {}).get(instance_type or "")
        if price is None or instance_seconds is None:
            return "unknown"
        return round(price * instance_seconds / 3600, 4)

    def serverless_cost(self, region: str, memory_mb: int, seconds: float) -> float | None:
        """The cost in USD of the given seconds of answering in a container; None if the table has no price."""
        price = self.usd_per_serverless_gb_second.get(region)
        return None if price is None else round(price * memory_mb / 1024 * seconds, 4)


def total_usd(costs: Iterable[float | str | None]) -> float | None:
    """The sum; None if any cost is unknown ("unknown" or None)."""
    found = list(costs)
    known = [cost for cost in found if isinstance(cost, int | float)]
    return round(sum(known, 0.0), 4) if len(known) == len(found) else None


def no_price(instance_type: str | None, region: str) -> str:
    """Advice about the missing line in account.yaml."""
    return (
        f"add the price of {instance_type} as the line '{instance_type}: <usd>' under usd_per_hour, {region}, in "
        "plugins/sagemaker_jobs/account.yaml"
    )


@cache
def account() -> Account:
    """Raises pydantic.ValidationError, which names the key, what was found and what is allowed."""
    text = resources.files(__package__).joinpath("account.yaml").read_text(encoding="utf-8")
    return Account.model_validate(yaml.safe_load(text))


def pool_of(kind: str) -> str:
    """The Airflow pool that jobs of this kind share."""
    return f"sagemaker_{kind}"
