"""The endpoint operator against stubbed clients: which step follows from what it finds. ``test_endpoints`` has the same
operator with serving processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from airflow.sdk.exceptions import TaskDeferred
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from sagemaker_jobs import endpoints, triggers
from sagemaker_jobs.endpoints import DeploymentFailed, EndpointOperator, EndpointTrigger
from sagemaker_jobs.failures import JobLost, RequestRefused, Throttled
from sagemaker_jobs.hosting import content_name
from sagemaker_jobs.names import client_token

from .conftest import REGION, FakeTaskInstance, answering

NAME = {"EndpointName": "pumps"}
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/pumps"
MODIFIED = datetime.now(UTC) - timedelta(minutes=20)
TAG = {"Key": "version", "Value": "7"}
WANTED = {"endpoint": {**NAME, "Tags": [TAG]}, "config_name": "new"}
SHIFT = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 60},
    }
}
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/pumps/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
POLICY = {**TARGET, "PolicyName": "by-invocations", "PolicyType": "TargetTrackingScaling"}

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def ti() -> FakeTaskInstance:
    return FakeTaskInstance(task_id="deploy_production")


@pytest.fixture
def token(ti: FakeTaskInstance) -> str:
    return client_token(ti, 1)


@pytest.fixture
def scaling() -> Iterator[Stubber]:
    with answering(boto3.client("application-autoscaling", **REGION)) as stubber:
        yield stubber


@pytest.fixture
def cloudwatch() -> Iterator[Stubber]:
    with answering(boto3.client("cloudwatch", **REGION)) as stubber:
        yield stubber


@pytest.fixture
def deploy(
    prepare: Callable[..., Any], scaling: Stubber, cloudwatch: Stubber, monkeypatch: pytest.MonkeyPatch
) -> EndpointOperator:
    """An operator that requests WANTED, unless a test says otherwise."""
    monkeypatch.setattr(endpoints, "SHORT_WAIT", 0.0)
    monkeypatch.setattr(endpoints, "SHORT_WAIT_STEP", 0.0)
    operator: EndpointOperator = prepare(
        EndpointOperator(task_id="deploy_production", request=lambda context: WANTED, retries=2),
        cloudwatch=cloudwatch.client,
        **{"application-autoscaling": scaling.client},
    )
    return operator


def expect_found(sagemaker: Stubber, status: str, config: str = "old", **fields: Any) -> None:
    times = {"CreationTime": MODIFIED, "LastModifiedTime": MODIFIED}
    found = {**NAME, "EndpointArn": ARN, "EndpointStatus": status, "EndpointConfigName": config, **times}
    sagemaker.add_response("describe_endpoint", {**found, **fields}, NAME)


def expect_absent(sagemaker: Stubber) -> None:
    sagemaker.add_client_error("describe_endpoint", "ValidationException", "Could not find endpoint", 400, None, NAME)


def expect_tags(sagemaker: Stubber, asked_by: str) -> None:
    """The operator tags the endpoint."""
    tags = [TAG, {"Key": "asked-by", "Value": asked_by}]
    sagemaker.add_response("add_tags", {}, {"ResourceArn": ARN, "Tags": tags})


def expect_last_asked_by(sagemaker: Stubber, asked_by: str) -> None:
    """The operator looks up who changed it last; the answer has two pages."""
    first = {"Tags": [TAG], "NextToken": "more"}
    sagemaker.add_response("list_tags", first, {"ResourceArn": ARN})
    second = {"Tags": [{"Key": "asked-by", "Value": asked_by}]}
    sagemaker.add_response("list_tags", second, {"ResourceArn": ARN, "NextToken": "more"})


INSTANCES = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}


def expect_variant(sagemaker: Stubber, config: str, runs_on: dict[str, Any]) -> None:
    variant = {"VariantName": "AllTraffic", "ModelName": "pumps", **runs_on}
    described = {"EndpointConfigName": config, "EndpointConfigArn": ARN, "CreationTime": MODIFIED}
    answer = {**described, "ProductionVariants": [variant]}
    sagemaker.add_response("describe_endpoint_config", answer, {"EndpointConfigName": config})


def expect_variants(sagemaker: Stubber, *configs: str) -> None:
    """The operator compares the endpoint's instances with the desired ones."""
    for name in configs:
        expect_variant(sagemaker, name, INSTANCES)


def expect_creation(sagemaker: Stubber, token: str) -> None:
    tags = [TAG, {"Key": "asked-by", "Value": token}]
    asked = {**NAME, "EndpointConfigName": "new", "Tags": tags}
    sagemaker.add_response("create_endpoint", {"EndpointArn": ARN}, asked)


def expect_served(sagemaker: Stubber, token: str, config: str = "new") -> None:
    """It serves as desired: it is tagged, and the result is read."""
    expect_found(sagemaker, "InService", config)
    expect_tags(sagemaker, token)


def expect_result(sagemaker: Stubber, config: str = "new") -> None:
    described = {
        "EndpointConfigName": config,
        "EndpointConfigArn": ARN.replace("endpoint/pumps", f"endpoint-config/{config}"),
        "ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": "model-7"}],
        "CreationTime": MODIFIED,
    }
    sagemaker.add_response("describe_endpoint_config", described, {"EndpointConfigName": config})


def result(*, changed: bool, config: str = "new") -> dict[str, Any]:
    return {
        "endpoint": "pumps",
        "arn": ARN,
        "config": config,
        "model": "model-7",
        "status": "InService",
        "changed": changed,
        "updated": MODIFIED.isoformat(timespec="seconds"),
    }


def test_absent_is_created(deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, token: str) -> None:
    expect_absent(sagemaker)
    expect_creation(sagemaker, token)
    expect_served(sagemaker, token)
    expect_result(sagemaker)
    assert deploy.execute({"ti": ti}) == result(changed=True)
    assert ti.xcoms["sagemaker_links"]["console"].endswith("#/endpoints/pumps")


def test_model_and_configuration_are_made_first_with_the_model_in_every_variant(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, token: str
) -> None:
    model = {"ModelName": "pumps", "ExecutionRoleArn": "arn:aws:iam::123456789012:role/ml-jobs"}
    variants = [{"VariantName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1} for name in "AB"]
    config = {"EndpointConfigName": "pumps", "ProductionVariants": variants}
    model_name = content_name("pumps", model)
    served = {**config, "ProductionVariants": [{**variant, "ModelName": model_name} for variant in variants]}
    name = content_name("pumps", served)
    deploy.request = lambda context: {"endpoint": WANTED["endpoint"], "model": model, "config": config}
    sagemaker.add_client_error("describe_model", "ValidationException", expected_params={"ModelName": model_name})
    arn = {"ModelArn": "arn:aws:sagemaker:eu-west-1:123456789012:model/m"}
    sagemaker.add_response("create_model", arn, {**model, "ModelName": model_name})
    asked = {"EndpointConfigName": name}
    sagemaker.add_client_error("describe_endpoint_config", "ValidationException", expected_params=asked)
    arn = {"EndpointConfigArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint-config/c"}
    sagemaker.add_response("create_endpoint_config", arn, {**served, "EndpointConfigName": name})
    expect_served(sagemaker, token, name)
    expect_result(sagemaker, name)
    assert deploy.execute({"ti": ti}) == result(changed=False, config=name)


def test_what_serves_as_wanted_is_left_alone(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expect_served(sagemaker, token)
    expect_result(sagemaker)
    assert deploy.execute({"ti": ti}) == result(changed=False)
    assert "pumps serves with new already; nothing was changed" in capsys.readouterr().out


@pytest.mark.parametrize("scaled", [True, False])
def test_another_configuration_is_replaced_and_the_change_awaited_deferred(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, token: str, scaled: bool
) -> None:
    more = {"deployment": SHIFT, "scaling": {"target": TARGET, "policy": POLICY if scaled else None}}
    deploy.request = lambda context: {**WANTED, **more, "alarms": []}
    expect_found(sagemaker, "InService")
    expect_last_asked_by(sagemaker, "another task")
    kept = [{"VariantPropertyType": "DesiredWeight"}, {"VariantPropertyType": "DataCaptureConfig"}]
    retained = {"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": kept}
    asked = {**NAME, "EndpointConfigName": "new", "DeploymentConfig": SHIFT, **(retained if scaled else {})}
    expect_variants(sagemaker, "old", "new")
    sagemaker.add_response("update_endpoint", {"EndpointArn": ARN}, asked)
    expect_tags(sagemaker, token)
    expect_found(sagemaker, "Updating", PendingDeploymentSummary={"EndpointConfigName": "new"})
    expect_tags(sagemaker, token)
    with pytest.raises(TaskDeferred) as deferred:
        deploy.execute({"ti": ti})
    assert deferred.value.method_name == "execute_complete"
    assert deferred.value.kwargs == {"wanted": {**WANTED, **more}, "changed": True}


def test_the_trigger_asks_as_the_operator_does(
    prepare: Callable[..., Any], ti: FakeTaskInstance, sagemaker: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "SHORT_WAIT", 0.0)
    own = {"aws_conn_id": "own", "region_name": "eu-west-1", "verify": False, "botocore_config": {"read_timeout": 5}}
    operator = EndpointOperator(task_id="deploy_production", request=lambda context: WANTED, retries=2, **own)
    expect_found(sagemaker, "RollingBack")
    with pytest.raises(TaskDeferred) as deferred:
        prepare(operator).execute({"ti": ti})
    path, arguments = deferred.value.trigger.serialize()
    assert path == "sagemaker_jobs.endpoints.EndpointTrigger"
    deadline = MODIFIED + timedelta(hours=9)
    assert arguments == {
        "kind": "endpoint",
        "job": "pumps",
        "since": MODIFIED.timestamp(),
        "deadline": deadline.timestamp(),
        "stop_on_kill": True,
        **own,
    }
    wait = deadline - datetime.now(UTC) + timedelta(minutes=10)
    assert wait <= deferred.value.timeout <= wait + timedelta(minutes=1)


@pytest.mark.parametrize(
    "found",
    [
        {"status": "Updating", "PendingDeploymentSummary": {"EndpointConfigName": "third"}},
        {"status": "Updating", "config": "new"},  # perhaps back to another one
        {"status": "Creating"},
        {"status": "Deleting"},
    ],
    ids=["updated by somebody else", "updated to what is not said", "created by somebody else", "deleted"],
)
def test_a_change_of_somebody_else_is_waited_for_and_not_tagged(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, found: dict[str, Any]
) -> None:
    expect_found(sagemaker, **found)
    with pytest.raises(TaskDeferred) as deferred:
        deploy.execute({"ti": ti})
    assert deferred.value.kwargs == {"wanted": WANTED, "changed": False}


def test_a_creation_with_what_is_wanted_is_attached_to(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, token: str
) -> None:
    expect_found(sagemaker, "Creating", "new")
    expect_tags(sagemaker, token)
    with pytest.raises(TaskDeferred) as deferred:
        deploy.execute({"ti": ti})
    assert deferred.value.kwargs["changed"]


def test_a_change_of_seconds_is_awaited_without_a_deferral(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(endpoints, "SHORT_WAIT", 1.0)
    monkeypatch.setattr(endpoints, "SHORT_WAIT_STEP", 0.5)
    monkeypatch.setattr(endpoints.time, "sleep", slept.append)
    monkeypatch.setattr(endpoints.time, "monotonic", lambda: 100 + sum(slept))
    expect_found(sagemaker, "Deleting")
    expect_absent(sagemaker)
    expect_absent(sagemaker)
    expect_creation(sagemaker, token)
    expect_found(sagemaker, "Creating", "new")
    expect_tags(sagemaker, token)
    expect_found(sagemaker, "InService", "new")
    expect_served(sagemaker, token)
    expect_result(sagemaker)
    assert deploy.execute({"ti": ti}) == result(changed=True)
    assert slept == [0.5, 0.5]


def test_a_short_change_is_looked_at_until_it_is_over(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(endpoints, "SHORT_WAIT", 5.0)
    monkeypatch.setattr(endpoints, "SHORT_WAIT_STEP", 0.5)
    monkeypatch.setattr(endpoints.time, "sleep", slept.append)
    expect_found(sagemaker, "Creating", "new")
    expect_tags(sagemaker, token)
    expect_found(sagemaker, "Creating", "new")
    expect_found(sagemaker, "Creating", "new")
    expect_found(sagemaker, "InService", "new")
    expect_served(sagemaker, token)
    expect_result(sagemaker)
    assert deploy.execute({"ti": ti}) == result(changed=True)
    assert slept == [0.5, 0.5, 0.5]


def test_a_change_longer_than_sagemaker_allows_is_not_waited_for(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    since = datetime.now(UTC) - timedelta(hours=9, minutes=1)
    expect_found(sagemaker, "Updating", LastModifiedTime=since)
    with pytest.raises(JobLost, match=r"endpoint pumps has been Updating since 20.*; look at its console page"):
        deploy.execute({"ti": ti})


def test_a_wait_that_was_given_up_is_retried(deploy: Any, ti: FakeTaskInstance) -> None:
    event = {"event": "timeout", "job": "pumps", "message": "too long"}
    with pytest.raises(JobLost, match=r"gave up waiting for endpoint pumps: too long\. A retry waits on\."):
        deploy.execute_complete({"ti": ti}, event, wanted=WANTED, changed=True)


def expect_log(logs: Stubber) -> None:
    group = {"logGroupName": "/aws/sagemaker/Endpoints/pumps"}
    newest = {**group, "orderBy": "LastEventTime", "descending": True, "limit": 1}
    logs.add_response("describe_log_streams", {"logStreams": [{"logStreamName": "AllTraffic/i-1"}]}, newest)
    logs.add_response("get_log_events", {"events": [{"message": "out of memory\n"}]})


@pytest.mark.parametrize("event", [None, {"event": "over", "job": "pumps", "message": "InService"}])
def test_a_change_that_was_taken_back_fails_with_its_reason(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, logs: Stubber, event: dict[str, Any] | None
) -> None:
    expect_found(sagemaker, "InService", FailureReason="alarm pumps-errors is in state ALARM")
    expect_log(logs)
    with pytest.raises(DeploymentFailed) as failure:
        deploy.execute_complete({"ti": ti}, event, wanted=WANTED, changed=True)
    first, *pages, heading, line = str(failure.value).splitlines()
    assert first == "endpoint pumps serves with old: new was rolled back: alarm pumps-errors is in state ALARM"
    assert [page.split(":")[0].strip() for page in pages] == ["console", "logs"]
    assert (heading, line) == ("  last log lines:", "    out of memory")


def test_a_retry_knows_its_own_change_by_the_tag(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, logs: Stubber, token: str
) -> None:
    expect_found(sagemaker, "InService")
    expect_last_asked_by(sagemaker, token)
    expect_log(logs)
    said = "new was rolled back: SageMaker gave no reason; another run may have changed it meanwhile"
    with pytest.raises(DeploymentFailed, match=said):
        deploy.execute({"ti": ti})


def test_an_endpoint_that_does_not_start_says_that_it_does_not_serve(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, logs: Stubber
) -> None:
    expect_found(sagemaker, "Failed", "new", FailureReason="the container does not answer")
    expect_log(logs)
    said = "^endpoint pumps is Failed and does not serve with new: the container does not answer\n"
    with pytest.raises(DeploymentFailed, match=said):
        deploy.execute_complete({"ti": ti}, None, wanted=WANTED, changed=True)


def test_one_that_failed_for_an_earlier_run_is_removed_and_created_again(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, token: str
) -> None:
    expect_found(sagemaker, "Failed", "new")
    expect_last_asked_by(sagemaker, "an earlier run")
    sagemaker.add_response("delete_endpoint", {}, NAME)
    expect_absent(sagemaker)
    expect_creation(sagemaker, token)
    expect_served(sagemaker, token)
    expect_result(sagemaker)
    assert deploy.execute({"ti": ti}) == result(changed=True)


@pytest.mark.parametrize(
    "said", ["Cannot create already existing endpoint pumps", "Cannot update in-progress endpoint pumps"]
)
def test_where_another_change_was_quicker_it_is_looked_at_again(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, token: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(endpoints.time, "sleep", slept.append)
    expect_absent(sagemaker)
    sagemaker.add_client_error("create_endpoint", "ValidationException", said, 400)
    expect_found(sagemaker, "InService", "theirs")
    expect_last_asked_by(sagemaker, "somebody else")
    expect_variants(sagemaker, "theirs", "new")
    sagemaker.add_client_error("update_endpoint", "ValidationException", said, 400)
    expect_served(sagemaker, token)
    expect_result(sagemaker)
    assert deploy.execute({"ti": ti}) == result(changed=False)
    assert len(slept) == 2, "a pause before each poll"


@pytest.mark.parametrize(("before", "after"), [(INSTANCES, SERVERLESS), (SERVERLESS, INSTANCES)])
def test_a_switch_that_sagemaker_cannot_make_is_refused_before_anything_is_asked(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, before: dict[str, Any], after: dict[str, Any]
) -> None:
    expect_found(sagemaker, "InService")
    expect_last_asked_by(sagemaker, "another task")
    expect_variant(sagemaker, "old", before)
    expect_variant(sagemaker, "new", after)
    with pytest.raises(DeploymentFailed, match=r"cannot switch endpoint pumps between instances and serverless\."):
        deploy.execute({"ti": ti})


def test_an_update_that_cannot_be_prepared_is_not_asked_for(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    expect_found(sagemaker, "InService")
    expect_last_asked_by(sagemaker, "another task")
    sagemaker.add_client_error("describe_endpoint_config", "AccessDeniedException", "not today", 400)
    with pytest.raises(RequestRefused, match=r"refused to prepare the update of endpoint pumps: .*not today"):
        deploy.execute({"ti": ti})


def expect_scaling(scaling: Stubber) -> None:
    scaling.add_response("register_scalable_target", {}, TARGET)
    scaling.add_response("put_scaling_policy", {"PolicyARN": "arn"}, POLICY)


def test_scaling_makes_way_for_other_instances_and_comes_back_if_the_update_is_refused(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, scaling: Stubber
) -> None:
    deploy.request = lambda context: {**WANTED, "scaling": {"target": TARGET, "policy": POLICY}}
    expect_found(sagemaker, "InService")
    expect_last_asked_by(sagemaker, "another task")
    expect_variant(sagemaker, "old", INSTANCES)
    expect_variant(sagemaker, "new", {**INSTANCES, "InstanceType": "ml.m5.xlarge"})
    registered = {**TARGET, "MinCapacity": 1, "MaxCapacity": 2, "RoleARN": ARN, "CreationTime": MODIFIED}
    looked_for = {"ServiceNamespace": "sagemaker", "ResourceIds": [TARGET["ResourceId"]]}
    scaling.add_response("describe_scalable_targets", {"ScalableTargets": [registered]}, looked_for)
    scaling.add_response("deregister_scalable_target", {}, TARGET)
    sagemaker.add_client_error("update_endpoint", "ValidationException", "no such instance", 400)
    expect_scaling(scaling)
    with pytest.raises(RequestRefused, match="no such instance"):
        deploy.execute({"ti": ti})


@pytest.mark.parametrize("serves", [True, False])
def test_scaling_comes_back_where_an_update_was_rolled_back_and_still_serves(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, logs: Stubber, scaling: Stubber, serves: bool
) -> None:
    expect_found(sagemaker, "InService" if serves else "Failed")
    if serves:
        expect_scaling(scaling)
    expect_log(logs)
    wanted = {**WANTED, "scaling": {"target": TARGET, "policy": POLICY}}
    with pytest.raises(DeploymentFailed, match="rolled back" if serves else "is Failed"):
        deploy.execute_complete({"ti": ti}, None, wanted=wanted, changed=True)


@pytest.mark.parametrize(
    ("code", "expected"), [("AccessDeniedException", RequestRefused), ("ThrottlingException", Throttled)]
)
def test_a_refusal_says_what_was_asked(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, token: str, code: str, expected: type[Exception]
) -> None:
    expect_absent(sagemaker)
    sagemaker.add_client_error("create_endpoint", code, "not today", 400)
    with pytest.raises(expected, match=r"refused to create endpoint pumps: .*not today"):
        deploy.execute({"ti": ti})
    expect_found(sagemaker, "InService", "new")
    sagemaker.add_client_error("add_tags", code, "not today", 400)
    with pytest.raises(expected, match=r"refused to tag endpoint pumps: .*not today"):
        deploy.execute({"ti": ti})


def test_a_throttled_look_is_not_an_absent_endpoint(deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    sagemaker.add_client_error("describe_endpoint", "ThrottlingException", "Rate exceeded", 400)
    with pytest.raises(ClientError, match="Rate exceeded"):
        deploy.execute({"ti": ti})


ALARM = {"AlarmName": "pumps-errors", "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold"}


def test_alarms_are_there_before_the_endpoint(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, cloudwatch: Stubber, token: str
) -> None:
    deploy.request = lambda context: {**WANTED, "alarms": [ALARM]}
    cloudwatch.add_client_error("put_metric_alarm", "AccessDenied", "not allowed", 403, expected_params=ALARM)
    with pytest.raises(RequestRefused, match=r"refused to put_metric_alarm for the endpoint: .*not allowed"):
        deploy.execute({"ti": ti})
    cloudwatch.add_response("put_metric_alarm", {}, ALARM)
    expect_served(sagemaker, token)
    expect_result(sagemaker)
    assert deploy.execute({"ti": ti}) == result(changed=False)


def test_scaling_is_put_once_it_serves(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, scaling: Stubber, token: str
) -> None:
    target = {**TARGET, "MinCapacity": 1, "MaxCapacity": 2}
    deploy.request = lambda context: {**WANTED, "scaling": {"target": target, "policy": POLICY}}
    expect_served(sagemaker, token)
    scaling.add_response("register_scalable_target", {}, target)
    scaling.add_response("put_scaling_policy", {"PolicyARN": "arn"}, POLICY)
    expect_result(sagemaker)
    assert deploy.execute({"ti": ti}) == result(changed=False)


@pytest.mark.parametrize("code", [None, "ObjectNotFoundException", "ValidationException"])
def test_scaling_is_taken_off_where_there_is_some(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, scaling: Stubber, token: str, code: str | None
) -> None:
    deploy.request = lambda context: {**WANTED, "scaling": {"target": TARGET, "policy": None}}
    expect_served(sagemaker, token)
    if code is None:
        scaling.add_response("deregister_scalable_target", {}, TARGET)
    else:
        scaling.add_client_error("deregister_scalable_target", code, expected_params=TARGET)
    expect_result(sagemaker)
    assert deploy.execute({"ti": ti}) == result(changed=False)


def test_scaling_that_cannot_be_taken_off_fails(
    deploy: Any, ti: FakeTaskInstance, sagemaker: Stubber, scaling: Stubber, token: str
) -> None:
    deploy.request = lambda context: {**WANTED, "scaling": {"target": TARGET, "policy": None}}
    expect_served(sagemaker, token)
    scaling.add_client_error("deregister_scalable_target", "ConcurrentUpdateException", "later", 400)
    with pytest.raises(ClientError, match="later"):
        deploy.execute({"ti": ti})


def test_a_kill_leaves_the_change_to_sagemaker(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(triggers, "SageMakerHook", lambda **_: asked.append("a client"))
    monkeypatch.setattr(triggers, "state_of", lambda task_instance: asked.append("its state") or "failed")
    trigger = EndpointTrigger(kind="endpoint", job="pumps", since=0, deadline=1, aws_conn_id=None)
    trigger._task_instance = FakeTaskInstance()
    asyncio.run(trigger.on_kill())
    assert asked == []
