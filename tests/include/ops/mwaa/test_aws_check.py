"""``make aws-check`` against the local AWS, with recorded MWAA and quotas: each step passes, and each can fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.models.config import model_names
from include.ops.mwaa import templates
from include.ops.mwaa.aws_check import QUOTAS, AwsCheck
from include.ops.mwaa.image import image_tag
from include.ops.mwaa.proof import BrokenPromiseError
from include.ops.mwaa.target import Target, outputs_of
from tests.include.local_sagemaker.conftest import client_of
from tests.include.local_sagemaker.local_server import LocalSageMaker
from tests.include.ops.mwaa.test_deploy import MANIFEST, RecordedMwaa

TARGET = Target(name="ml-check", region="us-west-2", infrastructure={"AlertEmail": "a@a.test", "S3PrefixList": "pl-1"})
Make = Callable[..., AwsCheck]


class RecordedQuotas:
    """Every requested quota has the same value."""

    def __init__(self, value: float) -> None:
        self._value = value

    def get_paginator(self, _: str) -> RecordedQuotas:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        types = ("ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.c5.xlarge", "ml.c5.2xlarge", "ml.t3.medium")
        names = [form.format(kind) for form in QUOTAS.values() for kind in types]
        return [{"Quotas": [{"QuotaName": name, "Value": self._value} for name in names]}]


@pytest.fixture(scope="module")
def outputs(local_aws: LocalSageMaker) -> dict[str, str]:
    client = client_of(local_aws, TARGET.region)
    for template in ("storage", "network", "access"):
        templates.put(client("cloudformation"), template, TARGET.parameters)
    found = outputs_of(client("cloudformation"), TARGET)
    for model in model_names():  # as model.yaml says: moto's CloudFormation creates no alarms
        group = model.replace("_", "-")
        client("cloudwatch").put_metric_alarm(
            AlarmName=f"ml-check-{group}-approval-not-delivered",
            Namespace="AWS/Events",
            MetricName="FailedInvocations",
            Dimensions=[{"Name": "RuleName", "Value": f"ml-check-{group}-approvals"}],
            Statistic="Sum",
            Period=300,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
            AlarmActions=[found["Alerts"]],
        )
    client("ecr").put_image(
        repositoryName="ml-check-jobs",
        imageManifest=json.dumps(MANIFEST),
        imageManifestMediaType=MANIFEST["mediaType"],
        imageTag=image_tag(),
    )
    return found


@pytest.fixture
def check(local_aws: LocalSageMaker, outputs: dict[str, str]) -> Make:
    def make(mwaa: Any = None, quota: float = 100, **changed: str) -> AwsCheck:
        stand_ins = {"mwaa": mwaa or RecordedMwaa(), "service-quotas": RecordedQuotas(quota)}
        real = client_of(local_aws, TARGET.region)
        # an image for which the local SageMaker has a Python
        own = {**outputs, **changed}
        return AwsCheck(TARGET, lambda service: stand_ins.get(service) or real(service), own, patience=60)

    return make


def test_every_promise_holds_and_nothing_is_left(check: Make, local_aws: LocalSageMaker) -> None:
    made = check(JobImages="123456789012.dkr.ecr.us-west-2.amazonaws.com/ml-jobs")
    made.image = check().image  # type: ignore[method-assign] # the registry's own
    findings = list(made.findings())
    assert [finding for finding in findings if not finding.kept] == []
    assert len(findings) == 9
    client = client_of(local_aws, TARGET.region)
    assert not [rule for rule in client("events").list_rules()["Rules"] if "aws-check" in rule["Name"]]
    assert not client("sqs").list_queues(QueueNamePrefix="ml-check-aws-check").get("QueueUrls")
    assert not client("cloudwatch").describe_alarms(AlarmNames=["ml-check-aws-check"])["MetricAlarms"]


def test_what_is_wrong_is_found(check: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    other = RecordedMwaa(import_errors=[{"filename": "a.py", "stack_trace": "x"}])
    other.environment["AirflowVersion"] = "3.2.1"
    made = check(other, quota=1, JobsRole="arn:aws:iam::123456789012:role/none")
    monkeypatch.setattr("include.ops.mwaa.aws_check.image_tag", lambda: "sources-none")
    found = {name: finding for name, finding in zip(made.steps(), made.findings(), strict=True) if not finding.kept}
    said = "\n".join(finding.found for finding in found.values())
    assert "Airflow 3.2.1" in said
    assert "import errors in a.py" in said
    assert "for processing job usage: 1, needed 8" in said
    assert "ImageNotFound" in said


def test_what_a_role_lacks_is_found(check: Make, local_aws: LocalSageMaker) -> None:
    iam, arn = client_of(local_aws, TARGET.region)("iam"), "arn:aws:iam::123456789012:policy/ml-check-sagemaker"
    real = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
    kept = [one for one in real["Statement"] if one["Sid"] not in ("ApprovesNothing", "HandJobsTheirRole")]
    deny = {"Effect": "Deny", "Action": "sagemaker:Create*", "Resource": "*"}
    for statements, said in (
        (
            kept,
            r"ml-check-airflow may not iam:PassRole on arn:aws:iam::123456789012:role/ml-check-jobs\.",
        ),
        ([*real["Statement"], deny], "is denied sagemaker:CreateProcessingJob, by a policy above it"),
        ([one for one in real["Statement"] if one["Sid"] != "ApprovesNothing"], "may approve versions"),
    ):
        changed = iam.create_policy_version(
            PolicyArn=arn, PolicyDocument=json.dumps({**real, "Statement": statements}), SetAsDefault=True
        )["PolicyVersion"]["VersionId"]
        with pytest.raises(BrokenPromiseError, match=said):
            check().permissions()
        iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
        iam.delete_policy_version(PolicyArn=arn, VersionId=changed)
    assert "12 actions are allowed" in check().permissions()


def test_an_alert_without_readers_a_lost_event_and_a_failed_job_are_found(
    check: Make, local_aws: LocalSageMaker
) -> None:
    client = client_of(local_aws, TARGET.region)
    silent = client("sns").create_topic(Name="silent")["TopicArn"]
    with pytest.raises(BrokenPromiseError, match="nobody has confirmed"):
        check(Alerts=silent).alarm()
    made = check()
    made.patience = 0  # too short for an event to arrive
    with pytest.raises(BrokenPromiseError, match="no event came into the queue"):
        made.event()
    with pytest.raises(BrokenPromiseError, match="Failed: "):
        check(JobImages="123456789012.dkr.ecr.us-west-2.amazonaws.com/unknown").job()
    assert not [rule for rule in client("events").list_rules()["Rules"] if "aws-check" in rule["Name"]]
    assert not client("sqs").list_queues(QueueNamePrefix="ml-check-aws-check").get("QueueUrls")


def test_what_an_event_needs_is_removed_where_a_step_fails(check: Make, local_aws: LocalSageMaker) -> None:
    client = client_of(local_aws, TARGET.region)
    group = {"ModelPackageGroupName": "ml-check-aws-check"}
    client("sagemaker").create_model_package_group(**group)  # somebody else's, or left by a check that was killed
    with pytest.raises(ClientError):
        check().event()
    client("sagemaker").delete_model_package_group(**group)
    assert not [rule for rule in client("events").list_rules()["Rules"] if "aws-check" in rule["Name"]]
    assert not client("sqs").list_queues(QueueNamePrefix="ml-check-aws-check").get("QueueUrls")


def test_an_alarm_that_would_tell_nobody_is_found(check: Make, local_aws: LocalSageMaker) -> None:
    made = check()
    name = "ml-check-predictive-maintenance-approval-not-delivered"
    cloudwatch = client_of(local_aws, TARGET.region)("cloudwatch")
    for spoil, said in (
        (lambda: cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="x"), "is in alarm"),
        (lambda: cloudwatch.disable_alarm_actions(AlarmNames=[name]), "notifies nobody"),
        (lambda: cloudwatch.delete_alarms(AlarmNames=[name]), "does not exist"),
    ):
        spoil()
        with pytest.raises(BrokenPromiseError, match=f"{name} {said}"):
            made.undelivered()
        cloudwatch.enable_alarm_actions(AlarmNames=[name])
