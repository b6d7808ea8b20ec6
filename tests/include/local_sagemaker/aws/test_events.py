"""State changes reach SQS through EventBridge rules; alarms evaluate metrics and notify SNS."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting
from tests.include.local_sagemaker.job_requests import finished_processing, finished_training, processing, training
from tests.include.local_sagemaker.local_server import IMAGE


class Queue:
    """An SQS queue that collects messages."""

    def __init__(self, hosting: Hosting) -> None:
        self._sqs = hosting.client("sqs")
        self._url = self._sqs.create_queue(QueueName=hosting.name("queue"))["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        self.arn: str = attributes["Attributes"]["QueueArn"]
        self._messages: list[dict[str, Any]] = []

    def messages(self, count: int, seconds: float = 15) -> list[dict[str, Any]]:
        """All messages so far; waits for at least ``count``."""
        deadline = time.monotonic() + seconds
        while len(self._messages) < count:
            assert time.monotonic() < deadline, f"{len(self._messages)} of {count} messages: {self._messages}"
            answer = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in answer.get("Messages", []):
                self._messages.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return self._messages


@pytest.fixture
def queue(hosting: Hosting) -> Queue:
    return Queue(hosting)


def _rule(hosting: Hosting, pattern: dict[str, Any], *targets: dict[str, Any]) -> str:
    name = hosting.name("rule")
    events = hosting.client("events")
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.sagemaker"], **pattern}))
    numbered = [{"Id": str(number), **target} for number, target in enumerate(targets)]
    events.put_targets(Rule=name, Targets=numbered)
    return name


def _package(hosting: Hosting) -> tuple[str, str]:
    group = hosting.name("Group")
    hosting.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    specification = {"Containers": [{"Image": IMAGE, "ModelDataUrl": ARTIFACT}], "SupportedContentTypes": ["text/csv"]}
    created = hosting.sagemaker.create_model_package(ModelPackageGroupName=group, InferenceSpecification=specification)
    return group, created["ModelPackageArn"]


def test_an_approval_is_told_once(hosting: Hosting, queue: Queue) -> None:
    pattern = {
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelApprovalStatus": ["Approved"], "UpdatedModelPackageFields": ["ModelApprovalStatus"]},
    }
    _rule(hosting, pattern, {"Arn": queue.arn})
    group, arn = _package(hosting)
    hosting.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected")
    hosting.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    hosting.sagemaker.update_model_package(ModelPackageArn=arn, CustomerMetadataProperties={"deployed": "yes"})
    _, other = _package(hosting)
    hosting.sagemaker.update_model_package(ModelPackageArn=other, ModelApprovalStatus="Approved")
    event, following = queue.messages(2)  # messages arrive in order: a second one about the first package would be here
    assert following["resources"] == [other]
    assert event["source"] == "aws.sagemaker"
    assert event["account"] == "123456789012"
    assert event["region"] == "us-east-1"
    assert event["resources"] == [arn]
    assert event["time"].endswith("Z")
    detail = event["detail"]
    assert (detail["ModelPackageGroupName"], detail["ModelPackageVersion"]) == (group, 1)
    assert detail["ModelPackageArn"] == arn
    assert detail["InferenceSpecification"]["Containers"][0]["ModelDataUrl"] == ARTIFACT
    assert not [key for key in detail if key.startswith("_")]


def test_jobs_tell_their_states(hosting: Hosting, queue: Queue) -> None:
    kinds = ["SageMaker Training Job State Change", "SageMaker Processing Job State Change"]
    _rule(hosting, {"detail-type": kinds}, {"Arn": queue.arn})
    trained, processed = hosting.name("train"), hosting.name("process")
    hosting.sagemaker.create_training_job(**training(trained, ["sh", "-c", "exit 3"]))
    hosting.sagemaker.create_processing_job(**processing(processed, ["true"]))
    finished_training(hosting.sagemaker, trained)
    finished_processing(hosting.sagemaker, processed)

    def told(name: str, field: str) -> list[str]:
        return [
            one["detail"][field] for one in queue.messages(2) if name in one["resources"][0] and field in one["detail"]
        ]

    deadline = time.monotonic() + 10
    while "Failed" not in told(trained, "TrainingJobStatus") or "Completed" not in told(
        processed, "ProcessingJobStatus"
    ):
        assert time.monotonic() < deadline
        queue.messages(len(queue.messages(2)) + 1)
    assert told(trained, "TrainingJobStatus")[0] == "InProgress"
    assert told(trained, "SecondaryStatus")[0] == "Starting"
    failed = next(one["detail"] for one in queue.messages(2) if one["detail"].get("TrainingJobStatus") == "Failed")
    assert failed["FailureReason"].startswith("AlgorithmError")
    assert failed["CreationTime"] > 1e12  # milliseconds
    assert told(processed, "ProcessingJobStatus") == ["InProgress", "Completed"]


def test_endpoints_tell_their_states(hosting: Hosting, queue: Queue) -> None:
    kinds = ["SageMaker Endpoint State Change", "SageMaker Endpoint Deployment State Change"]
    _rule(hosting, {"detail-type": kinds}, {"Arn": queue.arn})
    endpoint = hosting.endpoint(hosting.config(hosting.model()))
    hosting.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=hosting.config(hosting.model()))
    hosting.settled(endpoint)
    told = queue.messages(5)
    states = [one["detail"]["EndpointStatus"] for one in told if one["detail-type"] == kinds[0]]
    assert states == ["CREATING", "IN_SERVICE", "UPDATING", "IN_SERVICE"]
    assert any(one["detail-type"] == kinds[1] for one in told)


def test_a_target_that_is_gone_holds_nobody_up(hosting: Hosting, queue: Queue) -> None:
    logs = hosting.client("logs")
    group = f"/aws/events/{hosting.name('log')}"
    logs.create_log_group(logGroupName=group)
    _rule(
        hosting,
        {"detail-type": ["SageMaker Model Package State Change"]},
        {"Arn": "arn:aws:sqs:us-east-1:123456789012:nowhere"},
        {"Arn": f"arn:aws:logs:us-east-1:123456789012:log-group:{group}"},
        {"Arn": queue.arn, "InputPath": "$.detail"},
        {
            "Arn": queue.arn,
            "InputTransformer": {"InputPathsMap": {"arn": "$.resources[0]"}, "InputTemplate": '{"approved": "<arn>"}'},
        },
    )
    _, arn = _package(hosting)
    messages = queue.messages(2)
    assert {"approved": arn} in messages
    assert any(one.get("ModelPackageArn") == arn for one in messages)
    assert json.loads(logs.filter_log_events(logGroupName=group)["events"][0]["message"])["resources"] == [arn]


def test_a_disabled_rule_is_silent(hosting: Hosting, queue: Queue) -> None:
    pattern = {"detail-type": ["SageMaker Model Package State Change"]}
    rule = _rule(hosting, pattern, {"Arn": queue.arn})
    hosting.client("events").disable_rule(Name=rule)
    other = Queue(hosting)
    _rule(hosting, pattern, {"Arn": other.arn})  # created later, so asked later
    _package(hosting)
    other.messages(1)
    hosting.client("events").enable_rule(Name=rule)
    _, arn = _package(hosting)
    assert [one["resources"] for one in queue.messages(1)] == [[arn]]


def _alarm(hosting: Hosting, name: str, **more: Any) -> None:
    request = {
        "AlarmName": name,
        "Namespace": "Tests",
        "MetricName": name,
        "Statistic": "Maximum",
        "Period": 1,
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        **more,
    }
    hosting.client("cloudwatch").put_metric_alarm(**request)


def _state(hosting: Hosting, name: str) -> str:
    (alarm,) = hosting.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    state: str = alarm["StateValue"]
    return state


def _until(hosting: Hosting, name: str, state: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while _state(hosting, name) != state:
        assert time.monotonic() < deadline, _state(hosting, name)
        time.sleep(0.1)


def _topic(hosting: Hosting, queue: Queue) -> str:
    sns = hosting.client("sns")
    topic: str = sns.create_topic(Name=hosting.name("topic"))["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    return topic


def test_an_alarm_goes_off_and_back_and_tells(hosting: Hosting, queue: Queue) -> None:
    topic, name = _topic(hosting, queue), hosting.name("alarm")
    _alarm(hosting, name, AlarmActions=[topic], OKActions=[topic], TreatMissingData="notBreaching")
    _until(hosting, name, "OK")
    hosting.client("cloudwatch").put_metric_data(Namespace="Tests", MetricData=[{"MetricName": name, "Value": 9}])
    _until(hosting, name, "ALARM")
    _until(hosting, name, "OK")
    told = [json.loads(one["Message"]) for one in queue.messages(3)]
    states = [(one["OldStateValue"], one["NewStateValue"]) for one in told]
    assert states == [("INSUFFICIENT_DATA", "OK"), ("OK", "ALARM"), ("ALARM", "OK")]
    assert queue.messages(3)[1]["Subject"] == f'ALARM: "{name}" in US East (N. Virginia)'
    assert told[1]["Trigger"]["Threshold"] == 5
    assert "greater than the threshold" in told[1]["NewStateReason"]


def test_without_data_an_alarm_says_so_and_a_new_version_keeps_the_state(hosting: Hosting) -> None:
    name = hosting.name("alarm")
    _alarm(hosting, name, TreatMissingData="ignore")
    _until(hosting, name, "INSUFFICIENT_DATA")
    hosting.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    time.sleep(1.2)
    _alarm(hosting, name, TreatMissingData="ignore", Threshold=7)
    _until(hosting, name, "ALARM")


def test_set_alarm_state_tells(hosting: Hosting, queue: Queue) -> None:
    topic, name = _topic(hosting, queue), hosting.name("alarm")
    _alarm(hosting, name, AlarmActions=[topic], Period=60)
    _until(hosting, name, "INSUFFICIENT_DATA")
    hosting.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a fire drill")
    (told,) = [json.loads(one["Message"]) for one in queue.messages(1)]
    assert (told["NewStateValue"], told["NewStateReason"]) == ("ALARM", "a fire drill")


def test_an_error_rate_by_metric_math(hosting: Hosting, queue: Queue) -> None:
    name = hosting.name("alarm")

    def metric(number: str, kind: str) -> dict[str, Any]:
        stat = {"Metric": {"Namespace": "Tests", "MetricName": f"{name}-{kind}"}, "Period": 1, "Stat": "Sum"}
        return {"Id": number, "MetricStat": stat, "ReturnData": False}

    hosting.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Metrics=[
            {"Id": "rate", "Expression": "100 * m1 / m2", "ReturnData": True},
            metric("m1", "errors"),
            metric("m2", "requests"),
        ],
        EvaluationPeriods=2,
        DatapointsToAlarm=1,
        Threshold=5,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    _until(hosting, name, "OK")
    data = [{"MetricName": f"{name}-errors", "Value": 6}, {"MetricName": f"{name}-requests", "Value": 100}]
    hosting.client("cloudwatch").put_metric_data(Namespace="Tests", MetricData=data)
    _until(hosting, name, "ALARM")


def test_an_alarm_is_told_to_eventbridge_too(hosting: Hosting, queue: Queue) -> None:
    events = hosting.client("events")
    name = hosting.name("rule")
    events.put_rule(Name=name, EventPattern=json.dumps({"detail-type": ["CloudWatch Alarm State Change"]}))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": queue.arn}])
    alarm = hosting.name("alarm")
    _alarm(hosting, alarm, Period=60)
    _until(hosting, alarm, "INSUFFICIENT_DATA")
    hosting.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="a test")
    told = [one["detail"] for one in queue.messages(1) if one["detail"]["alarmName"] == alarm]
    assert told[0]["state"]["value"] == "OK"
