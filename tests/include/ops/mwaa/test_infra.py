"""The templates, deployed as far as moto can, and conditions on every policy in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.models.config import load_model, model_names
from include.ops.local_stack.settings import ROOT
from include.ops.mwaa import AIRFLOW_VERSION, infra, templates
from include.ops.mwaa.infra import main, stacks
from include.ops.mwaa.scores_tables import scores_tables
from include.ops.mwaa.target import Target, TargetError, load_target, outputs_of, target_names
from include.platform.storage import captured
from include.score.athena_table import scores_table
from include.score.inbox_events import event_pattern, queue_name
from tests.include.local_sagemaker.conftest import Client, client_of
from tests.include.local_sagemaker.local_server import LocalSageMaker

FACTS = {"S3PrefixList": "pl-6da54004"}
ALL = (*templates.OF_ENVIRONMENT, templates.OF_MODEL, "github")


@pytest.fixture(scope="module")
def deployed(local_aws: LocalSageMaker) -> Client:
    """The dev environment's stacks, in a region where no other test has an environment."""
    aws = client_of(local_aws, "eu-central-1")
    cloudformation = aws("cloudformation")
    for stack, template, values in stacks(load_target("dev"), FACTS):
        assert templates.put(cloudformation, template, values, stack) == "created"
    return aws


def test_every_stack_is_made_and_roles_hold_their_policies(deployed: Client) -> None:
    iam = deployed("iam")
    attached = {
        role: sorted(one["PolicyName"] for one in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"])
        for role in ("ml-dev-airflow", "ml-dev-jobs", "ml-dev-approver")
    }
    assert attached == {
        "ml-dev-airflow": ["ml-dev-environment", "ml-dev-pipelines", "ml-dev-sagemaker"],
        "ml-dev-jobs": ["ml-dev-jobs", "ml-dev-jobs-files"],
        "ml-dev-approver": ["ml-dev-approver"],
    }


def test_buckets_are_versioned_encrypted_and_private() -> None:
    buckets = {
        name: resource["Properties"]
        for name, resource in templates.read("storage")["Resources"].items()
        if resource["Type"] == "AWS::S3::Bucket"
    }
    assert buckets.keys() == {"DagsBucket", "MlBucket", "AccessLogsBucket"}
    for name, properties in buckets.items():
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}, name
        assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"], name
        assert all(properties["PublicAccessBlockConfiguration"].values()), name
        assert properties["LifecycleConfiguration"]["Rules"], name


def test_a_model_s_approvals_have_the_queue_that_its_dag_reads(deployed: Client) -> None:
    for model in model_names():
        name = f"ml-dev-{model.replace('_', '-')}-approvals"
        url = deployed("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        attributes = deployed("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy", "QueueArn"])
        assert f"{name}-lost" in attributes["Attributes"]["RedrivePolicy"]
        targets = deployed("events").list_targets_by_rule(Rule=name)["Targets"]
        assert [target["Arn"] for target in targets] == [attributes["Attributes"]["QueueArn"]]


def test_files_of_the_inbox_have_the_queue_that_their_dag_reads(deployed: Client) -> None:
    name = queue_name("ml-dev")
    url = deployed("sqs").get_queue_url(QueueName=name)["QueueUrl"]
    arn = deployed("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert [target["Arn"] for target in deployed("events").list_targets_by_rule(Rule=name)["Targets"]] == [arn]
    pattern = json.loads(deployed("events").describe_rule(Name=name)["EventPattern"])
    assert pattern == event_pattern("ml-dev-ml-123456789012")


def test_the_outputs_make_a_variable_that_dags_take(deployed: Client) -> None:
    outputs = outputs_of(deployed("cloudformation"), load_target("dev"))
    assert {
        "MlBucket",
        "JobsRole",
        "Alerts",
        "Key",
        "PrivateSubnets",
        "JobsSecurityGroup",
        "JobImages",
    } <= outputs.keys()
    assert outputs["MlBucket"] == "ml-dev-ml-123456789012"


def substituted(value: Any) -> Any:
    """As CloudFormation assembles it for ml-dev."""
    if isinstance(value, dict) and value.keys() == {"Fn::Sub"}:
        text = value["Fn::Sub"].replace("${Name}", "ml-dev").replace("${AWS::AccountId}", "123456789012")
        assert "${" not in text.replace("${!", "")
        return text.replace("${!", "${")
    if isinstance(value, dict):
        return {key: substituted(item) for key, item in value.items()}
    return [substituted(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("model", [name for name in model_names() if load_model(name).scoring])
def test_a_model_that_scores_has_its_table_of_scores(model: str, aws: Client) -> None:
    """As sent to Glue, in the database that storage.yaml creates."""
    made = [resource["Properties"] for resource in templates.read("scores")["Resources"].values()]
    [table] = [table for table in made if table["TableInput"]["Name"] == f"scores_{model}"]
    assert substituted(table["TableInput"]) == scores_table(load_model(model), "ml-dev-ml-123456789012")
    assert substituted(table["DatabaseName"]) == {"Fn::ImportValue": "ml-dev-scores-database"}
    database = {"DatabaseName": f"of_{model}"}
    aws("glue").create_database(DatabaseInput={"Name": database["DatabaseName"]})
    aws("glue").create_table(**database, TableInput=substituted(table["TableInput"]))
    location = aws("glue").get_table(**database, Name=f"scores_{model}")["Table"]["StorageDescriptor"]["Location"]
    assert location == f"s3://ml-dev-ml-123456789012/scores_athena/{model}/"


def test_a_model_that_does_not_score_has_none() -> None:
    model = load_model("predictive_maintenance")
    scoreless = model.model_copy(update={"scoring": None})
    assert scores_tables([model])["Resources"].keys() == {"PredictiveMaintenance"}
    assert not scores_tables([scoreless])["Resources"]


def statements(template: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, resource in templates.read(template)["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [properties.get("PolicyDocument")]
        documents += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        for document in filter(None, documents):
            yield from ((name, statement) for statement in document["Statement"])


def actions_of(statement: dict[str, Any]) -> list[str]:
    return statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]


def test_no_policy_of_a_role_has_a_star_for_an_action() -> None:
    allowed = [
        (template, name, action)
        for template in ALL
        for name, statement in statements(template)
        if statement["Effect"] == "Allow" and "Principal" not in statement  # a role's, not a resource's
        for action in actions_of(statement)
    ]
    assert len(allowed) > 50
    assert [found for found in allowed if "*" in found[2]] == []


def test_a_star_for_a_resource_is_for_actions_that_take_none() -> None:
    takes_none = re.compile(
        r"(sagemaker|logs|ec2|application-autoscaling|cloudwatch):(List|Describe|Get)\w+|cloudwatch:PutMetricData"
        r"|ecr:GetAuthorizationToken|s3:GetAccountPublicAccessBlock|ce:GetCostAndUsage"
    )
    starred = [one for _, one in statements("access") if one["Resource"] == "*" and one["Effect"] == "Allow"]
    actions = [action for statement in starred for action in actions_of(statement)]
    assert "ecr:GetAuthorizationToken" in actions
    assert [action for action in actions if not takes_none.fullmatch(action)] == []


def test_endpoints_may_write_where_their_requests_are_captured() -> None:
    # of the text: the result of !Sub is unknown before deployment
    policy = templates.path_of("access").read_text().split("Sid: WriteOutput")[1].split("Sid:")[0]
    folder = captured("ml", "endpoint", "AllTraffic").split("/")[3]
    assert f"/{folder}/*" in policy


def test_templates_and_repository_are_of_one_airflow_version() -> None:
    parameter = templates.read("environment")["Parameters"]["AirflowVersion"]
    assert parameter["Default"] == AIRFLOW_VERSION


def test_an_update_by_cloudformation_waits_for_running_tasks_too() -> None:
    environment = templates.read("environment")["Resources"]["Environment"]["Properties"]
    assert environment["WorkerReplacementStrategy"] == "GRACEFUL"


@pytest.mark.parametrize("name", target_names())
def test_every_environment_can_be_read_and_its_parameters_are_known(name: str) -> None:
    target = load_target(name)
    known = {key for template in ALL for key in templates.read(template)["Parameters"]}
    assert target.parameters.keys() <= known


@pytest.mark.parametrize("made", ["yes", "no"])
def test_a_role_for_each_model_is_made_and_used_or_neither(made: str, tmp_path: Path) -> None:
    used = str(made != "yes").lower()
    text = f'name: ml-x\nregion: eu-west-1\ninfrastructure: {{RolePerModel: "{made}"}}\n'
    (tmp_path / "x.yaml").write_text(f"{text}ml_environment: {{role_per_model: {used}}}\n")
    with pytest.raises(TargetError, match=r"x\.yaml: .*set both or neither"):
        load_target("x", tmp_path)


def test_a_managed_mlflow_server_needs_its_endpoint(tmp_path: Path) -> None:
    text = 'name: ml-x\nregion: eu-west-1\nml_environment: {mlflow_tracking_uri: "arn:aws:sagemaker:x"}\n'
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(TargetError, match=r'set infrastructure\.Mlflow to "yes"'):
        load_target("x", tmp_path)
    (tmp_path / "x.yaml").write_text(f'{text}infrastructure: {{Mlflow: "yes"}}\n')
    assert load_target("x", tmp_path).parameters["Mlflow"] == "yes"


def test_names_that_are_too_long_together_are_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together, each may still have its maximum length: 25 and 40 characters."""
    monkeypatch.setattr(infra, "model_names", lambda: ["x" * 40])
    assert len(list(stacks(Target(name="ml-12345678ab", region="eu-west-1")))) == len(templates.OF_ENVIRONMENT) + 1
    with pytest.raises(TargetError, match=r"65 characters; AWS takes 64\. Shorten .* by 1\."):
        list(stacks(Target(name="ml-12345678abc", region="eu-west-1")))


def test_an_unknown_environment_is_said_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TargetError, match="Known: dev, prod, staging"):
        load_target("moon")
    assert main(["moon", "--dry-run"]) == 1
    assert "Known: dev" in capsys.readouterr().err


@pytest.fixture
def place(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A separate environment in the local AWS, with its file filled in."""
    target = Target(name="ml-first", region="ap-south-1", infrastructure={"AlertEmail": "team@company.test"})
    monkeypatch.setattr(infra, "load_target", lambda name: target)
    monkeypatch.setattr(infra, "facts_of", lambda target: FACTS)  # moto has no such prefix lists
    return target


def test_a_dry_run_says_what_would_change_and_changes_nothing(
    place: Target, capsys: pytest.CaptureFixture[str], local_aws: LocalSageMaker
) -> None:
    cloudformation = client_of(local_aws, place.region)("cloudformation")
    assert main(["dev", "--dry-run"]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    assert "ml-first-environment (environment: Name=ml-first)\n  create " in said
    assert "ml-first-model-predictive-maintenance" in said
    assert cloudformation.describe_stacks()["Stacks"] == []


@pytest.mark.parametrize("answer", ["", "n", None])
def test_nothing_is_changed_without_a_yes(
    place: Target,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    local_aws: LocalSageMaker,
    answer: str | None,
) -> None:
    """The changes are shown first; if nobody can be asked, YES=1 is required."""
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: answer is not None))
    monkeypatch.setattr("builtins.input", lambda question: answer if "ml-first-storage" in question else "y")
    assert main(["dev"]) == 1
    said = capsys.readouterr()
    assert "ml-first-storage (storage:" in said.out
    assert ("nothing was changed" in said.out) if answer is not None else ("give YES=1" in said.err)
    assert client_of(local_aws, place.region)("cloudformation").describe_stacks()["Stacks"] == []


def test_a_stack_that_imports_what_is_not_exported_yet_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def changes(_: Any, template: str, *__: Any) -> tuple[list[str], list[str]]:
        if template == "access":
            raise templates.StackError("CloudFormation cannot say: No export named ml-x-new found.")
        return ([], ["drifted: Key was modified by hand"]) if template == "storage" else (["modify A (B)"], [])

    monkeypatch.setattr(templates, "changes", changes)
    wanted = [(f"ml-x-{name}", name, {"Name": "ml-x"}) for name in ("storage", "network", "access")]
    cloudformation: Any = None
    assert infra.say_changes(cloudformation, wanted) == ["ml-x-network", "ml-x-access"]
    assert "drifted: Key was modified by hand" in capsys.readouterr().out


def test_a_first_creation_that_failed_is_made_again(local_aws: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the state that AWS leaves: ROLLBACK_COMPLETE, which cannot be updated."""
    cloudformation = client_of(local_aws, "ap-south-1")("cloudformation")
    values = {"Name": "ml-again", "AlertEmail": "team@company.test"}
    assert templates.put(cloudformation, "storage", values) == "created"
    asked: list[str] = []
    real = templates.status_of
    monkeypatch.setattr(
        templates,
        "status_of",
        lambda client, name: (asked.append(name), templates.NEVER_MADE if len(asked) == 1 else real(client, name))[1],
    )
    assert templates.put(cloudformation, "storage", values) == "created"
    assert asked


def test_what_a_stack_is_made_of_can_be_made_again() -> None:
    """With a fixed name and Retain, a failed first creation would leave it behind and block the second forever."""
    for template in ALL:
        for name, resource in templates.read(template)["Resources"].items():
            assert resource.get("DeletionPolicy") in (None, "RetainExceptOnCreate", "Delete"), (template, name)


def test_an_update_says_what_it_changes_first(local_aws: LocalSageMaker) -> None:
    cloudformation = client_of(local_aws, "ap-south-1")("cloudformation")
    values = {"Name": "ml-change", "AlertEmail": "team@company.test"}
    templates.put(cloudformation, "storage", values)
    changes, drifted = templates.changes(cloudformation, "storage", values)
    assert not [line for line in changes if line.startswith(("modify", "REPLACE", "add"))]
    assert [line.split(" (")[0] for line in drifted] == ["drift is not known"], "moto does not check it"
    protected = cloudformation.describe_stacks(StackName="ml-change-storage")["Stacks"][0]
    assert protected.get("EnableTerminationProtection") is True


class Drifted:
    """CloudFormation's answers after a bucket was changed by hand."""

    def __init__(self) -> None:
        self._states = ["DETECTION_IN_PROGRESS", "DETECTION_COMPLETE"]

    def detect_stack_drift(self, **_: str) -> dict[str, str]:
        return {"StackDriftDetectionId": "1"}

    def describe_stack_drift_detection_status(self, **_: str) -> dict[str, str]:
        return {"DetectionStatus": self._states.pop(0)}

    def describe_stack_resource_drifts(self, **_: Any) -> dict[str, Any]:
        assert not self._states
        return {"StackResourceDrifts": [{"LogicalResourceId": "MlBucket", "StackResourceDriftStatus": "MODIFIED"}]}


def test_what_was_changed_by_hand_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    cloudformation: Any = Drifted()
    assert templates._drift(cloudformation, "ml-x-storage") == ["drifted: MlBucket was modified by hand"]


def test_a_placeholder_is_refused(capsys: pytest.CaptureFixture[str], aws_environment: None) -> None:
    assert main(["dev"]) == 1
    assert "AlertEmail of ml-dev is 'ml-platform-dev@example.com', a placeholder" in capsys.readouterr().err


def test_a_second_environment_of_one_account_and_region_is_refused(deployed: Client, aws_environment: None) -> None:
    target = Target(name="ml-second", region="eu-central-1")
    with pytest.raises(TargetError, match=r"ml-dev.* in this account and region already"):
        infra.require_place(deployed("cloudformation"), target)
    infra.require_place(deployed("cloudformation"), load_target("dev"))


def test_vpc_endpoints_are_for_the_accounts_own_principals_and_buckets() -> None:
    resources = templates.read("endpoints")["Resources"]
    assert len(resources) >= 17
    for name, resource in resources.items():
        policy = resource["Properties"].get("PolicyDocument")
        if policy is None:
            assert name.startswith("Airflow"), name
            continue
        wide = [one for one in policy["Statement"] if one["Resource"] == "*" and "Condition" not in one]
        assert all(action.startswith("ecr:") for one in wide for action in one["Action"]), name
    assert {"ApplicationAutoscalingEndpoint", "DynamodbEndpoint"} <= resources.keys()


def test_logs_are_kept_for_a_year_those_that_are_there_before_too(local_aws: LocalSageMaker) -> None:
    logs = client_of(local_aws, "ap-south-1")("logs")
    logs.create_log_group(logGroupName="/aws/sagemaker/ProcessingJobs")
    for _ in range(2):
        kept = infra.keep_logs(logs, load_target("dev"))
    groups = [group for page in logs.get_paginator("describe_log_groups").paginate() for group in page["logGroups"]]
    assert {group["logGroupName"]: group.get("retentionInDays") for group in groups} == dict.fromkeys(kept, 365)
    assert "airflow-ml-dev-Task" in kept


@pytest.mark.parametrize(
    ("template", "group", "name", "writer"),
    [
        ("inbox", "InboxLog", "/aws/lambda/${Name}-inbox", "InboxPolicy"),
        ("online", "Log", "/online/${Name}/${Group}", "StartPolicy"),
    ],
)
def test_a_log_outside_sagemaker_is_kept_encrypted_and_written_by_its_own_role_alone(
    template: str, group: str, name: str, writer: str
) -> None:
    """Of the text: the result of !Ref and !Sub is unknown before deployment."""
    text = templates.path_of(template).read_text()
    made = templates.read(template)["Resources"]
    assert made[group]["Properties"]["RetentionInDays"] == infra.LOG_DAYS
    body = text.split(f"\n  {group}:\n")[1].split("\n  Inbox")[0]
    assert f"LogGroupName: !Sub {name}\n" in body
    assert 'KmsKeyId: {"Fn::ImportValue": !Sub "${Name}-key"}' in body
    of_logs = [
        (resource, action)
        for resource, statement in statements(template)
        for action in actions_of(statement)
        if action.startswith("logs:")
    ]
    assert of_logs == [(writer, "logs:CreateLogStream"), (writer, "logs:PutLogEvents")], "no other groups are created"
    allowed = text.split("[logs:CreateLogStream, logs:PutLogEvents]\n")[1].splitlines()[0]
    assert allowed.strip() == f"Resource: !GetAtt {group}.Arn"


def test_lambda_logs_into_its_own_group_and_keeps_what_it_says_of_each_file() -> None:
    function = templates.read("inbox")["Resources"]["InboxFunction"]["Properties"]
    text = templates.path_of("inbox").read_text().split("      LoggingConfig:")[1].split("      Environment:")[0]
    assert "LogGroup: !Ref InboxLog\n" in text
    # without them the runtime drops messages below a warning, such as the line for each file
    assert (function["LoggingConfig"]["LogFormat"], function["LoggingConfig"]["ApplicationLogLevel"]) == (
        "JSON",
        "INFO",
    )


def test_what_a_version_was_made_of_outlives_the_version() -> None:
    """Replaced raw data, code and results of runs are kept for years, whatever can be recreated for months."""
    storage = templates.read("storage")
    assert storage["Parameters"]["VersionsOfDataDays"]["Default"] >= 1825
    rules = storage["Resources"]["MlBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    short = {
        rule["Prefix"]
        for rule in rules
        if rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays") == 90 or "ExpirationInDays" in rule
    }
    assert short == {"scores/", "scores_athena/", "monitoring/", "capture/", "athena-results/"}
    text = templates.path_of("storage").read_text()
    assert (
        "Id: old-versions\n            Status: Enabled\n            NoncurrentVersionExpiration: "
        "{NoncurrentDays: !Ref VersionsOfDataDays}" in text
    )


def test_the_way_in_reaches_the_web_server_and_nothing_reaches_the_way_in() -> None:
    text = templates.path_of("network").read_text()
    rule = text.split("  AirflowFromWayIn:")[1].split("Description")[0]
    assert "GroupId: !Ref AirflowSecurityGroup" in rule
    assert "SourceSecurityGroupId: !Ref WayInSecurityGroup" in rule
    resources = templates.read("network")["Resources"]
    assert "SecurityGroupIngress" not in resources["WayInSecurityGroup"]["Properties"]
    assert not resources["WayInInstance"]["Properties"].get("KeyName")


def test_jobs_have_no_way_to_the_internet() -> None:
    network = templates.path_of("network").read_text()
    jobs = network.split("  JobsSecurityGroup:")[1].split("  JobsToKafka:")[0]
    assert "0.0.0.0/0" not in jobs


def test_jobs_reach_brokers_where_there_are_some_and_mlflow() -> None:
    rule = templates.path_of("network").read_text().split("  JobsToKafka:")[1].split("Description")[0]
    for wanted in ("Condition: WithKafka", "FromPort: 9092", "ToPort: 9198", "CidrIp: !Ref KafkaCidr"):
        assert wanted in rule
    statements = templates.read("access")["Resources"]["JobsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (mlflow,) = [one["Action"] for one in statements if one["Sid"] == "TrackRuns"]
    assert {f"sagemaker-mlflow:{name}" for name in ("CreateRun", "LogBatch", "SetRegisteredModelAlias")} <= set(mlflow)


def test_parameters_hold_no_secret() -> None:
    for name in target_names():
        text = (ROOT / "include" / "ops" / "mwaa" / "environments" / f"{name}.yaml").read_text()
        assert not re.search(r"(?i)password|secret|AKIA", text)
