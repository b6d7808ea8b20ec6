"""Updates that a serving endpoint must not get, and the scalable targets that prevent some."""

from __future__ import annotations

from include.local_sagemaker.core.errors import ValidationException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import Json

_SCALING = "application-autoscaling"


def check_change(region: Region, endpoint: Json, config: Json) -> None:
    """Raises ValidationException for what UpdateEndpoint refuses.

    https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
    https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-update.html
    """
    before, after = (_variants(one) for one in (endpoint["_Live"]["config"], config))
    if _is_serverless(before) != _is_serverless(after):
        raise ValidationException(
            f'Cannot update endpoint "{endpoint["EndpointArn"]}": it cannot change between serverless and instances.'
            " Create another endpoint, or delete this one first."
        )
    scaled = scaled_variants(region, endpoint["EndpointName"])
    changed = [
        name for name in scaled if before.get(name, {}).get("InstanceType") != after.get(name, {}).get("InstanceType")
    ]
    if changed:
        raise ValidationException(
            f'The variant(s) "{", ".join(changed)}" must be deregistered as scalable target with AutoScaling before'
            " they can be removed or have their instance type updated."
        )


def _variants(config: Json) -> dict[str, Json]:
    return {one["VariantName"]: one for one in config["ProductionVariants"]}


def _is_serverless(variants: dict[str, Json]) -> bool:
    return any("ServerlessConfig" in one for one in variants.values())


def scaled_variants(region: Region, endpoint: str) -> list[str]:
    """The variants whose instance count is a registered scalable target."""
    pages = region.client(_SCALING).get_paginator("describe_scalable_targets")
    prefix = f"endpoint/{endpoint}/variant/"
    return sorted(
        target["ResourceId"].removeprefix(prefix)
        for page in pages.paginate(ServiceNamespace="sagemaker")
        for target in page["ScalableTargets"]
        if target["ResourceId"].startswith(prefix)
    )


def deregister_targets(region: Region, endpoint: str) -> None:
    """DeleteEndpoint removes the scalable targets of its variants."""
    for variant in scaled_variants(region, endpoint):
        region.client(_SCALING).deregister_scalable_target(
            ServiceNamespace="sagemaker",
            ResourceId=f"endpoint/{endpoint}/variant/{variant}",
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        )
