"""Autoscaling of an endpoint's variants: what to remove before an update and restore after it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_application_autoscaling import ApplicationAutoScalingClient
    from types_boto3_application_autoscaling.type_defs import DeregisterScalableTargetRequestTypeDef
    from types_boto3_sagemaker import SageMakerClient
    from types_boto3_sagemaker.type_defs import ProductionVariantOutputTypeDef

    Variants = Mapping[str, ProductionVariantOutputTypeDef]

log = logging.getLogger(__name__)


def variants_of(sagemaker: SageMakerClient, config: str) -> Variants:
    """The production variants of an endpoint configuration, by name."""
    described = sagemaker.describe_endpoint_config(EndpointConfigName=config)
    return {variant["VariantName"]: variant for variant in described["ProductionVariants"]}


def changes_mode(before: Variants, after: Variants) -> bool:
    """Whether a variant switches between instances and serverless, which SageMaker cannot do."""
    return any(
        ("ServerlessConfig" in before[name]) != ("ServerlessConfig" in after[name])
        for name in before.keys() & after.keys()
    )


def clear_the_way(scaling: ApplicationAutoScalingClient, endpoint: str, before: Variants, after: Variants) -> None:
    """Deregisters the scalable targets that would make SageMaker refuse the update: those of variants that change their
    instance type or disappear.

    https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
    """
    after_types = {name: variant.get("InstanceType") for name, variant in after.items()}
    changed = [
        f"endpoint/{endpoint}/variant/{name}"
        for name, variant in before.items()
        if variant.get("InstanceType") != after_types.get(name)
    ]
    if not changed:
        return
    found = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=changed)
    for target in found["ScalableTargets"]:
        log.info("deregistering the scalable target %s for the duration of the update", target["ResourceId"])
        resource: DeregisterScalableTargetRequestTypeDef = {
            "ServiceNamespace": target["ServiceNamespace"],
            "ResourceId": target["ResourceId"],
            "ScalableDimension": target["ScalableDimension"],
        }
        deregister(scaling, resource)


def deregister(scaling: ApplicationAutoScalingClient, resource: DeregisterScalableTargetRequestTypeDef) -> None:
    """Deregisters a scalable target, if there is one."""
    try:
        scaling.deregister_scalable_target(**resource)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ObjectNotFoundException", "ValidationException"):
            raise
