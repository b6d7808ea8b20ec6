"""How an endpoint goes from one configuration to the next: steps of traffic, baking times, alarms; no processes here.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from include.local_sagemaker.core.errors import ValidationException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import Json

DEFAULT_MAXIMUM_SECONDS = 8 * 3600.0


@dataclass(frozen=True)
class Step:
    """Send a share (0-1) of the traffic to the new fleet, then watch the alarms for some seconds."""

    share: float
    bake_seconds: float
    wait: str  # the name of the setting that the seconds come from
    capacity: str  # canary or full

    def message(self, instances: int) -> str:
        """The StatusMessage of a variant that bakes."""
        active = math.ceil(self.share * instances)
        return (
            f"Baking for {self.bake_seconds:g} seconds ({self.wait}) with traffic enabled on {self.capacity} capacity "
            f"of {active} instance(s)."
        )


@dataclass(frozen=True)
class Plan:
    """The steps of a deployment; a breach of an alarm or of the time limit rolls it back."""

    steps: Sequence[Step]
    alarms: Sequence[str] = ()
    maximum_seconds: float = DEFAULT_MAXIMUM_SECONDS

    @classmethod
    def from_config(cls, region: Region, config: Json | None, instances: int) -> "Plan":
        """Read a DeploymentConfig for a fleet of so many instances; without one all traffic moves at once.

        Raises:
            ValidationException: a policy that lacks its size or has one out of bounds, or an alarm that is not there.
        """
        config = config or {}
        if "BlueGreenUpdatePolicy" in config and "RollingUpdatePolicy" in config:
            raise ValidationException("BlueGreenUpdatePolicy and RollingUpdatePolicy cannot both be given.")
        alarms = [one["AlarmName"] for one in config.get("AutoRollbackConfiguration", {}).get("Alarms", [])]
        _check_alarms(region, alarms)
        policy = config.get("RollingUpdatePolicy") or config.get("BlueGreenUpdatePolicy") or {}
        steps = _rolling(policy, instances) if "RollingUpdatePolicy" in config else _blue_green(policy, instances)
        return cls(steps, alarms, float(policy.get("MaximumExecutionTimeoutInSeconds", DEFAULT_MAXIMUM_SECONDS)))


def _check_alarms(region: Region, names: Sequence[str]) -> None:
    found = alarm_states(region, names)
    missing = [name for name in names if name not in found]
    if missing:
        raise ValidationException(f"Could not find CloudWatch alarm(s): {', '.join(missing)}.")


def alarm_states(region: Region, names: Sequence[str]) -> dict[str, str]:
    """The present state of each of these CloudWatch alarms that exists."""
    if not names:
        return {}
    found = region.client("cloudwatch").describe_alarms(AlarmNames=list(names))["MetricAlarms"]
    return {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}


def _blue_green(policy: Json, instances: int) -> list[Step]:
    routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0})
    kind, wait = routing["Type"], float(routing["WaitIntervalInSeconds"])
    last = Step(1.0, float(policy.get("TerminationWaitInSeconds", 0)), "TerminationWaitInSeconds", "full")
    if kind == "ALL_AT_ONCE":
        return [last]
    name = "CanarySize" if kind == "CANARY" else "LinearStepSize"
    if name not in routing:
        raise ValidationException(f"{name} is required for the traffic routing type {kind}.")
    size = _share(routing[name], instances, name, largest=0.5)
    shares = [size] if kind == "CANARY" else _shares(size)[:-1]
    return [*(Step(share, wait, "WaitIntervalInSeconds", "canary") for share in shares), last]


def _rolling(policy: Json, instances: int) -> list[Step]:
    size = _share(policy["MaximumBatchSize"], instances, "MaximumBatchSize", largest=0.5)
    wait = float(policy["WaitIntervalInSeconds"])
    return [Step(share, wait, "WaitIntervalInSeconds", "full" if share == 1 else "batch") for share in _shares(size)]


def _shares(size: float) -> list[float]:
    count = math.ceil(1 / size - 1e-9)
    return [min(1.0, round(number * size, 6)) for number in range(1, count)] + [1.0]


def _share(size: Json, instances: int, name: str, *, largest: float) -> float:
    share: float = size["Value"] / 100 if size["Type"] == "CAPACITY_PERCENT" else size["Value"] / max(instances, 1)
    # one instance cannot be split by instances on SageMaker; by traffic it can, here
    if share > largest and not (size["Type"] == "INSTANCE_COUNT" and instances <= 1):
        raise ValidationException(f"{name} must not be more than {largest:.0%} of the variant's instance count.")
    return min(share, largest)
