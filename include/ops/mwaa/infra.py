"""``make infra ENV=...``: deploys an environment's CloudFormation stacks in the order of their dependencies, and one
for each model. Running it again applies what has changed; the MWAA environment itself takes 20 to 30 minutes the first
time."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from include.models.config import model_names
from include.ops.mwaa import templates
from include.ops.mwaa.target import Target, TargetError, load_target, target_names

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient


LOG_DAYS = 365
LONGEST_NAME = 64  # of a role of IAM and of a rule of EventBridge


def stacks(target: Target, facts: Mapping[str, str] | None = None) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Stack name, template and parameters of all stacks of an environment.

    Args:
        facts: parameters that the account knows, as ``facts_of`` finds them.

    Raises:
        TargetError: the environment's name and a model's are longer together than AWS takes.
    """
    values = {**target.parameters, **(facts or {})}
    for template in templates.OF_ENVIRONMENT:
        yield f"{target.name}-{template}", template, values
    for model in model_names():
        group = model.replace("_", "-")
        longest = f"{target.name}-{group}-approvals"
        if (above := len(longest) - LONGEST_NAME) > 0:
            raise TargetError(
                f"the rule {longest} of the model {model} has {len(longest)} characters; AWS takes {LONGEST_NAME}. "
                f"Shorten the environment's name or the model's by {above}."
            )
        yield f"{target.name}-model-{group}", templates.OF_MODEL, {**values, "Model": model, "Group": group}


def facts_of(target: Target) -> dict[str, str]:
    """Template parameters that depend on the account and its region.

    Raises:
        TargetError: the region has no such prefix list.
    """
    wanted = f"com.amazonaws.{target.region}.s3"
    ec2 = boto3.client("ec2", region_name=target.region)
    found = ec2.describe_managed_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [wanted]}])["PrefixLists"]
    if not found:
        raise TargetError(f"AWS has no prefix list {wanted}: is the region right?")
    return {"S3PrefixList": found[0]["PrefixListId"]}


def require_place(cloudformation: CloudFormationClient, target: Target) -> None:
    """One environment for each account and region: endpoints, package groups and models are named after the models, so
    two would take each other's.

    Raises:
        TargetError: there is another one.
    """
    pages = cloudformation.get_paginator("list_exports").paginate()
    names = [str(export["Name"]) for page in pages for export in page["Exports"]]
    there = {name.removesuffix("-job-images") for name in names if name.endswith("-job-images")} - {target.name}
    if there:
        raise TargetError(
            f"{', '.join(sorted(there))} is in this account and region already. Endpoints, model package groups and "
            f"models are named after the models alone, so {target.name} would change those of the other. Give it its "
            "own account, or another region (in its file under include/ops/mwaa/environments)."
        )


def keep_logs(logs: Any, target: Target) -> list[str]:
    """Create the log groups of SageMaker and MWAA, which would otherwise never expire, with a retention; their names.

    They cannot be a stack's: SageMaker's are the whole account's and may be there before.
    """
    stages = [f"{model.replace('_', '-')}-{stage}" for model in model_names() for stage in ("staging", "production")]
    groups = [f"/aws/sagemaker/{kind}" for kind in ("ProcessingJobs", "TrainingJobs", "TransformJobs")]
    groups += [f"/aws/sagemaker/Endpoints/{endpoint}" for endpoint in stages]
    groups += [
        f"airflow-{target.name}-{kind}" for kind in ("DAGProcessing", "Scheduler", "Task", "WebServer", "Worker")
    ]
    for group in groups:
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName=group)
        logs.put_retention_policy(logGroupName=group, retentionInDays=LOG_DAYS)
    return groups


def say_changes(cloudformation: CloudFormationClient, wanted: Iterable[tuple[str, str, dict[str, str]]]) -> list[str]:
    """Shows for each stack what would change, and what has drifted; returns the changing stacks."""
    changing = []
    for stack, template, values in wanted:
        given = ", ".join(
            f"{one['ParameterKey']}={one['ParameterValue']}" for one in templates.parameters(template, values)
        )
        print(f"{stack} ({template}: {given})", flush=True)
        try:
            changes, drifted = templates.changes(cloudformation, template, values, stack)
        except (templates.StackError, ClientError) as error:
            if "No export named" not in str(error):
                raise
            # it imports what a stack before it does not export yet
            changes, drifted = [f"the changes are known once earlier stacks have changed ({error})"], []
        for line in [*changes, *drifted] or ["nothing to change"]:
            print(f"  {line}", flush=True)
        changing += [stack] if changes else []
    return changing


def agreed(question: str) -> bool:
    """Asks at the terminal.

    Raises:
        TargetError: there is no terminal.
    """
    if not sys.stdin.isatty():
        raise TargetError("nobody can confirm these changes here: give YES=1, or run it in a terminal")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", help=f"one of: {', '.join(target_names())}")
    parser.add_argument("--dry-run", action="store_true", help="only show what would change, and what has drifted")
    parser.add_argument("--yes", action="store_true", help="change it without asking, for workflows")
    arguments = parser.parse_args(argv)
    try:
        target = load_target(arguments.environment)
        target.require_filled_in()
        cloudformation = boto3.client("cloudformation", region_name=target.region)
        require_place(cloudformation, target)
        wanted = list(stacks(target, facts_of(target)))
        changing = say_changes(cloudformation, wanted)
        if arguments.dry_run:
            return 0
        if changing and not (arguments.yes or agreed(f"change {', '.join(changing)}?")):
            print("nothing was changed")
            return 1
        for stack, template, values in wanted:
            print(f"{stack}: {templates.put(cloudformation, template, values, stack)}", flush=True)
        kept = keep_logs(boto3.client("logs", region_name=target.region), target)
        print(f"{len(kept)} log groups are kept for {LOG_DAYS} days", flush=True)
    except (TargetError, templates.StackError, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
