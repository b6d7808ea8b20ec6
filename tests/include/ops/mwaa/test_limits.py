"""AWS's limits on the templates that neither cfn-lint nor moto checks, with the longest allowed names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from include.ops.mwaa import templates

ALL = (*templates.OF_ENVIRONMENT, templates.OF_MODEL, "github", "online")
LONGEST = {
    "AWS::Partition": "aws-us-gov",
    "AWS::Region": "ap-northeast-1",
    "AWS::AccountId": "123456789012",
    "Name": "e" * 25,
    "Model": "m" * 28,  # with such an environment; see infra.stacks
    "Group": "m" * 28,
}


class _WithTags(yaml.SafeLoader):  # type: ignore[misc] # PyYAML ships no types
    """!Sub with the longest values, any other short form as a text of about that length."""


def _short_form(loader: yaml.SafeLoader, form: str, node: yaml.Node) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        return f"<{form}>"
    text = str(loader.construct_scalar(node))
    if form == "Sub":
        return re.sub(r"\$\{([\w:]+)\}", lambda found: LONGEST.get(found[1], f"<{found[1]}>"), text)
    return LONGEST.get(text, f"arn:aws:service:ap-northeast-1:123456789012:{text}")


_WithTags.add_multi_constructor("!", _short_form)


def resources(template: str) -> Iterator[tuple[str, dict[str, Any]]]:
    text = templates.text_of(template)
    if template == "online":  # a load balancer's name is shorter
        text = text.replace("${Group}", "m" * 20)
    read: dict[str, Any] = yaml.load(text, _WithTags)  # noqa: S506 - a SafeLoader
    yield from read["Resources"].items()


@pytest.mark.parametrize("template", ALL)
def test_a_template_is_sent_whole(template: str) -> None:
    assert len(templates.text_of(template).encode()) <= 51_200


@pytest.mark.parametrize("template", ALL)
def test_a_policy_is_not_too_long(template: str) -> None:
    """IAM counts the JSON without white space: 6,144 characters of a managed policy, 2,048 of who may assume a role."""
    for name, resource in resources(template):
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            size = len(re.sub(r"\s", "", json.dumps(resource["Properties"]["PolicyDocument"])))
            assert 100 < size <= 6_144, f"{name} has {size}"
        if resource["Type"] == "AWS::IAM::Role":
            trust = json.dumps(resource["Properties"]["AssumeRolePolicyDocument"])
            assert len(re.sub(r"\s", "", trust)) <= 2_048, name


@pytest.mark.parametrize("template", ALL)
def test_statements_are_named_by_letters_and_digits(template: str) -> None:
    for name, resource in resources(template):
        assert [sid for sid in re.findall(r'"Sid": "(.*?)"', json.dumps(resource)) if not sid.isalnum()] == [], name


def rules(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    properties = resource.get("Properties", {})
    if resource["Type"].startswith("AWS::EC2::SecurityGroup"):
        yield properties
        for direction in ("SecurityGroupIngress", "SecurityGroupEgress"):
            yield from properties.get(direction, ())


def test_security_groups_are_described_in_the_characters_of_ec2() -> None:
    """No apostrophe, for example: EC2 would refuse the rule, and the stack would be rolled back."""
    found = [
        (template, name, str(rule.get("Description", rule.get("GroupDescription"))))
        for template in ALL
        for name, resource in resources(template)
        for rule in rules(resource)
    ]
    assert len(found) > 20
    allowed = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")
    assert [one for one in found if not allowed.fullmatch(one[2])] == []


@pytest.mark.parametrize("template", ALL)
def test_names_and_descriptions_fit(template: str) -> None:
    limits = {"RoleName": 64, "ManagedPolicyName": 128, "QueueName": 80, "AlarmName": 255, "AlarmDescription": 1024}
    limits |= {"BucketName": 63, "TopicName": 256, "RepositoryName": 256, "LogGroupName": 512}
    for name, resource in resources(template):
        for key, longest in limits.items():
            assert len(str(resource.get("Properties", {}).get(key, ""))) <= longest, (name, key)
        if resource["Type"] == "AWS::Events::Rule":
            assert len(resource["Properties"]["Name"]) <= 64, name
