"""The CloudFormation templates of include/ops/infra, and the one that is made of the models: which there are, in which
order they stand on each other, and how one is put in place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from botocore.exceptions import ClientError

from include.ops import Json
from include.ops.local_stack.settings import ROOT
from include.ops.mwaa.scores_tables import scores_tables

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

FOLDER = ROOT / "include" / "ops" / "infra"
SCORES = "scores"  # has no file
OF_ENVIRONMENT = ("storage", "network", "access", SCORES, "environment")  # each imports what those before it export
OF_MODEL = "model"


class _Loader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML ships no types
    """CloudFormation's short forms (!Ref, !Sub) are read as nothing: what is asked of a template is plain."""


_Loader.add_multi_constructor("!", lambda *_: None)


def path_of(template: str) -> Path:
    return FOLDER / f"{template}.yaml"


def text_of(template: str) -> str:
    return json.dumps(scores_tables()) if template == SCORES else path_of(template).read_text(encoding="utf-8")


def read(template: str) -> Json:
    content: Json = yaml.load(text_of(template), _Loader)  # noqa: S506 - a SafeLoader
    return content


def parameters(template: str, values: Mapping[str, str]) -> list[dict[str, str]]:
    """Those of the values that the template takes."""
    known = read(template).get("Parameters", {})
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items() if key in known]


def configuration_options() -> dict[str, str]:
    """The Airflow configuration options that the MWAA environment gets."""
    options = read("environment")["Resources"]["Environment"]["Properties"]["AirflowConfigurationOptions"]
    return {key: str(value) for key, value in options.items()}


def put(
    cloudformation: CloudFormationClient, template: str, values: Mapping[str, str], stack: str | None = None
) -> str:
    """Create or update a template's stack and wait for it; "created", "updated" or "unchanged".

    Raises:
        botocore.exceptions.ClientError: CloudFormation refuses the template or the parameters.
        botocore.exceptions.WaiterError: the stack was rolled back; its events in the console say why.
    """
    name = stack or f"{values['Name']}-{template}"
    request: Json = {
        "StackName": name,
        "TemplateBody": text_of(template),
        "Parameters": parameters(template, values),
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": "project", "Value": values["Name"]}],
    }
    if not _exists(cloudformation, name):
        cloudformation.create_stack(**request)
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name)
        return "created"
    try:
        cloudformation.update_stack(**request)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return "unchanged"
        raise
    cloudformation.get_waiter("stack_update_complete").wait(StackName=name)
    return "updated"


def _exists(cloudformation: CloudFormationClient, name: str) -> bool:
    try:
        cloudformation.describe_stacks(StackName=name)
    except ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True
