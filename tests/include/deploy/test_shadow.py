"""A candidate as production's shadow variant: when it may be one, what is requested, and how it ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from botocore.exceptions import ClientError

from include.deploy import shadow
from include.deploy import tasks as deploy
from include.deploy.form import SHADOW, STAGING_ONLY
from include.models.config import ModelConfig
from include.platform.errors import PermanentError
from tests.include.deploy.test_tasks import (
    APPROVALS,
    MODEL,
    Registry,
    context,
    entry,
    promoted,
    registry,
    sagemaker,
)
from tests.include.local_aws import LocalS3

__all__ = ["registry", "sagemaker"]  # fixtures
WITH = MODEL.model_copy(update={"challenger": True})
CAPTURE = {"EnableCapture": True, "InitialSamplingPercentage": 20, "DestinationS3Uri": "s3://my-ml-bucket/capture"}


def serving(**changes: Any) -> ModelConfig:
    return MODEL.model_copy(update={"serving": MODEL.serving.model_copy(update=changes)})


def ends_as_shadow(model: ModelConfig, **arguments: Any) -> bool:
    return deploy.resolve_package(model, APPROVALS, context(**arguments))["shadow"]


def test_the_form_or_an_approval_of_a_challenger(ml_bucket: LocalS3) -> None:
    assert not ends_as_shadow(WITH, approved=[3]), "nothing is in production yet: it continues to its promotion"
    promoted(ml_bucket, entry(1))
    assert ends_as_shadow(MODEL, version=2, stages=SHADOW)
    assert ends_as_shadow(WITH, approved=[3])
    assert not ends_as_shadow(MODEL, approved=[3]), "model.yaml has no challenger"
    assert not ends_as_shadow(WITH, version=3), "somebody wants to promote it"
    without = serving(data_capture_percent=0).model_copy(update={"challenger": True})
    assert not ends_as_shadow(without, approved=[3]), "its answers could not be compared"


@pytest.mark.parametrize(
    ("model", "in_production", "why"),
    [
        (serving(mode="serverless", autoscaling=None), 1, "served serverless, where SageMaker has no shadow"),
        (serving(data_capture_percent=0), 1, "captures no requests"),
        (MODEL.model_copy(update={"monitoring": None}), 1, "no section monitoring"),
        (MODEL, None, "nothing in production"),
        (MODEL, 2, "version 2 of predictive_maintenance is in production"),
    ],
)
def test_where_it_cannot_be_the_form_is_refused(
    ml_bucket: LocalS3, model: ModelConfig, in_production: int | None, why: str
) -> None:
    if in_production:
        promoted(ml_bucket, entry(in_production))
    with pytest.raises(PermanentError, match=why) as refusal:
        ends_as_shadow(model, version=2, stages=SHADOW)
    assert str(refusal.value).endswith("Nothing was changed.")


class Endpoint(Registry):
    """``live`` is production's configuration, ``shadows`` its shadow variants; None: there is no endpoint."""

    shadows: list[str] | None = None
    capture: dict[str, Any] | None = CAPTURE

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        variant = {"VariantName": "AllTraffic", "ModelName": "champion", "InstanceType": "ml.c5.xlarge"}
        found = {"EndpointConfigName": EndpointConfigName, "ProductionVariants": [variant], "KmsKeyId": "key"}
        return {**found, "DataCaptureConfig": self.capture} if self.capture else found

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        if self.shadows is None:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "not found"}}, "DescribeEndpoint")
        return {
            "EndpointConfigName": self.live,
            "ShadowProductionVariants": [{"VariantName": one} for one in self.shadows],
        }


@pytest.fixture
def endpoint(sagemaker: Any, ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    promoted(ml_bucket, entry(1))
    made = Endpoint(sagemaker)
    for module in (shadow, deploy):
        monkeypatch.setattr(module, "sagemaker_client", lambda _: made)
    return made


def test_production_keeps_its_own_variant_and_captures_all(endpoint: Endpoint) -> None:
    resolved = deploy.resolve_package(MODEL, APPROVALS, context(version=2, stages=SHADOW))
    request = shadow.deploy_shadow(MODEL, context(stages=SHADOW), resolved=resolved)
    config = request["config"]
    (own,), (beside,) = config["ProductionVariants"], config["ShadowProductionVariants"]
    assert own == {"VariantName": "AllTraffic", "ModelName": "champion", "InstanceType": "ml.c5.xlarge"}
    assert (beside["VariantName"], beside["InitialInstanceCount"], "ModelName" in beside) == ("Shadow-2", 2, False)
    assert config["DataCaptureConfig"] == {**CAPTURE, "InitialSamplingPercentage": 100}
    assert config["KmsKeyId"] == "key"
    assert request["model"]["PrimaryContainer"]["ModelDataUrl"] == "s3://bucket/2/model.tar.gz"
    assert "REQUEST_LOG_S3_URI" not in request["model"]["PrimaryContainer"].get("Environment", {}), "production's"
    tags = {tag["Key"]: tag["Value"] for tag in request["endpoint"]["Tags"]}
    assert tags["version"] == "1", "the one whose answers callers get"
    shift = request["deployment"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert shift["Type"] == "ALL_AT_ONCE"
    assert request["deployment"]["AutoRollbackConfiguration"]["Alarms"], "they watch production's own variant"


def test_production_that_captures_nothing_yet_has_to_be_promoted_again(endpoint: Endpoint) -> None:
    resolved = deploy.resolve_package(MODEL, APPROVALS, context(version=2, stages=SHADOW))
    endpoint.capture = None
    with pytest.raises(PermanentError, match="Promote that version again"):
        shadow.deploy_shadow(MODEL, context(stages=SHADOW), resolved=resolved)


def test_one_that_is_declined_goes_and_no_other(endpoint: Endpoint) -> None:
    version = {"version": 2}
    for shadows in (None, [], ["Shadow-3"]):
        endpoint.shadows = shadows
        with pytest.raises(AirflowSkipException, match="version 2 is not production's shadow"):
            shadow.remove_shadow(MODEL, context(), version=version)
    endpoint.shadows = ["Shadow-2"]
    with pytest.raises(AirflowSkipException, match="nobody was asked"):
        shadow.remove_shadow(MODEL, context(stages=STAGING_ONLY), version=version)
    assert shadow.remove_shadow(MODEL, context(), version=version)["config_name"] == "config-1"


def test_people_are_told_how_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(shadow, "notify", lambda *said: told.append(said))
    run = {**context(), "dag": SimpleNamespace(dag_id="deploy_predictive_maintenance")}
    shadow.report_shadow(MODEL, run, version={"version": 2}, deployed={"endpoint": "e", "config": "c"})
    assert told[0][0] == "deploy_predictive_maintenance: version 2 is production's shadow"
    assert "trigger deploy_predictive_maintenance for version 2" in told[0][1]
