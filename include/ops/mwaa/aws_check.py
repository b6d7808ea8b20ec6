"""``make aws-check ENV=...``: checks what only the account can tell, on the first day and whenever in doubt.

Each step says what it proves and what it costs; together they take about ten minutes and cost some cents. Resources
that a step creates are named ``<environment>-aws-check`` and removed again; nothing that Dags use is changed. Ends with
a table of promises. Exit status: 0 only if all of them hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape

from include.models.config import load_model, model_names
from include.models.config.serving import HAVE_INSTANCES
from include.models.errors import and_then
from include.ops.local_stack.settings import Settings
from include.ops.mwaa import AIRFLOW_VERSION
from include.ops.mwaa.deploy import DOCKER_MANIFEST
from include.ops.mwaa.image import image_tag
from include.ops.mwaa.proof import BrokenPromiseError, Finding, conclude, held
from include.ops.mwaa.rest import AirflowOnMwaa, RestError
from include.ops.mwaa.target import Target, TargetError, load_target, outputs_of, target_names
from sagemaker_jobs.account import account

PATIENCE_SECONDS = 900  # a processing job's start-up alone may take eight minutes
EVENT_SECONDS = 120
FAILED = "FailedInvocations"  # EventBridge's metric of undelivered events
# the quota of each kind of job in Service Quotas
QUOTAS = {
    "processing": "{} for processing job usage",
    "training": "{} for training job usage",
    "transform": "{} for transform job usage",
    "endpoint": "{} for endpoint usage",
}
SAGEMAKER = "arn:{partition}:sagemaker:{region}:{account}"
# what each role does, and to what: calls of each kind that Dags and jobs make
ALLOWED = {
    "AirflowRole": {
        "sagemaker:CreateProcessingJob": f"{SAGEMAKER}:processing-job/x",
        "sagemaker:CreateTrainingJob": f"{SAGEMAKER}:training-job/x",
        "sagemaker:CreateModelPackage": f"{SAGEMAKER}:model-package/x/1",
        "sagemaker:UpdateEndpoint": f"{SAGEMAKER}:endpoint/x-production",
        "cloudwatch:PutMetricAlarm": "arn:{partition}:cloudwatch:{region}:{account}:alarm:x-production-errors",
        "s3:PutObject": "arn:{partition}:s3:::{bucket}/runs/x",
        "iam:PassRole": "{jobs}",
    },
    "JobsRole": {
        "s3:GetObject": "arn:{partition}:s3:::{bucket}/raw/x",
        "s3:PutObject": "arn:{partition}:s3:::{bucket}/runs/x",
        "ecr:BatchGetImage": "arn:{partition}:ecr:{region}:{account}:repository/{name}-jobs",
        "logs:PutLogEvents": "arn:{partition}:logs:{region}:{account}:log-group:/aws/sagemaker/x:log-stream:x",
        "kms:GenerateDataKey": "{key}",
    },
}
APPROVAL = "sagemaker:UpdateModelPackage"


@dataclass
class AwsCheck:
    """The steps against one environment. ``client`` makes a boto3 client of the environment's region."""

    target: Target
    client: Callable[[str], Any]
    outputs: Mapping[str, str]
    patience: float = PATIENCE_SECONDS
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"{self.target.name}-aws-check"

    def steps(self) -> dict[str, Callable[[], str]]:
        """The steps by promise and price."""
        return {
            "the job image is of the kind that SageMaker takes (free)": self.image,
            f"MWAA runs Airflow {AIRFLOW_VERSION} and is available (free)": self.version,
            "Airflow answers through invoke-rest-api (free)": self.rest,
            "quotas are as large as the pools of account.yaml (free)": self.quotas,
            "both roles may do what Dags and jobs do, by IAM's simulation (free)": self.permissions,
            "an alarm reaches people by mail (free)": self.alarm,
            "a version's state change reaches a queue under the key (free)": self.event,
            "events that reach no queue raise an alarm, for every model (free)": self.undelivered,
            "a processing job runs under the jobs' role, in the VPC (about a cent)": self.job,
        }

    def findings(self) -> Iterator[Finding]:
        for promise, step in self.steps().items():
            yield held(promise, lambda step=step: _explained(step))  # type: ignore[misc] # mypy cannot type such a default

    def image(self) -> str:
        repository = self.outputs["JobImages"].partition("/")[2]
        found = self.client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": image_tag()}])
        kind = found["imageDetails"][0].get("imageManifestMediaType")
        if kind != DOCKER_MANIFEST:
            raise BrokenPromiseError(f"{repository}:{image_tag()} is {kind}; publish it with publish_image.sh")
        return f"{repository}:{image_tag()}"

    def version(self) -> str:
        environment = self.client("mwaa").get_environment(Name=self.target.name)["Environment"]
        found = f"Airflow {environment['AirflowVersion']}, {environment['Status']}"
        if environment["AirflowVersion"] != AIRFLOW_VERSION or environment["Status"] != "AVAILABLE":
            raise BrokenPromiseError(found)
        return found

    def rest(self) -> str:
        airflow = AirflowOnMwaa(self.client("mwaa"), self.target.name)
        if errors := airflow.import_errors():
            raise BrokenPromiseError(f"it answers, but has import errors in {', '.join(errors)}")
        return f"{len(airflow.dags())} Dags"

    def quotas(self) -> str:
        pages = self.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
        known = {one["QuotaName"]: float(one["Value"]) for page in pages for one in page["Quotas"]}
        wanted: dict[str, int] = {}
        for kind, instance_type, number in self._instances():
            name = QUOTAS[kind].format(instance_type)
            wanted[name] = max(number, wanted.get(name, 0))
        short = [f"{name}: {known.get(name, 0):g}, needed {number}" for name, number in sorted(wanted.items())
                 if known.get(name, 0) < number]  # fmt: skip
        if short:
            raise BrokenPromiseError(
                f"{'; '.join(short)}. Ask for more under Service Quotas > Amazon SageMaker, which may take days, or "
                "make the pools of plugins/sagemaker_jobs/account.yaml smaller"
            )
        return f"{len(wanted)} quotas"

    def _instances(self) -> Iterator[tuple[str, str, int]]:
        """Kind, instance type and the number that may be needed at once."""
        pools = account().pools
        for model in map(load_model, model_names()):
            yield "processing", model.processing.instance_type, pools["processing"]
            yield "training", model.training.instance_type, pools["training"]
            if model.scoring:
                yield "transform", model.scoring.instance_type, pools["transform"]
            if model.serving.mode in HAVE_INSTANCES:  # a new version starts beside the current one
                yield "endpoint", model.serving.instance_type, 2 * model.serving.instance_count

    def permissions(self) -> str:
        """Each action as Dags and jobs ask for it, on resources of this environment; and that Airflow approves
        nothing."""
        for role, actions in ALLOWED.items():
            for action, template in actions.items():
                resource = self._arn(template)
                decided = self._simulated(role, action, resource)
                if decided == "explicitDeny":
                    raise BrokenPromiseError(f"{self.outputs[role]} is denied {action}, by a policy above it")
                if decided != "allowed":
                    raise BrokenPromiseError(
                        f"{self.outputs[role]} may not {action} on {resource}. 'make infra' shows whether the stack "
                        f"{self.target.name}-access has drifted; otherwise a permissions boundary or a policy of the "
                        "organisation does not allow it"
                    )
        version = self._arn(f"{SAGEMAKER}:model-package/x/1")
        if self._simulated("AirflowRole", APPROVAL, version, approves=True) == "allowed":
            raise BrokenPromiseError(f"{self.outputs['AirflowRole']} may approve versions, which only people may")
        return f"{sum(map(len, ALLOWED.values()))} actions are allowed, and Airflow may not approve a version"

    def _arn(self, template: str) -> str:
        _, partition, _, _, account, _ = self.outputs["JobsRole"].split(":", 5)
        known = {"partition": partition, "account": account, "region": self.target.region, "name": self.target.name}
        known |= {"bucket": self.outputs["MlBucket"], "jobs": self.outputs["JobsRole"], "key": self.outputs["Key"]}
        return template.format(**known)

    def _simulated(self, role: str, action: str, resource: str, *, approves: bool = False) -> str:
        asked = {
            "aws:RequestTag/project": self.target.name,
            "aws:ResourceTag/project": self.target.name,
            "iam:PassedToService": "sagemaker.amazonaws.com",
            "sagemaker:ModelApprovalStatus": "Approved" if approves else "PendingManualApproval",
        }
        answer = self.client("iam").simulate_principal_policy(
            PolicySourceArn=self.outputs[role],
            ActionNames=[action],
            ResourceArns=[resource],
            ContextEntries=[
                {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for name, value in asked.items()
            ],
        )
        return str(answer["EvaluationResults"][0]["EvalDecision"])

    def alarm(self) -> str:
        topic, cloudwatch = self.outputs["Alerts"], self.client("cloudwatch")
        subscriptions = self.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        people = [one["Endpoint"] for one in subscriptions if one["SubscriptionArn"].startswith("arn:")]
        if not people:
            raise BrokenPromiseError("nobody has confirmed the alerts topic's subscription: look for the mail from AWS")
        cloudwatch.put_metric_alarm(
            AlarmName=self.name,
            AlarmDescription=f"A test by make aws-check ENV={self.target.name}: nothing is wrong.",
            Namespace="AwsCheck",
            MetricName="None",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="ignore",
            AlarmActions=[topic],
        )
        with and_then(lambda: cloudwatch.delete_alarms(AlarmNames=[self.name])):
            cloudwatch.set_alarm_state(AlarmName=self.name, StateValue="ALARM", StateReason="make aws-check")
            failed = self._failed_action(cloudwatch)
        if failed:
            raise BrokenPromiseError(f"{failed}. The key's policy has to let cloudwatch.amazonaws.com use it")
        return f"sent to {', '.join(people)}: look for the mail '{self.name}'"

    def _failed_action(self, cloudwatch: Any) -> str:
        """What the alarm's history says went wrong; empty where it says nothing of that kind within some seconds."""
        until = time.monotonic() + min(20.0, self.patience)
        while time.monotonic() < until:
            try:
                items = cloudwatch.describe_alarm_history(AlarmName=self.name, HistoryItemType="Action")
            except ClientError:
                return ""
            for item in items.get("AlarmHistoryItems", []):
                return "" if "Successfully" in item["HistorySummary"] else str(item["HistorySummary"])
            time.sleep(2)
        return ""

    def event(self) -> str:
        """A group, a rule and a queue of its own: no Dag hears of it."""
        sqs, events, sagemaker = self.client("sqs"), self.client("events"), self.client("sagemaker")
        pattern = {"source": ["aws.sagemaker"], "detail": {"ModelPackageGroupName": [self.name]}}
        with ExitStack() as undo:  # whatever was created before a failure goes again too
            rule = events.put_rule(Name=self.name, EventPattern=json.dumps(pattern))["RuleArn"]
            undo.callback(events.delete_rule, Name=self.name)
            key = {"KmsMasterKeyId": self.outputs["Key"]}
            url = sqs.create_queue(QueueName=self.name, Attributes=key)["QueueUrl"]
            undo.callback(sqs.delete_queue, QueueUrl=url)
            queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            statement = {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
            }
            policy = {"Version": "2012-10-17", "Statement": [statement]}
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
            events.put_targets(Rule=self.name, Targets=[{"Id": "queue", "Arn": queue}])
            undo.callback(events.remove_targets, Rule=self.name, Ids=["queue"])
            sagemaker.create_model_package_group(ModelPackageGroupName=self.name)
            undo.callback(sagemaker.delete_model_package_group, ModelPackageGroupName=self.name)
            specification = {
                "Containers": [{"Image": f"{self.outputs['JobImages']}:{image_tag()}"}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            }
            arn = sagemaker.create_model_package(
                ModelPackageGroupName=self.name,
                InferenceSpecification=specification,
                ModelApprovalStatus="PendingManualApproval",
            )["ModelPackageArn"]
            undo.callback(sagemaker.delete_model_package, ModelPackageName=arn)
            began = time.monotonic()
            sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
            while time.monotonic() < began + min(EVENT_SECONDS, self.patience):
                if sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5).get("Messages"):
                    return f"after {time.monotonic() - began:.0f} s"
        raise BrokenPromiseError(
            "no event came into the queue: look at the metric FailedInvocations of EventBridge, and at the key's "
            "policy (Sid EventsAndAlarms in storage.yaml)"
        )

    def undelivered(self) -> str:
        """An event that EventBridge may not deliver reaches no queue at all, not even the dead-letter queue."""
        groups = [model.replace("_", "-") for model in model_names()]
        names = {f"{self.target.name}-{group}-approval-not-delivered": group for group in groups}
        found = self.client("cloudwatch").describe_alarms(AlarmNames=list(names))["MetricAlarms"]
        alarms = {one["AlarmName"]: one for one in found}
        wrong = []
        for name, group in names.items():
            alarm, rule = alarms.get(name), f"{self.target.name}-{group}-approvals"
            if alarm is None:
                wrong.append(f"{name} does not exist: 'make infra' creates it")
            elif (alarm["MetricName"], alarm["Dimensions"]) != (FAILED, [{"Name": "RuleName", "Value": rule}]):
                wrong.append(f"{name} does not watch {FAILED} of {rule}")
            elif self.outputs["Alerts"] not in alarm["AlarmActions"] or not alarm["ActionsEnabled"]:
                wrong.append(f"{name} notifies nobody")
            elif alarm["StateValue"] == "ALARM":
                wrong.append(f"{name} is in alarm: look at the policies of the rule's queue and of the key")
        if wrong:
            raise BrokenPromiseError("; ".join(wrong))
        return f"{len(names)} alarms on {FAILED}"

    def job(self) -> str:
        sagemaker, name = self.client("sagemaker"), f"{self.name}-{uuid.uuid4().hex[:8]}"
        request = {
            "ProcessingJobName": name,
            "RoleArn": self.outputs["JobsRole"],
            "AppSpecification": {
                "ImageUri": f"{self.outputs['JobImages']}:{image_tag()}",
                "ContainerEntrypoint": ["python", "-c", "print('aws-check')"],
            },
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 300},
            "NetworkConfig": {
                "VpcConfig": {
                    "Subnets": self.outputs["PrivateSubnets"].split(","),
                    "SecurityGroupIds": [self.outputs["JobsSecurityGroup"]],
                }
            },
            "Tags": [{"Key": "project", "Value": self.target.name}],
        }
        began = time.monotonic()
        sagemaker.create_processing_job(**request)
        while time.monotonic() < began + self.patience:
            found = sagemaker.describe_processing_job(ProcessingJobName=name)
            if found["ProcessingJobStatus"] not in ("InProgress", "Stopping"):
                break
            time.sleep(min(10.0, self.patience / 50))
        if found["ProcessingJobStatus"] != "Completed":
            raise BrokenPromiseError(f"{name} is {found['ProcessingJobStatus']}: {found.get('FailureReason')}")
        return f"{time.monotonic() - began:.0f} s from request to end"


def _explained(step: Callable[[], str]) -> str:
    try:
        return step()
    except (ClientError, BotoCoreError, RestError) as error:
        raise BrokenPromiseError(str(error)) from error


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("environment", help=f"one of: {', '.join(target_names())}")
    arguments = parser.parse_args(argv)
    console = Console(width=160)
    try:
        target = load_target(arguments.environment)
        session = boto3.session.Session(region_name=target.region)
        outputs = outputs_of(session.client("cloudformation"), target)
        check = AwsCheck(target, lambda service: session.client(service), outputs)  # type: ignore[call-overload] # of any
        findings = []
        for finding in check.findings():
            console.print(f"{'✓' if finding.kept else '✗'} {finding.promise}", highlight=False)
            findings.append(finding)
    except (TargetError, ClientError, BotoCoreError) as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return 1
    home = Settings.from_environment().home
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return conclude(findings, f"{target.name} in {target.region}", home / "aws-check-summary.json", console)


if __name__ == "__main__":
    sys.exit(main())
