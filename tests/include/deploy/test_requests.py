"""Requests for endpoints, validated against botocore's models of the APIs."""

from __future__ import annotations

from typing import Any, get_args

import botocore.loaders
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from include.deploy import requests as endpoints
from include.deploy.serving_modes import MODES, mode_of, monthly_cost
from include.deploy.traffic import alarms, deployment
from include.models.config import Mode, ModelConfig, Serving, Strategy, load_model
from include.models.quoting import VARIABLE
from include.platform.environment import MlEnvironment
from include.platform.request_parts import RequestError
from include.registry.versions import RegisteredVersion
from tests.include.train.test_requests import ARTIFACT, BARE, ENVIRONMENTS, FULL, problems

MODEL = load_model("predictive_maintenance")
SERVERLESS = {"mode": "serverless", "instance_type": "ml.m5.large"}
VERSION = RegisteredVersion(version=3, model_package_arn="arn:3", artifact=ARTIFACT, image="image:1")
HURRIED = MlEnvironment.model_validate({**BARE, "traffic_step_seconds": 15})


def model_with(**serving: Any) -> ModelConfig:
    changed: ModelConfig = MODEL.model_copy(
        update={"serving": Serving.model_validate({"instance_type": "ml.m5.large", **serving})}
    )
    return changed


def built(model: ModelConfig, environment: MlEnvironment, stage: str, **more: Any) -> dict[str, Any]:
    build = endpoints.staging_endpoint if stage == "staging" else endpoints.production_endpoint
    return build(model, environment, VERSION, **more)


def require_valid(service: str, operation: str, request: dict[str, Any]) -> None:
    api = ServiceModel(botocore.loaders.Loader().load_service_model(service, "service-2"), service)
    shape = api.operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    assert list(problems(shape, request)) == []


def config_request(wanted: dict[str, Any]) -> dict[str, Any]:
    variants = [{**variant, "ModelName": "model"} for variant in wanted["config"]["ProductionVariants"]]
    return {**wanted["config"], "ProductionVariants": variants}


@pytest.mark.parametrize("environment", [*ENVIRONMENTS, HURRIED], ids=["bare", "everything set", "hurried"])
@pytest.mark.parametrize("strategy", [None, "canary", "linear", "all_at_once", "immediate"])
def test_production_is_what_the_apis_take(environment: MlEnvironment, strategy: Strategy | None) -> None:
    wanted = built(MODEL, environment, "production", strategy=strategy)
    require_valid("sagemaker", "CreateEndpointConfig", config_request(wanted))
    require_valid("sagemaker", "CreateEndpoint", {**wanted["endpoint"], "EndpointConfigName": "config"})
    update = {"EndpointName": "name", "EndpointConfigName": "config", "DeploymentConfig": wanted["deployment"]}
    require_valid("sagemaker", "UpdateEndpoint", update)
    for alarm in wanted["alarms"]:
        require_valid("cloudwatch", "PutMetricAlarm", alarm)
    require_valid("application-autoscaling", "RegisterScalableTarget", wanted["scaling"]["target"])
    require_valid("application-autoscaling", "PutScalingPolicy", wanted["scaling"]["policy"])


@pytest.mark.parametrize("strategy", ["canary", "linear"])
def test_one_instance_takes_over_all_at_once_and_the_form_says_why(strategy: Strategy) -> None:
    """Half of one instance is none: SageMaker allows at most half of the fleet in the first step."""
    environment = ENVIRONMENTS[0]
    one, two = (
        model_with(instance_count=count, deployment={"strategy": strategy, "share_percent": 50}) for count in (1, 2)
    )
    routing = [
        built(model, environment, "production")["deployment"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
        for model in (one, two)
    ]
    assert [part["Type"] for part in routing] == ["ALL_AT_ONCE", strategy.upper()]
    assert built(one, environment, "production")["deployment"]["AutoRollbackConfiguration"]["Alarms"]
    said = mode_of(one).traffic(one, environment, None)
    assert said.startswith("all at once; an alarm")
    assert "instance_count of at least 2" in said
    assert "instance_count" not in mode_of(two).traffic(two, environment, None)


def test_an_isolated_serverless_container_cannot_keep_requests() -> None:
    isolated = MlEnvironment.model_validate({**BARE, "network_isolation": True})
    with pytest.raises(RequestError, match="network_isolation"):
        built(model_with(mode="serverless", data_capture_percent=5), isolated, "production")
    made = built(model_with(mode="serverless"), isolated, "production")
    assert made["model"]["EnableNetworkIsolation"] is True


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=["bare", "everything set"])
def test_serverless_knows_neither_shifting_nor_capture_nor_scaling(environment: MlEnvironment) -> None:
    model = model_with(**SERVERLESS, serverless={"memory_mb": 4096, "max_concurrency": 9})
    wanted = built(model, environment, "production")
    require_valid("sagemaker", "CreateEndpointConfig", config_request(wanted))
    assert set(wanted) == {"endpoint", "model", "config"}
    (variant,) = wanted["config"]["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 4096, "MaxConcurrency": 9}
    assert "InstanceType" not in variant
    assert "DataCaptureConfig" not in wanted["config"]
    assert "Environment" not in wanted["model"]["PrimaryContainer"]
    assert "VpcConfig" not in wanted["model"]
    with pytest.raises(RequestError, match="no traffic shifting"):
        built(model, environment, "production", strategy="canary")


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=["bare", "everything set"])
def test_a_serverless_endpoint_keeps_its_requests_where_data_capture_would(environment: MlEnvironment) -> None:
    model = model_with(**SERVERLESS, data_capture_percent=25)
    for stage in ("staging", "production"):
        wanted = built(model, environment, stage)
        assert "DataCaptureConfig" not in wanted["config"]
        require_valid("sagemaker", "CreateModel", wanted["model"])
        place = f"s3://{environment.bucket}/capture/{wanted['endpoint']['EndpointName']}/AllTraffic"
        kept = {"REQUEST_LOG_S3_URI": place, "REQUEST_LOG_PERCENT": "25"}
        assert wanted["model"]["PrimaryContainer"]["Environment"] == kept
    provisioned = built(model_with(data_capture_percent=25), environment, "production")
    of_refused = {} if environment.network_isolation else kept | {"REQUEST_LOG_ONLY": "refused"}
    assert provisioned["model"]["PrimaryContainer"].get("Environment", {}) == of_refused
    assert provisioned["config"]["DataCaptureConfig"]["InitialSamplingPercentage"] == 25


@pytest.mark.parametrize("mode", [{}, {**SERVERLESS, "data_capture_percent": 25}], ids=["instances", "serverless"])
def test_an_endpoint_is_told_whether_it_may_quote_values(mode: dict[str, Any]) -> None:
    model = model_with(**mode)
    silent = model.model_copy(update={"quote_values": False})
    told = [built(one, ENVIRONMENTS[0], "staging")["model"]["PrimaryContainer"] for one in (model, silent)]
    assert [one.get("Environment", {}).get(VARIABLE) for one in told] == [None, "no"]
    assert ("REQUEST_LOG_PERCENT" in told[1]["Environment"]) == bool(mode)


def test_production_gets_the_configuration_that_staging_was_tested_with() -> None:
    staging, production = (built(MODEL, ENVIRONMENTS[0], stage) for stage in ("staging", "production"))
    assert staging["config"] == production["config"]
    places = [
        one["model"]["PrimaryContainer"]["Environment"].pop("REQUEST_LOG_S3_URI") for one in (staging, production)
    ]
    assert places[0] == places[1].replace("production", "staging")
    assert staging["model"] == production["model"]
    assert staging["endpoint"]["EndpointName"] != production["endpoint"]["EndpointName"]
    assert "deployment" not in staging


def test_staging_may_be_serverless_beside_a_production_on_instances() -> None:
    model = model_with(staging="serverless")
    staging, production = (built(model, ENVIRONMENTS[0], stage) for stage in ("staging", "production"))
    assert "ServerlessConfig" in staging["config"]["ProductionVariants"][0]
    assert "InstanceType" in production["config"]["ProductionVariants"][0]


@pytest.mark.parametrize(
    ("serving", "total", "staging"),
    [
        ({"staging": "delete"}, "84 USD a month", "nothing: it is deleted after its test"),
        ({"staging": "keep"}, "168 USD a month", "84 USD: it is kept"),
        ({"staging": "serverless"}, "84 USD a month", "by use (serverless), 0.04 USD for 1,000 seconds of answering"),
        (
            {"staging": "keep", "instance_count": 2, "autoscaling": {"max_instances": 4}},
            "336 to 504 USD a month",
            "168 USD: it is kept",
        ),
        ({"mode": "serverless"}, "no fixed price", "nothing: it is deleted after its test"),
        ({"instance_type": "ml.m7i.large"}, "no known price", "nothing: it is deleted after its test"),
    ],
)
def test_a_promotions_price_counts_production_and_staging(serving: dict[str, Any], total: str, staging: str) -> None:
    cost = monthly_cost(model_with(**serving), "us-east-1")
    assert (cost.total, cost.staging) == (total, staging)


def test_every_alarm_takes_a_deployment_back_but_an_immediate_one() -> None:
    own = {"name": "drift", "namespace": "Models", "metric": "drift", "max": 0.2}
    model = model_with(alarms={"p99_latency_ms": 250, "errors_5xx": 2, "custom": [own]})
    wanted = built(model, ENVIRONMENTS[1], "production")
    alarms = {alarm["AlarmName"]: alarm for alarm in wanted["alarms"]}
    rollback = wanted["deployment"]["AutoRollbackConfiguration"]["Alarms"]
    assert [alarm["AlarmName"] for alarm in rollback] == list(alarms)
    thresholds = {name.rsplit("-", 1)[1]: alarm["Threshold"] for name, alarm in alarms.items()}
    assert thresholds == {"latency": 250_000, "errors": 2, "drift": 0.2}
    for alarm in wanted["alarms"]:
        require_valid("cloudwatch", "PutMetricAlarm", alarm)
    assert (
        "AutoRollbackConfiguration"
        not in built(model, ENVIRONMENTS[1], "production", strategy="immediate")["deployment"]
    )


@pytest.mark.parametrize(
    ("strategy", "size"), [("canary", "CanarySize"), ("linear", "LinearStepSize"), ("all_at_once", None)]
)
def test_traffic_shifts_as_the_strategy_says(strategy: Strategy, size: str | None) -> None:
    rule = MODEL.serving.deployment
    routing = deployment(MODEL, ENVIRONMENTS[0], strategy)["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    share = {"Type": "CAPACITY_PERCENT", "Value": rule.share_percent}
    wanted = {"Type": strategy.upper(), "WaitIntervalInSeconds": 60 * rule.wait_minutes}
    assert routing == (wanted | {size: share} if size else wanted)


@pytest.mark.parametrize(
    ("bound", "comparison"), [({"max": 3.0}, "GreaterThanThreshold"), ({"min": 0.0}, "LessThanThreshold")]
)
def test_the_alarm_of_a_metric_of_ones_own_is_raised_beyond_its_bound(bound: dict[str, float], comparison: str) -> None:
    custom = {"name": "orders", "namespace": "Shop", "metric": "Orders", "statistic": "Sum", **bound}
    topic = "arn:aws:sns:eu-west-1:123456789012:alerts"
    environment = MlEnvironment.model_validate({**BARE, "sns_topic_arn": topic})
    alarm = alarms(model_with(alarms={"custom": [custom]}), environment)[-1]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (next(iter(bound.values())), comparison)
    assert alarm["AlarmActions"] == [topic]
    assert alarms(MODEL, ENVIRONMENTS[0])[0]["AlarmActions"] == []


def test_an_endpoint_encrypts_with_the_environments_key_and_captures_where_model_yaml_says_so() -> None:
    for percent in (0, 20):
        bare, full = (
            mode_of(model_with(data_capture_percent=percent)).config_settings(
                model_with(data_capture_percent=percent), one
            )
            for one in ENVIRONMENTS
        )
        assert (bare.get("KmsKeyId"), full["KmsKeyId"]) == (None, FULL["kms_key_id"])
        assert ("DataCaptureConfig" in bare, "DataCaptureConfig" in full) == (bool(percent), bool(percent))


def test_an_environment_may_hurry_and_its_alarms_keep_up() -> None:
    slow, quick = (built(MODEL, environment, "production") for environment in (ENVIRONMENTS[0], HURRIED))
    waits = [
        wanted["deployment"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"]
        for wanted in (slow, quick)
    ]
    assert waits == [600, 15]
    assert slow["alarms"][0]["Period"] == 60
    assert quick["alarms"][0]["Period"] < waits[1]


def test_what_goes_back_goes_at_once_and_keeps_its_scaling() -> None:
    environment = MlEnvironment.model_validate(FULL)
    wanted = endpoints.restored_endpoint(MODEL, environment, version=2, config_name="config")
    assert wanted["config_name"] == "config"
    assert wanted["deployment"] == deployment(MODEL, ENVIRONMENTS[0], "immediate")
    assert wanted["scaling"]["policy"]
    again = endpoints.replaced_endpoint(MODEL, environment, VERSION)
    assert again["config"] == built(MODEL, environment, "production")["config"], "somebody removed one"
    assert (again["deployment"], again["scaling"]) == (wanted["deployment"], wanted["scaling"])


def test_what_goes_back_of_a_serverless_endpoint_is_its_configuration_alone() -> None:
    model = model_with(**SERVERLESS)
    wanted = endpoints.restored_endpoint(model, ENVIRONMENTS[0], version=2, config_name="config")
    assert set(wanted) == {"endpoint", "config_name"}
    assert set(endpoints.replaced_endpoint(model, ENVIRONMENTS[0], VERSION)) == {"endpoint", "model", "config"}


def test_every_mode_of_the_schema_is_served() -> None:
    assert set(MODES) == set(get_args(Mode))
    for mode in get_args(Mode):
        assert mode_of(model_with(mode=mode)).variant(MODEL.serving)


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        ({**SERVERLESS, "autoscaling": {"max_instances": 2}}, "a serverless endpoint has no autoscaling"),
        ({"instance_count": 3, "autoscaling": {"max_instances": 2}}, "below instance_count"),
        ({"alarms": {"custom": [{"name": "x1", "namespace": "n", "metric": "m"}]}}, "either min or max"),
        ({"deployment": {"share_percent": 60}}, "less than or equal to 50"),
        ({"serverless": {"memory_mb": 1500}}, "multiple of 1024"),
    ],
)
def test_what_cannot_be_served_is_refused(serving: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        model_with(**serving)
