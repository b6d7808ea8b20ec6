"""What serves a model now: its endpoints' variants with their shares of the traffic, as SageMaker describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from model_console.store import Index
from sagemaker_jobs.failures import is_absent
from sagemaker_jobs.kinds import Json

if TYPE_CHECKING:
    from types_boto3_sagemaker import SageMakerClient

GROUPS = {"ProductionVariants": "", "ShadowProductionVariants": "shadow"}


@dataclass(frozen=True)
class Variant:
    """A part of an endpoint. ``share`` of its traffic, from 0 to 1; ``instances`` is None if it is paid by use;
    ``role`` is "shadow", "coming" in a deployment under way, or empty; ``version`` is None if it was never promoted."""

    endpoint: str
    status: str
    name: str
    role: str
    version: int | None
    share: float
    instances: int | None


def serving_of(sagemaker: SageMakerClient, group: str, index: Index | None) -> list[Variant]:
    """Production's variants, then staging's; none if there is no endpoint.

    Args:
        group: the prefix of the model's endpoints.

    Raises:
        botocore.exceptions.ClientError: SageMaker cannot be asked.
    """
    versions = {entry.get("endpoint_config"): entry["version"] for entry in (index or {}).get("production", [])}
    found: list[Variant] = []
    for name in (f"{group}-production", f"{group}-staging"):
        try:
            endpoint: Json = dict(sagemaker.describe_endpoint(EndpointName=name))
        except ClientError as error:
            if not is_absent(error):
                raise
            continue
        found += _variants(endpoint, endpoint, versions)
        if coming := endpoint.get("PendingDeploymentSummary"):
            found += _variants(endpoint, coming, versions, "coming")
    return found


def _variants(endpoint: Json, described: Json, versions: Mapping[str | None, int], role: str = "") -> Iterator[Variant]:
    for key, of_group in GROUPS.items():
        variants = described.get(key, [])
        weights = sum(variant.get("CurrentWeight", 0.0) for variant in variants)
        for variant in variants:
            yield Variant(
                endpoint["EndpointName"],
                endpoint["EndpointStatus"],
                variant["VariantName"],
                role or of_group,
                versions.get(described.get("EndpointConfigName")),
                variant.get("CurrentWeight", 0.0) / weights if weights else 0.0,
                None if "CurrentServerlessConfig" in variant else variant.get("CurrentInstanceCount"),
            )
