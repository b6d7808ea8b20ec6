"""The endpoint operator against a local SageMaker with real serving processes: from every state to the desired one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred
from botocore.exceptions import ClientError

from sagemaker_jobs import endpoints
from sagemaker_jobs.endpoints import DeploymentFailed, EndpointOperator
from sagemaker_jobs.failures import RequestRefused
from sagemaker_jobs.hosting import prune
from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting
from tests.include.local_sagemaker.local_server import CREDENTIALS, IMAGE, ROLE

from .conftest import FakeTaskInstance

pytestmark = pytest.mark.slow
SHIFT = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "WaitIntervalInSeconds": 3,
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 50},
        }
    }
}


class Killed(BaseException):
    """Ends a task as a SIGKILL would: nothing runs after it."""


@pytest.fixture(autouse=True)
def _environment(hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": hosting.url}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(endpoints, "SHORT_WAIT", 0.5)
    monkeypatch.setattr("sagemaker_jobs.waiting.FIRST_LOOK", 0.1)


def wanted(name: str, word: str, **more: Any) -> dict[str, Any]:
    """An endpoint that answers with the word; with MODE=exit it does not start."""
    environment = {"MODE": word} if word in ("exit", "error") else {"MODE": "name", "NAME": word}
    container = {"Image": IMAGE, "ModelDataUrl": ARTIFACT, "Environment": environment}
    return {
        "endpoint": {"EndpointName": name, "Tags": [{"Key": "version", "Value": word}]},
        "model": {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container},
        "config": {
            "EndpointConfigName": name,
            "ProductionVariants": [
                {"VariantName": "AllTraffic", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
            ],
        },
        **more,
    }


def started(request: dict[str, Any], ti: FakeTaskInstance) -> tuple[EndpointOperator, dict[str, Any]]:
    operator = EndpointOperator(
        task_id="deploy", request=lambda context: request, retries=2, aws_conn_id=None, region_name="us-east-1"
    )
    return operator, {"ti": ti}


def run(request: dict[str, Any], ti: FakeTaskInstance | None = None) -> dict[str, Any]:
    """The operator's result; its triggers run here as in the triggerer."""
    operator, context = started(request, ti or FakeTaskInstance())

    async def first_event(trigger: Any) -> Any:
        async for event in trigger.run():
            return event.payload
        return None

    def step() -> dict[str, Any]:
        return operator.execute(context)

    action: Callable[[], dict[str, Any]] = step
    while True:
        try:
            return action()
        except TaskDeferred as deferral:
            event = asyncio.run(first_event(deferral.trigger))
            arguments = deferral.kwargs or {}

            def resumed(event: Any = event, arguments: Any = arguments) -> dict[str, Any]:
                return operator.execute_complete(context, event, **arguments)

            action = resumed


def configs_of(hosting: Hosting, name: str) -> list[str]:
    found = hosting.sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    return [config["EndpointConfigName"] for config in found]


@contextmanager
def client_at_20_a_second(hosting: Hosting, name: str) -> Iterator[list[str]]:
    """The errors of requests that failed meanwhile."""
    failed: list[str] = []
    asked = [0]
    stop = threading.Event()

    def invoke() -> None:
        while not stop.wait(0.05):
            asked[0] += 1
            try:
                hosting.invoke(name)
            except ClientError as error:
                failed.append(str(error))

    thread = threading.Thread(target=invoke)
    thread.start()
    yield failed
    stop.set()
    thread.join()
    assert asked[0] > 10


def test_absent_is_created_current_is_left_alone_another_is_updated(hosting: Hosting) -> None:
    name = hosting.name("absent")
    first = run(wanted(name, "one"))
    assert first["changed"]
    assert hosting.invoke(name) == b"one"
    again = run(wanted(name, "one"), FakeTaskInstance(run_id="another run"))
    assert (again["changed"], again["config"], again["updated"]) == (False, first["config"], first["updated"])
    with client_at_20_a_second(hosting, name) as failed:
        second = run(wanted(name, "two", deployment=SHIFT), FakeTaskInstance(run_id="a third run"))
    assert failed == []
    assert second["changed"]
    assert hosting.invoke(name) == b"two"
    tags = {tag["Key"]: tag["Value"] for tag in hosting.sagemaker.list_tags(ResourceArn=second["arn"])["Tags"]}
    assert tags["version"] == "two"
    assert len(configs_of(hosting, name)) == 2


@pytest.mark.parametrize("where", ["create_model", "create_endpoint_config", "create_endpoint", "describe_endpoint"])
@pytest.mark.parametrize("before", [True, False])
def test_killed_around_any_call_and_tried_again_it_converges(
    hosting: Hosting, where: str, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, ti = hosting.name("killed"), FakeTaskInstance()
    operator, context = started(wanted(name, "one"), ti)
    real = getattr(operator.hook.conn, where)

    def killing(**request: Any) -> Any:
        if not before:
            real(**request)
        raise Killed

    monkeypatch.setattr(operator.hook.conn, where, killing)
    with pytest.raises(Killed):
        operator.execute(context)
    ti.try_number += 1
    assert run(wanted(name, "one"), ti)["status"] == "InService"
    assert len(configs_of(hosting, name)) == 1
    assert len(hosting.sagemaker.list_models(NameContains=name)["Models"]) == 1


@pytest.mark.parametrize("before", [True, False])
def test_killed_around_the_update_no_request_fails(
    hosting: Hosting, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, ti = hosting.name("updated"), FakeTaskInstance(run_id="second")
    run(wanted(name, "one"))
    with client_at_20_a_second(hosting, name) as failed:
        operator, context = started(wanted(name, "two", deployment=SHIFT), ti)
        real = operator.hook.conn.update_endpoint

        def killing(**request: Any) -> None:
            if not before:
                real(**request)
            raise Killed

        monkeypatch.setattr(operator.hook.conn, "update_endpoint", killing)
        with pytest.raises(Killed):
            operator.execute(context)
        result = run(wanted(name, "two", deployment=SHIFT), ti)
    assert failed == []
    assert result["status"] == "InService"
    assert hosting.invoke(name) == b"two"


def test_an_update_of_somebody_else_is_waited_for(hosting: Hosting) -> None:
    name = hosting.name("busy")
    run(wanted(name, "one"))
    other, context = started(wanted(name, "two", deployment=SHIFT), FakeTaskInstance(run_id="other"))
    with pytest.raises(TaskDeferred):
        other.execute(context)
    assert hosting.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating"
    run(wanted(name, "three"), FakeTaskInstance(run_id="mine"))
    assert hosting.invoke(name) == b"three"


def test_what_an_alarm_takes_back_fails_with_its_reason_and_is_not_tried_again(hosting: Hosting) -> None:
    name, ti = hosting.name("bad"), FakeTaskInstance(run_id="second")
    first = run(wanted(name, "one"))
    alarm = {
        "AlarmName": f"{name}-errors",
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocation5XXErrors",
        "Dimensions": [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "AllTraffic"}],
        "Period": 5,
        "EvaluationPeriods": 1,
        "Statistic": "Sum",
        "Threshold": 0.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    routing = {**SHIFT["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"], "WaitIntervalInSeconds": 60}
    shift = {
        "BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing},
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm["AlarmName"]}]},
    }
    request = wanted(name, "error", deployment=shift, alarms=[alarm])
    stop = threading.Event()

    def invoke() -> None:
        while not stop.wait(0.05):
            try:
                hosting.invoke(name)
            except ClientError:
                continue

    traffic = threading.Thread(target=invoke)
    traffic.start()
    try:
        with pytest.raises(DeploymentFailed, match=rf"{alarm['AlarmName']}") as failure:
            run(request, ti)
    finally:
        stop.set()
        traffic.join()
    assert f"serves with {first['config']}" in str(failure.value)
    assert hosting.invoke(name) == b"one"
    updated = hosting.sagemaker.describe_endpoint(EndpointName=name)["LastModifiedTime"]
    # killed before it could report that: the endpoint's tag tells the retry that the change was its own
    with pytest.raises(DeploymentFailed, match="rolled back"):
        run(request, ti)
    assert hosting.sagemaker.describe_endpoint(EndpointName=name)["LastModifiedTime"] == updated


def test_one_that_does_not_start_says_why_and_is_replaced_when_asked_again(hosting: Hosting) -> None:
    name, ti = hosting.name("dead"), FakeTaskInstance()
    with pytest.raises(DeploymentFailed, match="is Failed") as failure:
        run(wanted(name, "exit"), ti)
    assert "last log lines" in str(failure.value)
    with pytest.raises(DeploymentFailed):
        run(wanted(name, "exit"), ti)
    cleared = FakeTaskInstance(max_tries=ti.max_tries + 3)
    assert run(wanted(name, "one"), cleared)["status"] == "InService"
    assert hosting.invoke(name) == b"one"


def test_a_shadow_is_added_beside_what_serves_and_taken_away_again(hosting: Hosting) -> None:
    name = hosting.name("shadowed")
    first = run(wanted(name, "champion"))
    live = hosting.sagemaker.describe_endpoint_config(EndpointConfigName=first["config"])
    beside = wanted(name, "candidate")
    shadow = {"VariantName": "Shadow-2", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    beside["config"] |= {"ProductionVariants": live["ProductionVariants"], "ShadowProductionVariants": [shadow]}
    at_once = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    beside["deployment"] = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": at_once}}
    with client_at_20_a_second(hosting, name) as failed:
        second = run(beside, FakeTaskInstance(run_id="shadow"))
        assert {hosting.invoke(name) for _ in range(10)} == {b"champion"}
        found = hosting.sagemaker.describe_endpoint(EndpointName=name)
        assert [one["VariantName"] for one in found["ShadowProductionVariants"]] == ["Shadow-2"]
        assert second["model"] == first["model"], "production's own"
        back = {"endpoint": beside["endpoint"], "config_name": first["config"]}
        run(back, FakeTaskInstance(run_id="declined"))
        assert hosting.invoke(name) == b"champion"
    assert failed == []
    assert "ShadowProductionVariants" not in hosting.sagemaker.describe_endpoint(EndpointName=name)


def test_a_configuration_by_name_and_scaling(hosting: Hosting) -> None:
    name = hosting.name("scaled")
    resource = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    policy = {
        **resource,
        "PolicyName": "by-invocations",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 100.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        },
    }
    scaling = {"target": {**resource, "MinCapacity": 1, "MaxCapacity": 2}, "policy": policy}
    first = run(wanted(name, "one", scaling=scaling))
    client = hosting.client("application-autoscaling")
    found = client.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource["ResourceId"])
    assert [one["PolicyName"] for one in found["ScalingPolicies"]] == ["by-invocations"]
    run(wanted(name, "two", scaling=scaling), FakeTaskInstance(run_id="second"))
    back = {"endpoint": {"EndpointName": name, "Tags": []}, "config_name": first["config"]}
    off = {"target": resource, "policy": None}
    result = run({**back, "scaling": off}, FakeTaskInstance(run_id="third"))
    assert (result["config"], result["changed"]) == (first["config"], True)
    assert hosting.invoke(name) == b"one"
    assert not client.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource["ResourceId"]])[
        "ScalableTargets"
    ]


def _scaled(name: str) -> dict[str, Any]:
    resource = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{name}/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    tracking = {
        "TargetValue": 100.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    }
    return {
        "target": {**resource, "MinCapacity": 1, "MaxCapacity": 2},
        "policy": {
            **resource,
            "PolicyName": "by-invocations",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": tracking,
        },
    }


def _on(name: str, word: str, kind: str, **more: Any) -> dict[str, Any]:
    request = wanted(name, word, scaling=_scaled(name), **more)
    request["config"]["ProductionVariants"][0]["InstanceType"] = kind
    return request


def _policies(hosting: Hosting, name: str) -> list[str]:
    found = hosting.client("application-autoscaling").describe_scaling_policies(
        ServiceNamespace="sagemaker", ResourceId=f"endpoint/{name}/variant/AllTraffic"
    )
    return [one["PolicyName"] for one in found["ScalingPolicies"]]


def test_another_instance_type_takes_scaling_off_and_puts_it_on_again(hosting: Hosting) -> None:
    name = hosting.name("retyped")
    first = run(_on(name, "one", "ml.m5.large"))
    second = run(_on(name, "two", "ml.c5.xlarge"), FakeTaskInstance(run_id="second"))
    assert (second["changed"], hosting.invoke(name), _policies(hosting, name)) == (True, b"two", ["by-invocations"])
    back = {"endpoint": {"EndpointName": name, "Tags": []}, "config_name": first["config"], "scaling": _scaled(name)}
    assert run(back, FakeTaskInstance(run_id="back"))["config"] == first["config"]
    assert (hosting.invoke(name), _policies(hosting, name)) == (b"one", ["by-invocations"])


def test_scaling_is_on_again_where_the_new_instance_type_is_refused_or_taken_back(hosting: Hosting) -> None:
    name = hosting.name("retyped")
    run(_on(name, "one", "ml.m5.large"))
    with pytest.raises(DeploymentFailed, match="rolled back"):
        run(_on(name, "exit", "ml.c5.xlarge"), FakeTaskInstance(run_id="does not start"))
    assert (hosting.invoke(name), _policies(hosting, name)) == (b"one", ["by-invocations"])
    no_alarm = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "none"}]}}
    with pytest.raises(RequestRefused, match="Could not find CloudWatch alarm"):
        run(_on(name, "two", "ml.c5.xlarge", deployment=no_alarm), FakeTaskInstance(run_id="refused"))
    assert (hosting.invoke(name), _policies(hosting, name)) == (b"one", ["by-invocations"])


def test_serverless_is_refused_with_advice(hosting: Hosting) -> None:
    name = hosting.name("mode")
    run(wanted(name, "one"))
    request = wanted(name, "two")
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
    request["config"]["ProductionVariants"] = [{"VariantName": "AllTraffic", "ServerlessConfig": serverless}]
    with pytest.raises(DeploymentFailed, match=r"serving\.mode back, or delete the endpoint"):
        run(request, FakeTaskInstance(run_id="second"))
    assert hosting.invoke(name) == b"one"


def test_stale_configurations_and_models_go_what_is_needed_stays(
    hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = hosting.name("pruned")
    made = [run(wanted(name, word), FakeTaskInstance(run_id=word)) for word in ("one", "two", "three", "four")]
    client = hosting.sagemaker
    assert prune(client, name, [made[2]["config"]]) == {"endpoint_configs": [], "models": []}
    monkeypatch.setattr("sagemaker_jobs.hosting.YOUNG", timedelta(0))
    removed = prune(client, name, [made[2]["config"]])
    assert removed == {
        "endpoint_configs": sorted(one["config"] for one in made[:2]),
        "models": sorted(one["model"] for one in made[:2]),
    }
    assert set(configs_of(hosting, name)) == {one["config"] for one in made[2:]}
    assert hosting.invoke(name) == b"four"
