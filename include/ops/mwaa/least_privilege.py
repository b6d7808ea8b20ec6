"""``make iam-test``: the Dags run under enforced IAM, with the roles of include/ops/infra/access.yaml and nothing else.

The template is deployed into the local AWS, which then decides over every call: Airflow calls with a session of the
MWAA role, jobs and endpoints with one of the role in their request. It also checks what SageMaker itself does as that
role: inputs and model data, images, logs, the keys of buckets and outputs, the alarms of a deployment. Any denied call
fails the test, even one that the program tolerates; and the test first proves that it can fail, by removing an action.

Ends with a table, also in ``iam-test-summary.json``. Exit status: 0 only if every promise holds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError
from rich.console import Console
from rich.markup import escape

from include.models.config.watching import METRICS_NAMESPACE
from include.models.errors import and_then
from include.ops import Json
from include.ops.local_stack import stack
from include.ops.local_stack.processes import ProcessError, free_ports, wait_until
from include.ops.local_stack.services import services
from include.ops.local_stack.settings import ACCOUNT, NAME, REGION, ROOT, Settings, SettingsError
from include.ops.mwaa import templates
from include.ops.mwaa.proof import BrokenPromiseError, Finding, alone, conclude, held, whole_way

AIRFLOW_ROLE = f"arn:aws:iam::{ACCOUNT}:role/{NAME}-airflow"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{NAME}-jobs:local"  # of the repository that the jobs' role may pull
TAKEN_AWAY = "sagemaker:DescribeTrainingJob"
TAKEN_FROM_JOBS = "ecr:BatchGetImage"


@dataclass(frozen=True)
class EnforcedSettings(Settings):
    """A stack whose local AWS enforces IAM; Airflow has the session of a role, once there is one."""

    session: tuple[tuple[str, str], ...] = ()

    @property
    def environment_name(self) -> str:
        return NAME  # it begins the names of queues, which the role's policy is narrowed to

    @property
    def sagemaker_options(self) -> list[str]:
        return ["--enforce-iam", "--image", f"{IMAGE}={ROOT / '.venv' / 'jobs'}"]

    def airflow_environment(self) -> dict[str, str]:
        return {**super().airflow_environment(), "AIRFLOW_ENV_NAME": self.environment_name, **dict(self.session)}

    def ml_environment(self, code_hash: str) -> Json:
        topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:{NAME}-alerts"
        return {**super().ml_environment(code_hash), "sns_topic_arn": topic, "image_uri": IMAGE}

    def client(self, service: str, credentials: dict[str, str] | None = None) -> Any:
        """As the administrator, or with other credentials."""
        keys = credentials or {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
        lower = {key.lower(): value for key, value in keys.items()}
        return boto3.client(service, endpoint_url=self.sagemaker_url, region_name=REGION, **lower)  # type: ignore[call-overload]  # of any service

    @property
    def denials(self) -> list[Json]:
        file = self.home / "sagemaker" / "denied.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def start_aws(settings: EnforcedSettings, model: str) -> None:
    """The local AWS with the templates in place that roles and messages need."""
    aws = services(settings)[0]
    aws.start()
    wait_until(lambda: stack.answers(f"{settings.sagemaker_url}/_local/health"), "the local AWS answering", 30, [aws])
    cloudformation = settings.client("cloudformation")
    values = {"Name": NAME, "AlertEmail": "nobody@example.com", "Model": model, "Group": model.replace("_", "-")}
    for template in ("storage", "access", "inbox", "model"):
        templates.put(cloudformation, template, values)


def airflow_session(settings: EnforcedSettings) -> dict[str, str]:
    """Credentials of a session of the MWAA role."""
    given = settings.client("sts").assume_role(RoleArn=AIRFLOW_ROLE, RoleSessionName="airflow")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


def prove_that_it_can_fail(settings: EnforcedSettings, session: dict[str, str]) -> str:
    """Without one action of a role's policy, the call that needs it is denied and recorded; with it, it is not."""
    if _describe_a_job(settings, session) == "AccessDeniedException":
        raise BrokenPromiseError(f"{TAKEN_AWAY} is denied although the policy allows it")
    with _taken_away(settings, "sagemaker", TAKEN_AWAY):
        code = _describe_a_job(settings, session)
        if code != "AccessDeniedException" or [one["action"] for one in settings.denials] != [TAKEN_AWAY]:
            raise BrokenPromiseError(f"without {TAKEN_AWAY} the call ended with {code}, noted: {settings.denials}")
    with _taken_away(settings, "jobs", TAKEN_FROM_JOBS):
        reason = _run_a_job(settings)
        if "Cannot pull" not in reason or [one["action"] for one in settings.denials] != [TAKEN_FROM_JOBS]:
            raise BrokenPromiseError(f"without {TAKEN_FROM_JOBS} a job ended with {reason!r}: {settings.denials}")
    if reason := _run_a_job(settings):
        raise BrokenPromiseError(f"a job failed although the policy allows all that it needs: {reason}")
    return f"without {TAKEN_AWAY} the call is denied, without {TAKEN_FROM_JOBS} SageMaker runs no job"


@contextlib.contextmanager
def _taken_away(settings: EnforcedSettings, policy: str, action: str) -> Iterator[None]:
    """Removes one action from a policy of the template meanwhile; clears the recorded denials afterwards."""
    iam, arn = settings.client("iam"), f"arn:aws:iam::{ACCOUNT}:policy/{NAME}-{policy}"
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    poorer = iam.create_policy_version(
        PolicyArn=arn, PolicyDocument=json.dumps(_without(document, action)), SetAsDefault=True
    )["PolicyVersion"]["VersionId"]

    def give_back() -> None:
        iam.set_default_policy_version(PolicyArn=arn, VersionId=version)
        iam.delete_policy_version(PolicyArn=arn, VersionId=poorer)
        (settings.home / "sagemaker" / "denied.jsonl").unlink(missing_ok=True)

    with and_then(give_back):
        yield


def _run_a_job(settings: EnforcedSettings) -> str:
    """Why a job under the jobs' role failed; empty if it did not."""
    sagemaker, name = settings.client("sagemaker"), f"proof-{uuid.uuid4().hex[:8]}"
    sagemaker.create_processing_job(
        ProcessingJobName=name,
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{NAME}-jobs",
        AppSpecification={"ImageUri": IMAGE, "ContainerEntrypoint": ["true"]},
        ProcessingResources={
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
        },
    )
    wait_until(lambda: _status(sagemaker, name) != "InProgress", "the end of a job", 60, [])
    return str(sagemaker.describe_processing_job(ProcessingJobName=name).get("FailureReason", ""))


def _status(sagemaker: Any, name: str) -> str:
    return str(sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"])


def metrics_go_to_their_namespace(settings: EnforcedSettings, session: dict[str, str]) -> str:
    """Drift metrics may only go into their own namespace. (No day of the generated year is so young that
    ``monitor_<model>`` itself would send any.)"""
    cloudwatch, measured = settings.client("cloudwatch", session), [{"MetricName": "Rows", "Value": 1.0}]
    cloudwatch.put_metric_data(Namespace=METRICS_NAMESPACE, MetricData=measured)
    try:
        cloudwatch.put_metric_data(Namespace="Another", MetricData=measured)
    except ClientError as error:
        (settings.home / "sagemaker" / "denied.jsonl").unlink(missing_ok=True)
        return f"{METRICS_NAMESPACE} is allowed, another ends with {error.response['Error']['Code']}"
    raise BrokenPromiseError("metrics may be put into any namespace")


def _describe_a_job(settings: EnforcedSettings, session: dict[str, str]) -> str:
    try:
        settings.client("sagemaker", session).describe_training_job(TrainingJobName="none")
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def _without(document: Json, action: str) -> Json:
    statements = [
        {**statement, "Action": [one for one in statement["Action"] if one != action]}
        if isinstance(statement["Action"], list)
        else statement
        for statement in document["Statement"]
    ]
    return {**document, "Statement": statements}


def no_denials(settings: EnforcedSettings) -> str:
    """Nothing was denied to any role."""
    if settings.denials:
        seen = {(one["role"], one["action"], one["resource"]) for one in settings.denials}
        lines = "\n".join(f"{role}: {action} on {resource}" for role, action, resource in sorted(seen))
        raise BrokenPromiseError(f"denied:\n{lines}\nAllow it in include/ops/infra/access.yaml, or avoid the call.")
    return "no call was denied"


def findings(settings: EnforcedSettings, model: str, console: Console) -> list[Finding]:
    start_aws(settings, model)
    session = airflow_session(settings)
    found = [held("the test can fail", lambda: prove_that_it_can_fail(settings, session))]
    found.append(held("metrics go to their namespace", lambda: metrics_go_to_their_namespace(settings, session)))
    enforced = EnforcedSettings(
        settings.home, settings.airflow_port, settings.sagemaker_port, session=tuple(session.items())
    )
    found += whole_way(enforced, model, console, "under the two roles")
    found.append(held("no call is denied", lambda: no_denials(settings)))
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="predictive_maintenance", help="the model to run (predictive_maintenance)")
    model = parser.parse_args(argv).model
    console = Console(width=160)
    try:
        with alone("iam-test") as folder:
            return _prove(folder, model, console)
    except SettingsError as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return 2


def _prove(folder: Path, model: str, console: Console) -> int:
    airflow_port, sagemaker_port = free_ports(2)
    settings = EnforcedSettings(folder, airflow_port, sagemaker_port)
    stack.down(settings, lambda _: None)  # left by an interrupted test
    stack.clear(settings)
    try:
        with and_then(lambda: stack.down(settings, lambda line: console.print(line, highlight=False))):
            found = findings(settings, model, console)
    except ProcessError as error:
        console.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
        return 1
    return conclude(found, "least privilege", folder.parent / "iam-test-summary.json", console)


if __name__ == "__main__":
    sys.exit(main())
