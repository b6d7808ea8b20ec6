"""What currently serves a model, as SageMaker describes it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from model_console.serving import Variant, serving_of
from tests.plugins.model_console.test_overview import index


class SageMaker:
    """One endpoint in the middle of a deployment, with a shadow; ``code`` is the error for every other name."""

    code = "ValidationException"

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        if EndpointName != "pumps-production":
            raise ClientError({"Error": {"Code": self.code, "Message": "Could not find endpoint"}}, "DescribeEndpoint")
        instances = {"VariantName": "AllTraffic", "CurrentInstanceCount": 2}
        return {
            "EndpointName": EndpointName,
            "EndpointStatus": "Updating",
            "EndpointConfigName": "config-2",
            "ProductionVariants": [
                {**instances, "CurrentWeight": 3.0},
                {"VariantName": "Small", "CurrentWeight": 1.0, "CurrentServerlessConfig": {"MemorySizeInMB": 2048}},
            ],
            "ShadowProductionVariants": [{**instances, "VariantName": "Shadow", "CurrentWeight": 1.0}],
            "PendingDeploymentSummary": {
                "EndpointConfigName": "config-3",
                "ProductionVariants": [{**instances, "CurrentWeight": 1.0}],
            },
        }


def test_variants_have_their_share_their_version_and_their_role() -> None:
    served = index(production=[{"version": 2, "endpoint_config": "config-2", "from": "2026-11-02", "to": None}])
    found = serving_of(SageMaker(), "pumps", served)  # type: ignore[arg-type]
    of = ("pumps-production", "Updating")
    assert found == [
        Variant(*of, "AllTraffic", "", 2, 0.75, 2),
        Variant(*of, "Small", "", 2, 0.25, None),
        Variant(*of, "Shadow", "shadow", 2, 1.0, 2),
        Variant(*of, "AllTraffic", "coming", None, 1.0, 2),
    ]


def test_what_may_not_be_asked_is_not_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SageMaker, "code", "AccessDeniedException")
    with pytest.raises(ClientError, match="AccessDenied"):
        serving_of(SageMaker(), "mills", None)  # type: ignore[arg-type]
