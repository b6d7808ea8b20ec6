"""The CloudFormation templates of include/ops/infra, and those generated from the models: their order of dependencies,
and how to deploy one."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from botocore.exceptions import ClientError, WaiterError

from include.models.errors import and_then
from include.ops import Json
from include.ops.local_stack.settings import ROOT
from include.ops.mwaa.scores_tables import scores_tables
from include.ops.mwaa.vpc_endpoints import vpc_endpoints

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

FOLDER = ROOT / "include" / "ops" / "infra"
MADE = {"endpoints": vpc_endpoints, "scores": scores_tables}  # these have no file
OF_ENVIRONMENT = (
    "storage",
    "network",
    "endpoints",
    "access",
    "inbox",
    "scores",
    "environment",
)  # each imports what those before it export
OF_MODEL = "model"
KEPT = ("storage", "environment")  # protected from accidental deletion
NEVER_MADE = "ROLLBACK_COMPLETE"  # of a first creation that failed: such a stack cannot be updated, only deleted
PATIENCE_SECONDS = 300


class StackError(RuntimeError):
    """A stack is in a bad state; the message says why and what to do."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML ships no types
    """CloudFormation's short forms (!Ref, !Sub) are read as nothing: what is asked of a template is plain."""


_Loader.add_multi_constructor("!", lambda *_: None)


def path_of(template: str) -> Path:
    return FOLDER / f"{template}.yaml"


def text_of(template: str) -> str:
    made = MADE.get(template)
    return json.dumps(made()) if made else path_of(template).read_text(encoding="utf-8")


def read(template: str) -> Json:
    content: Json = yaml.load(text_of(template), _Loader)  # noqa: S506 - a SafeLoader
    return content


class _NamingLoader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML ships no types
    """!Sub with placeholders for a reader in place of parameters, other short forms as their text."""


def _named(_: yaml.SafeLoader, form: str, node: yaml.Node) -> str:
    text = str(getattr(node, "value", ""))
    for name, shown in {"Name": "<environment>", "Model": "<model>", "Group": "<model>"}.items():
        text = text.replace(f"${{{name}}}", shown)
    return text


_NamingLoader.add_multi_constructor("!", _named)


def resources_with_names(template: str) -> Json:
    """Its resources, with their names as a reader knows them: ``<environment>-import-errors``."""
    content: Json = yaml.load(text_of(template), _NamingLoader)  # noqa: S506 - a SafeLoader
    return dict(content["Resources"])


def parameters(template: str, values: Mapping[str, str]) -> list[dict[str, str]]:
    """The values that the template accepts."""
    known = read(template).get("Parameters", {})
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items() if key in known]


def configuration_options() -> dict[str, str]:
    """The Airflow configuration options that the MWAA environment gets."""
    options = read("environment")["Resources"]["Environment"]["Properties"]["AirflowConfigurationOptions"]
    return {key: str(value) for key, value in options.items()}


def put(
    cloudformation: CloudFormationClient, template: str, values: Mapping[str, str], stack: str | None = None
) -> str:
    """Creates or updates a template's stack and waits for it; "created", "updated" or "unchanged".

    Raises:
        StackError: an earlier creation failed, or this one did; the message says what to do.
        botocore.exceptions.ClientError: CloudFormation refuses the template or the parameters.
    """
    name, request = _request(template, values, stack)
    status = status_of(cloudformation, name)
    if status == NEVER_MADE:
        # nothing of it is there: what is to be kept, RetainExceptOnCreate keeps after a creation alone
        cloudformation.delete_stack(StackName=name)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)
        status = None
    if status is None:
        cloudformation.create_stack(**request, EnableTerminationProtection=template in KEPT)
        _wait(cloudformation, name, "stack_create_complete")
        return "created"
    if status.endswith("_FAILED"):
        raise StackError(
            f"the stack {name} is {status}: its events in the console say why. Fix that, then roll it back."
        )
    try:
        cloudformation.update_stack(**request)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return "unchanged"
        raise
    _wait(cloudformation, name, "stack_update_complete")
    return "updated"


def changes(
    cloudformation: CloudFormationClient, template: str, values: Mapping[str, str], stack: str | None = None
) -> tuple[list[str], list[str]]:
    """What ``put`` would change, according to CloudFormation, and what has drifted from the template; changes nothing.
    Replacing a resource loses its content, so it is shown in capitals.

    Raises:
        botocore.exceptions.ClientError: CloudFormation refuses the template or the parameters.
    """
    name, request = _request(template, values, stack)
    status = status_of(cloudformation, name)
    if status in (None, NEVER_MADE):
        again = ["remove what a first creation that failed has left (ROLLBACK_COMPLETE)"] if status else []
        return [*again, f"create {len(read(template)['Resources'])} resources"], []
    change_set = f"dry-run-{uuid.uuid4().hex[:12]}"
    cloudformation.create_change_set(**request, ChangeSetName=change_set, ChangeSetType="UPDATE")
    with and_then(lambda: cloudformation.delete_change_set(StackName=name, ChangeSetName=change_set)):
        found = _change_set(cloudformation, name, change_set)
    said = []
    for change in found:
        resource = change["ResourceChange"]
        verb = "REPLACE" if resource.get("Replacement") == "True" else str(resource["Action"]).lower()
        said.append(f"{verb} {resource['LogicalResourceId']} ({resource['ResourceType']})")
    return said, _drift(cloudformation, name)


def _change_set(cloudformation: CloudFormationClient, stack: str, name: str) -> list[Json]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found: Json = {**cloudformation.describe_change_set(StackName=stack, ChangeSetName=name)}
        if found["Status"].endswith("_COMPLETE"):
            return list(found.get("Changes", []))
        if found["Status"] == "FAILED":
            reason = found.get("StatusReason", "")
            if "didn't contain changes" in reason or "No updates" in reason:
                return []
            raise StackError(f"CloudFormation cannot say what would change in {stack}: {reason}")
        if time.monotonic() > deadline:
            raise StackError(f"CloudFormation does not say what would change in {stack}: {found['Status']}")
        time.sleep(2)


def _drift(cloudformation: CloudFormationClient, stack: str) -> list[str]:
    """Resources changed by hand; or a line saying that this is unknown."""
    try:
        asked = cloudformation.detect_stack_drift(StackName=stack)["StackDriftDetectionId"]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            state = cloudformation.describe_stack_drift_detection_status(StackDriftDetectionId=asked)
            if state["DetectionStatus"] != "DETECTION_IN_PROGRESS" or time.monotonic() > deadline:
                break
            time.sleep(2)
        found = cloudformation.describe_stack_resource_drifts(
            StackName=stack, StackResourceDriftStatusFilters=["MODIFIED", "DELETED"]
        )["StackResourceDrifts"]
    except (ClientError, NotImplementedError) as error:
        return [f"drift is not known ({error})"]
    return [
        f"drifted: {one['LogicalResourceId']} was {one['StackResourceDriftStatus'].lower()} by hand" for one in found
    ]


def _request(template: str, values: Mapping[str, str], stack: str | None) -> tuple[str, Json]:
    name = stack or f"{values['Name']}-{template}"
    return name, {
        "StackName": name,
        "TemplateBody": text_of(template),
        "Parameters": parameters(template, values),
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": "project", "Value": values["Name"]}],
    }


def _wait(cloudformation: CloudFormationClient, stack: str, until: str) -> None:
    try:
        cloudformation.get_waiter(until).wait(StackName=stack)  # type: ignore[call-overload] # by its name
    except WaiterError as error:
        reasons = failures(cloudformation, stack) or error
        raise StackError(
            f"the stack {stack} was rolled back. {reasons} Fix it and run this again: the leftovers of a failed "
            "creation are removed first; buckets, keys and images that existed before are kept."
        ) from error


def failures(cloudformation: CloudFormationClient, stack: str) -> str:
    """The reasons of the stack's first failures; empty if its events have none."""
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    failed = [event for event in events if str(event.get("ResourceStatus")).endswith("_FAILED")]
    return " ".join(f"{event.get('LogicalResourceId')}: {event.get('ResourceStatusReason')}" for event in failed[-3:])


def status_of(cloudformation: CloudFormationClient, name: str) -> str | None:
    """None if there is no such stack."""
    try:
        return str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
