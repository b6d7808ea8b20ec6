"""``make destroy ENV=...``: removes an environment from AWS: what its Dags created, its stacks, and what stacks retain
(buckets, images, Airflow, the key). It first lists everything, and continues once the environment's name is typed. If
run again, it continues where it stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from include.ops.mwaa import templates
from include.ops.mwaa.infra import stacks
from include.ops.mwaa.target import Target, TargetError, load_target, target_names
from sagemaker_jobs.paging import listed

if TYPE_CHECKING:
    from types_boto3_application_autoscaling import ApplicationAutoScalingClient
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_mwaa import MWAAClient
    from types_boto3_sagemaker import SageMakerClient

KEY_DAYS = 30  # until a key is deleted: time to find out that data is still needed
# error codes of what is gone or, for a key, being deleted
ABSENT = (
    "KMSInvalidStateException",
    "ResourceNotFoundException",
    "RepositoryNotFoundException",
    "NoSuchBucket",
    "NotFoundException",
    "ObjectNotFoundException",
    "404",
)
ABSENT_WORDS = (
    "Could not find",
    "does not exist",
    "No scalable target",
)  # of services whose code is the one of any wrong request
ABSENT_STATUS = "DELETE_COMPLETE"
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"
UNPROTECTED = [{"Key": "deletion_protection.enabled", "Value": "false"}]
ALARMS_AT_ONCE = 100


@dataclass(frozen=True)
class Step:
    """An existing resource, and how to remove it."""

    says: str
    remove: Callable[[], object]


def plan(target: Target) -> list[Step]:
    """The resources to remove, in a possible order.

    Raises:
        botocore.exceptions.ClientError: AWS cannot be asked.
    """
    session = boto3.Session(region_name=target.region)
    client = session.client
    cloudformation = client("cloudformation")
    names = [stack for stack, *_ in stacks(target)]
    names += _other_stacks(cloudformation, target, names)
    there = [name for name in names if templates.status_of(cloudformation, name) not in (None, ABSENT_STATUS)]
    kept: dict[str, list[str]] = {}
    for name in there:
        for kind, physical in _resources(cloudformation, name):
            kept.setdefault(kind, []).append(physical)
    # a stack does not delete these, but knows their names: so they go before it
    ends: dict[str, Callable[[str], Step]] = {
        "AWS::S3::Bucket": lambda name: Step(f"bucket {name}, with all that is in it", partial(_bucket, name)),
        "AWS::ECR::Repository": lambda name: Step(
            f"images {name}", partial(client("ecr").delete_repository, repositoryName=name, force=True)
        ),
        "AWS::KMS::Key": lambda key: Step(
            f"key {key}, in {KEY_DAYS} days: until then it can be brought back",
            partial(client("kms").schedule_key_deletion, KeyId=key, PendingWindowInDays=KEY_DAYS),
        ),
        "AWS::DynamoDB::Table": lambda name: Step(
            f"table {name}, the feature state of an online service",
            partial(client("dynamodb").delete_table, TableName=name),
        ),
    }
    removals = {name: Step(f"stack {name}", partial(_stack, cloudformation, name)) for name in reversed(there)}
    storage = removals.pop(f"{target.name}-storage", None)
    return [
        *_made_by_dags(target, session),
        *(
            Step(f"Airflow {name}, with the history of its runs", partial(_airflow, client("mwaa"), name))
            for name in kept.get("AWS::MWAA::Environment", ())
        ),
        *(
            Step(
                f"deletion protection of the load balancer {arn.rpartition('/')[0].rpartition('/')[2]}",
                partial(client("elbv2").modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=UNPROTECTED),
            )
            for arn in kept.get(BALANCER, ())
        ),
        *removals.values(),
        *(end(name) for kind, end in ends.items() for name in kept.get(kind, ())),
        *([storage] if storage else []),
    ]


def _other_stacks(cloudformation: CloudFormationClient, target: Target, known: list[str]) -> list[str]:
    """Those of models that are no longer here, of online services (docs/how-to/online.md) and of GitHub's role: they
    import from the environment's stacks, which cannot go before them."""
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    found = [stack["StackName"] for page in pages for stack in page["Stacks"]]
    own = (f"{target.name}-{templates.OF_MODEL}-", f"{target.name}-online-")
    github = f"{target.name}-github"
    return [name for name in found if (name.startswith(own) or name == github) and name not in known]


def _resources(cloudformation: CloudFormationClient, stack: str) -> Iterator[tuple[str, str]]:
    """Type and id of each that is left."""
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
        for resource in page["StackResourceSummaries"]:
            name = resource.get("PhysicalResourceId")
            if name and resource["ResourceStatus"] != ABSENT_STATUS:
                yield resource["ResourceType"], name


def _made_by_dags(target: Target, session: boto3.Session) -> Iterator[Step]:
    """Running jobs, scaling and alarms of endpoints, endpoints with their configurations and Models, packages: by the
    tag ``project`` or, where AWS keeps no tags, by name."""
    sagemaker = session.client("sagemaker")
    groups = [values["Group"] for _, template, values in stacks(target) if template == templates.OF_MODEL]
    yield from _jobs(sagemaker, target)
    yield from _scaling(
        session.client("application-autoscaling"),
        tuple(f"endpoint/{group}-" for group in groups),
    )
    own = tuple(f"{group}-" for group in groups)
    yield from _alarms(session.client("cloudwatch"), own)
    for kind, key in (("endpoint", "Endpoint"), ("endpoint_config", "EndpointConfig"), ("model", "Model")):
        for one in listed(sagemaker, f"list_{kind}s", f"{key}s"):
            name = one[f"{key}Name"]
            if name.startswith(own) and _is_of(sagemaker, target, one[f"{key}Arn"]):
                remove = partial(getattr(sagemaker, f"delete_{kind}"), **{f"{key}Name": name})
                yield Step(f"{kind.replace('_', ' ')} {name}", remove)
    for group in groups:
        packages = _packages(sagemaker, target, group)
        if packages is not None:
            says = f"model package group {group} with {len(packages)} versions"
            yield Step(says, partial(_package_group, sagemaker, group, packages))


def _jobs(sagemaker: SageMakerClient, target: Target) -> Iterator[Step]:
    kinds = {  # a tuning first, which would start more trainings
        "hyper_parameter_tuning": "HyperParameterTuning",
        "processing": "Processing",
        "training": "Training",
        "transform": "Transform",
    }
    for kind, word in kinds.items():
        for job in listed(sagemaker, f"list_{kind}_jobs", f"{word}JobSummaries", StatusEquals="InProgress"):
            if _is_of(sagemaker, target, job[f"{word}JobArn"]):
                name = job[f"{word}JobName"]
                stop = partial(getattr(sagemaker, f"stop_{kind}_job"), **{f"{word}JobName": name})
                yield Step(f"{kind.replace('_', ' ')} job {name}, which runs", stop)


def _scaling(scaling: ApplicationAutoScalingClient, own: tuple[str, ...]) -> Iterator[Step]:
    for one in listed(scaling, "describe_scalable_targets", "ScalableTargets", ServiceNamespace="sagemaker"):
        if one["ResourceId"].startswith(own):
            keys = ("ServiceNamespace", "ResourceId", "ScalableDimension")
            deregister = partial(scaling.deregister_scalable_target, **{key: one[key] for key in keys})
            yield Step(f"scaling of {one['ResourceId']}", deregister)


def _alarms(cloudwatch: CloudWatchClient, own: tuple[str, ...]) -> Iterator[Step]:
    names = [alarm["AlarmName"] for alarm in listed(cloudwatch, "describe_alarms", "MetricAlarms")]
    for alarms in batched((name for name in names if name.startswith(own)), ALARMS_AT_ONCE):
        yield Step(f"{len(alarms)} alarms of endpoints", partial(cloudwatch.delete_alarms, AlarmNames=list(alarms)))


def _is_of(sagemaker: SageMakerClient, target: Target, arn: str) -> bool:
    """False if it has another environment's tag."""
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    return bool(tags.get("project", target.name) == target.name)


def _packages(sagemaker: SageMakerClient, target: Target, group: str) -> list[str] | None:
    """Versions of a group; None if there is no such group, or it is another environment's."""
    try:
        described = sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    except ClientError as error:
        if error.response["Error"]["Code"] in (*ABSENT, "ValidationException"):
            return None
        raise
    if not _is_of(sagemaker, target, described["ModelPackageGroupArn"]):
        return None
    found = listed(sagemaker, "list_model_packages", "ModelPackageSummaryList", ModelPackageGroupName=group)
    return [package["ModelPackageArn"] for package in found]


def _package_group(sagemaker: SageMakerClient, group: str, packages: list[str]) -> None:
    for arn in packages:
        sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)


def _airflow(mwaa: MWAAClient, name: str) -> None:
    """Deletes Airflow first, as it uses the network and the roles of stacks."""
    mwaa.delete_environment(Name=name)
    while True:
        try:
            mwaa.get_environment(Name=name)
        except ClientError as error:
            if error.response["Error"]["Code"] in ABSENT:
                return
            raise
        time.sleep(30)


def _stack(cloudformation: CloudFormationClient, name: str) -> None:
    if templates.status_of(cloudformation, name) != "DELETE_IN_PROGRESS":  # as a run before has left it
        _unprotect(cloudformation, name)
        cloudformation.delete_stack(StackName=name)
    try:
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=name)
    except WaiterError as error:
        raise templates.StackError(templates.failures(cloudformation, name) or str(error)) from error


def _unprotect(cloudformation: CloudFormationClient, name: str) -> None:
    cloudformation.update_termination_protection(StackName=name, EnableTerminationProtection=False)


def _bucket(name: str) -> None:
    """Deletes a bucket with every version of every object."""
    bucket = boto3.resource("s3").Bucket(name)
    bucket.object_versions.delete()
    bucket.delete()


def carry_out(steps: list[Step]) -> list[str]:
    """Carries out all steps, whatever fails; returns what could not be removed, with reasons."""
    failed = []
    for step in steps:
        try:
            step.remove()
        except (ClientError, BotoCoreError, templates.StackError) as error:
            if _is_absent(error):
                continue
            failed.append(f"{step.says}: {error}")
            print(f"  NOT removed: {failed[-1]}", flush=True)
        else:
            print(f"  removed: {step.says}", flush=True)
    return failed


def _is_absent(error: Exception) -> bool:
    """Whether what was to be removed is gone."""
    told = getattr(error, "response", {}).get("Error", {})
    return told.get("Code") in ABSENT or (
        told.get("Code") == "ValidationException" and any(words in str(error) for words in ABSENT_WORDS)
    )


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", help=f"one of: {', '.join(target_names())}")
    parser.add_argument("--dry-run", action="store_true", help="only list what would be removed")
    arguments = parser.parse_args(argv)
    try:
        target = load_target(arguments.environment)
        steps = plan(target)
        if not steps:
            print(f"nothing of {target.name} is in {target.region}")
            return 0
        print(f"{target.name} in {target.region}: this removes, for good")
        print("\n".join(f"  {step.says}" for step in steps), flush=True)
        if arguments.dry_run:
            return 0
        if not sys.stdin.isatty():
            print("nobody can type the environment's name here: run it in a terminal", file=sys.stderr)
            return 1
        if input(f"Type {target.name} to remove all of it: ").strip() != target.name:
            print("that is not its name: nothing was removed")
            return 1
        if failed := carry_out(steps):
            print(f"{len(failed)} of {len(steps)} are left. Fix the causes, then run this again.", file=sys.stderr)
            return 1
    except (TargetError, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{target.name} is gone. Its log groups stay until their retention ends.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
