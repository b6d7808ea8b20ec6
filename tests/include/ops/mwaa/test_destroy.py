"""``make destroy`` removes everything in an environment once its name was typed, as far as moto can show."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.ops.mwaa import destroy, templates
from include.ops.mwaa.infra import stacks
from include.ops.mwaa.target import Target
from tests.include.local_sagemaker.conftest import Client, client_of
from tests.include.local_sagemaker.local_server import LocalSageMaker

FACTS = {"S3PrefixList": "pl-6da54004"}
TARGET = Target(name="ml-last", region="eu-north-1", infrastructure={"AlertEmail": "team@company.test"})


@pytest.fixture
def made(local_aws: LocalSageMaker, aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Its stacks that retain resources, a bucket with objects, an endpoint's alarm, and other environments'
    resources."""
    monkeypatch.setattr(destroy, "load_target", lambda name: TARGET)
    monkeypatch.setattr(destroy, "_airflow", lambda mwaa, name: None)  # moto deletes none that a stack has created
    monkeypatch.setattr(destroy, "_unprotect", lambda cloudformation, name: None)  # moto has no stack protection
    aws = client_of(local_aws, TARGET.region)
    for stack, template, values in stacks(TARGET, FACTS):
        if template == "storage":
            templates.put(aws("cloudformation"), template, values, stack)
    for stack in ("ml-last-model-gone", "ml-lasting-model-gone"):  # a removed model's; somebody else's
        values = {"Name": "ml-last", "Model": "gone", "Group": stack}
        templates.put(aws("cloudformation"), "model", values, stack)
    s3 = aws("s3")
    s3.create_bucket(Bucket="others", CreateBucketConfiguration={"LocationConstraint": TARGET.region})
    for bucket in buckets(aws):
        for _ in range(2):
            s3.put_object(Bucket=bucket, Key="raw/x.csv", Body=b"1")
    alarm: dict[str, Any] = {"EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
    for name in ("electricity-production-errors", "others"):
        measured = {"MetricName": "x", "Namespace": "x", "Period": 60, "Statistic": "Sum"}
        aws("cloudwatch").put_metric_alarm(AlarmName=name, **measured, **alarm)
    yield aws
    s3.delete_object(Bucket="others", Key="raw/x.csv")


def buckets(aws: Client) -> list[str]:
    names = [bucket["Name"] for bucket in aws("s3").list_buckets()["Buckets"]]
    return [name for name in names if name.startswith("ml-last") or name == "others"]


def test_all_of_it_goes_and_nothing_else(
    made: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(buckets(made)) == 4
    assert destroy.main(["dev", "--dry-run"]) == 0
    said = capsys.readouterr().out
    for what in ("bucket ml-last-ml-", "1 alarms", "images ml-last", "in 30 days", "stack ml-last-storage"):
        assert what in said
    assert said.index("stack ml-last-model-gone") < said.index("stack ml-last-storage")
    assert destroy.main(["dev"]) == 1, "nobody can answer"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert destroy.main(["dev"]) == 1
    assert "nothing was removed" in capsys.readouterr().out
    assert len(buckets(made)) == 4
    monkeypatch.setattr("builtins.input", lambda _: "ml-last")
    destroy._bucket(next(name for name in buckets(made) if name != "others"))  # somebody has removed one by hand
    assert destroy.main(["dev"]) == 0, capsys.readouterr()
    assert buckets(made) == ["others"]
    assert [alarm["AlarmName"] for alarm in made("cloudwatch").describe_alarms()["MetricAlarms"]] == ["others"]
    assert templates.status_of(made("cloudformation"), "ml-last-storage") in (None, "DELETE_COMPLETE")
    assert templates.status_of(made("cloudformation"), "ml-last-model-gone") in (None, "DELETE_COMPLETE")
    assert templates.status_of(made("cloudformation"), "ml-lasting-model-gone") == "CREATE_COMPLETE"
    assert destroy.main(["dev"]) == 0
    assert "nothing of ml-last" in capsys.readouterr().out


def test_what_dags_made_goes_also_where_part_of_it_is_gone_already(
    local_aws: LocalSageMaker, aws_environment: None, capsys: pytest.CaptureFixture[str]
) -> None:
    aws = client_of(local_aws, TARGET.region)
    sagemaker, scaling = aws("sagemaker"), aws("application-autoscaling")
    role = "arn:aws:iam::111122223333:role/x"
    for project, name in (("ml-last", "electricity-production"), ("other", "electricity-staging")):
        tags = [{"Key": "project", "Value": project}]
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": "x"}, Tags=tags)
        variant = {"VariantName": "AllTraffic", "ModelName": name}
        variant |= {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=tags)
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)
    sagemaker.create_model_package_group(ModelPackageGroupName="electricity", Tags=tags)  # the other environment's
    target = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
    target["ResourceId"] = "endpoint/electricity-production/variant/AllTraffic"
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    steps = destroy.plan(TARGET)
    said = [step.says for step in steps]
    for kind in ("endpoint", "endpoint config", "model"):
        assert f"{kind} electricity-production" in said
        assert f"{kind} electricity-staging" not in said
    assert f"scaling of {target['ResourceId']}" in said
    assert not [one for one in said if "package group" in one]
    # while it runs, somebody else removes some resources
    scaling.deregister_scalable_target(**target)
    for step in steps:
        if step.says.startswith("endpoint electricity"):
            step.remove()
    assert destroy.carry_out(steps) == [], capsys.readouterr()
    assert [one["EndpointName"] for one in sagemaker.list_endpoints()["Endpoints"]] == ["electricity-staging"]
    sagemaker.delete_endpoint(EndpointName="electricity-staging")


def test_what_cannot_be_removed_is_said_and_the_rest_goes(capsys: pytest.CaptureFixture[str]) -> None:
    gone: list[str] = []

    def refuse() -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DeleteBucket")

    def absent() -> None:
        raise ClientError({"Error": {"Code": "NoSuchBucket"}}, "DeleteBucket")

    steps = [destroy.Step("a", refuse), destroy.Step("b", absent), destroy.Step("c", lambda: gone.append("c"))]
    (left,) = destroy.carry_out(steps)
    assert left.startswith("a: ")
    assert gone == ["c"]
