"""IAM's decisions."""

from __future__ import annotations

from typing import Any

import pytest

from include.local_sagemaker.iam.policies import Action, PolicyError, is_allowed

JOB = "arn:aws:sagemaker:us-east-1:123456789012:training-job/train-1"


def policy(*statements: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"Version": "2012-10-17", "Statement": list(statements)}]


def allow(action: Any = "sagemaker:StopTrainingJob", resource: Any = "*", **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        (allow(), True),
        (allow(["s3:GetObject", "sagemaker:stoptrainingjob"]), True),
        (allow("sagemaker:Stop*"), True),
        (allow("sagemaker:Stop"), False),
        (allow("s3:GetObject"), False),
        (allow(resource=JOB), True),
        (allow(resource="arn:aws:sagemaker:us-east-1:123456789012:training-job/*"), True),
        (allow(resource="arn:aws:sagemaker:*:123456789012:training-job/train-?"), True),
        (allow(resource="arn:aws:sagemaker:us-east-1:123456789012:training-job/other-*"), False),
        (allow(resource=["arn:aws:s3:::a", "arn:aws:sagemaker:us-east-1:123456789012:processing-job/*"]), False),
        (allow(StringEquals={"aws:ResourceTag/project": "ml"}), True),
        (allow(StringEquals={"aws:ResourceTag/project": ["other", "ml"]}), True),
        (allow(StringEquals={"aws:ResourceTag/project": "other"}), False),
        (allow(StringEquals={"aws:RequestTag/project": "ml"}), False),
        (allow(StringEqualsIfExists={"aws:RequestTag/project": "ml"}), True),
        (allow(StringLike={"aws:ResourceTag/project": "m*"}), True),
        (allow(StringNotEquals={"aws:ResourceTag/project": "ml"}), False),
        (allow(StringNotEquals={"aws:ResourceTag/other": "ml"}), True),
        (allow(Null={"aws:RequestTag/project": "true"}), True),
        (allow(Null={"aws:ResourceTag/project": "true"}), False),
        (allow(Bool={"aws:SecureTransport": "true"}), False),
        (allow(StringEquals={"aws:ResourceTag/project": "ml", "aws:ResourceTag/stage": "dev"}), False),
    ],
)
def test_one_statement(statement: dict[str, Any], allowed: bool) -> None:
    action = Action("sagemaker:StopTrainingJob", JOB, {"aws:resourcetag/project": ["ml"]})
    assert is_allowed(policy(statement), action) is allowed


def test_a_denial_stands_over_any_number_of_allowances() -> None:
    action = Action("sagemaker:StopTrainingJob", JOB)
    deny = {"Effect": "Deny", "Action": "sagemaker:*", "Resource": JOB}
    assert not is_allowed([*policy(allow()), *policy(deny)], action)
    assert is_allowed([*policy(allow()), *policy(deny)], Action("sagemaker:StopTrainingJob", JOB + "0"))
    assert not is_allowed([], action)


def test_an_action_without_a_resource_needs_a_statement_on_all() -> None:
    action = Action("sagemaker:ListEndpoints")
    assert is_allowed(policy(allow("sagemaker:ListEndpoints")), action)
    assert not is_allowed(policy(allow("sagemaker:ListEndpoints", "arn:aws:sagemaker:*:*:endpoint/*")), action)


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        allow(IpAddress={"aws:SourceIp": "10.0.0.0/8"}),
    ],
)
def test_what_is_not_supported_is_never_a_silent_yes(statement: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match="not supported"):
        is_allowed(policy(statement), Action("sagemaker:StopTrainingJob", JOB))
