"""How an endpoint moves from one configuration to the next: traffic steps, baking times, alarms; no processes here.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from include.local_sagemaker.core.errors import ValidationException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import Json

DEFAULT_MAXIMUM_SECONDS = 8 * 3600.0
_LARGEST_SHARE = 0.5


@dataclass(frozen=True)
class Step:
    """Send a share (0-1) of the traffic to the new fleet, then watch the alarms for the given seconds."""

    share: float
    bake_seconds: float
    wait: str  # the name of the setting that the seconds come from
    capacity: str  # canary or full

    def message(self, instances: int) -> str:
        """The StatusMessage of a baking variant."""
        active = math.ceil(self.share * instances)
        return (
            f"Baking for {self.bake_seconds:g} seconds ({self.wait}) with traffic enabled on {self.capacity} capacity "
            f"of {active} instance(s)."
        )


@dataclass(frozen=True)
class Plan:
    """The steps of a deployment; a breach of an alarm or of the time limit rolls it back."""

    steps: Sequence[Step]
    alarms: Sequence[str]
    maximum_seconds: float
    watched_by: Region  # the region, acting as the role that must be allowed to see the alarms

    @classmethod
    def from_config(cls, region: Region, config: Json | None, new: Json, old: Json | None = None) -> "Plan":
        """Read a DeploymentConfig for moving from one deployment to another; without one, all traffic moves at once.

        Raises:
            ValidationException: a policy without a size or with one that the fleet does not allow, an alarm that does
            not exist, or one that the endpoint's role may not see.
        """
        config = config or {}
        if "BlueGreenUpdatePolicy" in config and "RollingUpdatePolicy" in config:
            raise ValidationException("BlueGreenUpdatePolicy and RollingUpdatePolicy cannot both be given.")
        alarms = [one["AlarmName"] for one in config.get("AutoRollbackConfiguration", {}).get("Alarms", [])]
        watched_by = role_of(region, new)
        if missing := sorted(set(alarms) - _alarm_states(watched_by, alarms).keys()):
            raise ValidationException(f"Could not find CloudWatch alarm(s): {', '.join(missing)}.")
        policy = config.get("RollingUpdatePolicy") or config.get("BlueGreenUpdatePolicy") or {}
        instances = sum(
            new["capacities"][one["VariantName"]]["instances"] for one in new["config"]["ProductionVariants"]
        )
        rolling = "RollingUpdatePolicy" in config
        steps = _rolling(policy, instances) if rolling else _blue_green(policy, instances)
        if len(steps) > 1:
            _check_variants(new, old, rolling=rolling)
        longest = float(policy.get("MaximumExecutionTimeoutInSeconds", DEFAULT_MAXIMUM_SECONDS))
        waits = sum({step.wait: step.bake_seconds for step in steps}.values())
        if longest < waits:
            raise ValidationException(
                f"MaximumExecutionTimeoutInSeconds ({longest:g}) must not be less than the waiting times ({waits:g})."
            )
        return cls(steps, alarms, longest, watched_by)

    def breached(self) -> list[str]:
        """The names of the alarms that are in ALARM now. Raises ValidationException as ``from_config``."""
        return sorted(name for name, state in _alarm_states(self.watched_by, self.alarms).items() if state == "ALARM")


def instances_of(*deployments: Json) -> dict[str, int]:
    """The instances of all deployments together, by instance type; serverless ones have none."""
    found: Counter[str] = Counter()
    for one in deployments:
        for variant in [*one["config"]["ProductionVariants"], *one["config"].get("ShadowProductionVariants", [])]:
            if "InstanceType" in variant:
                found[variant["InstanceType"]] += one["capacities"][variant["VariantName"]]["instances"]
    return dict(found)


def role_of(region: Region, deployment: Json) -> Region:
    """The region as the execution role of the deployment's model, which SageMaker acts as."""
    (container, *_), *_ = deployment["containers"].values()
    return region.acting_as(container.get("_Role", ""))


def _check_variants(new: Json, old: Json | None, *, rolling: bool) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html"""
    variants = new["config"]["ProductionVariants"]
    names = {one["VariantName"] for one in variants}
    before = names if old is None else {one["VariantName"] for one in old["config"]["ProductionVariants"]}
    if names != before:
        raise ValidationException(
            "Traffic can be shifted step by step only between configurations with the same variant names: "
            f"{', '.join(sorted(before))} are not {', '.join(sorted(names))}."
        )
    if rolling and (len(variants) > 1 or "ServerlessConfig" in variants[0]):
        raise ValidationException(
            "RollingUpdatePolicy is not supported for serverless endpoints or endpoints with several variants."
        )


def _alarm_states(region: Region, names: Sequence[str]) -> dict[str, str]:
    """The current state of each of these CloudWatch alarms that exists."""
    if not names:
        return {}
    try:
        found = region.client("cloudwatch").describe_alarms(AlarmNames=list(names))["MetricAlarms"]
    except ClientError as error:
        raise ValidationException(
            f"Role {region.role} must have the permission cloudwatch:DescribeAlarms for the alarms of"
            f" AutoRollbackConfiguration: {error.response['Error']['Message']}"
        ) from error
    return {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}


def _blue_green(policy: Json, instances: int) -> list[Step]:
    routing = policy.get("TrafficRoutingConfiguration", {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0})
    kind, wait = routing["Type"], float(routing["WaitIntervalInSeconds"])
    last = Step(1.0, float(policy.get("TerminationWaitInSeconds", 0)), "TerminationWaitInSeconds", "full")
    if kind == "ALL_AT_ONCE":
        return [last]
    name, smallest = ("CanarySize", 0.0) if kind == "CANARY" else ("LinearStepSize", 0.1)
    if name not in routing:
        raise ValidationException(f"{name} is required for the traffic routing type {kind}.")
    size = _share(routing[name], instances, name, smallest)
    shares = [size] if kind == "CANARY" else _shares(size)[:-1]
    return [*(Step(share, wait, "WaitIntervalInSeconds", "canary") for share in shares), last]


def _rolling(policy: Json, instances: int) -> list[Step]:
    size = _share(policy["MaximumBatchSize"], instances, "MaximumBatchSize", 0.05)
    wait = float(policy["WaitIntervalInSeconds"])
    return [Step(share, wait, "WaitIntervalInSeconds", "full" if share == 1 else "batch") for share in _shares(size)]


def _shares(size: float) -> list[float]:
    count = math.ceil(1 / size - 1e-9)
    return [min(1.0, round(number * size, 6)) for number in range(1, count)] + [1.0]


def _share(size: Json, instances: int, name: str, smallest: float) -> float:
    """Raises ValidationException for a size beyond half of the fleet: for a single instance no number is small enough.
    A percentage of a single instance remains a share of the traffic here; AWS does not say what it does with it.
    """
    share: float = size["Value"] / 100 if size["Type"] == "CAPACITY_PERCENT" else size["Value"] / max(instances, 1)
    if not smallest <= share <= _LARGEST_SHARE:
        least = f"at least {smallest:.0%} and " if smallest else ""
        raise ValidationException(
            f"{name} must be {least}at most {_LARGEST_SHARE:.0%} of the variant's instance count ({instances})."
        )
    return share
