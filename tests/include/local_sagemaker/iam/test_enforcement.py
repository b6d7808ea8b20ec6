"""``--enforce-iam``: role sessions may do what the roles' policies allow, and jobs have the role that they name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.conftest import Client, client_of
from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting, hosting_server
from tests.include.local_sagemaker.job_requests import processing, run_processing
from tests.include.local_sagemaker.local_server import IMAGE, REGION, ROLE, LocalSageMaker

CALLER = "arn:aws:iam::123456789012:role/caller"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
LOGS = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/*",
}
REPOSITORY = "arn:aws:ecr:us-east-1:123456789012:repository/ml-jobs"
PULL = [
    {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
    {
        "Effect": "Allow",
        "Action": ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
        "Resource": REPOSITORY,
    },
]
Grant = Callable[..., None]


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    running = LocalSageMaker(tmp_path_factory.mktemp("enforcing") / "state", ("--enforce-iam",))
    running.start()
    admin = client_of(running)
    admin("s3").create_bucket(Bucket="data")
    for arn in (CALLER, ROLE):
        admin("iam").create_role(RoleName=arn.rpartition("/")[2], AssumeRolePolicyDocument=json.dumps(TRUST))
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log, running.log


@pytest.fixture
def admin(enforcing: LocalSageMaker) -> Client:
    return client_of(enforcing)


@pytest.fixture
def grant(admin: Client) -> Grant:
    """`grant(role, statement...)` replaces the role's permissions; a job's role may pull its image unless stated
    otherwise."""

    def set_policy(role: str, *statements: dict[str, Any], pull: bool = True) -> None:
        more = PULL if pull and role == ROLE else []
        document = {"Version": "2012-10-17", "Statement": [*statements, *more]}
        admin("iam").put_role_policy(
            RoleName=role.rpartition("/")[2], PolicyName="test", PolicyDocument=json.dumps(document)
        )

    nothing = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    set_policy(CALLER, nothing)
    set_policy(ROLE, LOGS)
    return set_policy


@pytest.fixture
def caller(enforcing: LocalSageMaker, admin: Client) -> Client:
    given = admin("sts").assume_role(RoleArn=CALLER, RoleSessionName="test")["Credentials"]
    session = boto3.session.Session(
        given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=REGION
    )
    return lambda service: session.client(service, endpoint_url=enforcing.url)


def allow(action: Any, resource: Any = "*", **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def denied(call: Callable[[], Any]) -> bool:
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"):
            return True
        raise
    return False


def test_objects_are_given_by_their_prefix(caller: Client, grant: Grant, admin: Client) -> None:
    s3 = caller("s3")
    admin("s3").put_object(Bucket="data", Key="raw/a", Body=b"1")
    assert denied(lambda: s3.get_object(Bucket="data", Key="raw/a"))
    grant(CALLER, allow("s3:GetObject", "arn:aws:s3:::data/raw/*"), allow("s3:PutObject", "arn:aws:s3:::data/runs/*"))
    assert s3.get_object(Bucket="data", Key="raw/a")["Body"].read() == b"1"
    s3.put_object(Bucket="data", Key="runs/a", Body=b"1")
    assert denied(lambda: s3.put_object(Bucket="data", Key="raw/b", Body=b"1"))
    assert denied(lambda: s3.list_objects_v2(Bucket="data", Prefix="raw/"))
    assert denied(lambda: s3.delete_objects(Bucket="data", Delete={"Objects": [{"Key": "runs/a"}]}))


def test_other_services_in_each_of_their_protocols(caller: Client, grant: Grant, admin: Client) -> None:
    topic = admin("sns").create_topic(Name="alerts")["TopicArn"]
    queue = admin("sqs").create_queue(QueueName="ml-a-approvals")["QueueUrl"]
    alarm = {
        "AlarmName": "ml-a-latency",
        "MetricName": "m",
        "Namespace": "n",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Statistic": "Sum",
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    calls: list[Callable[[], Any]] = [
        lambda: caller("sns").publish(TopicArn=topic, Message="m"),
        lambda: caller("sqs").receive_message(QueueUrl=queue),
        lambda: caller("cloudwatch").put_metric_alarm(**alarm),
        lambda: caller("cloudwatch").put_metric_data(Namespace="own", MetricData=[{"MetricName": "m", "Value": 1}]),
        lambda: caller("logs").describe_log_groups(),
    ]
    assert all(denied(call) for call in calls)
    grant(
        CALLER,
        allow("sns:Publish", topic),
        allow("sqs:ReceiveMessage", "arn:aws:sqs:us-east-1:123456789012:ml-*-approvals"),
        allow("cloudwatch:PutMetricAlarm", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:ml-*"),
        allow("cloudwatch:PutMetricData", StringEquals={"cloudwatch:namespace": "own"}),
        allow("logs:DescribeLogGroups"),
    )
    assert not any(denied(call) for call in calls)
    assert denied(
        lambda: caller("cloudwatch").put_metric_data(Namespace="x", MetricData=[{"MetricName": "m", "Value": 1}])
    )


def test_jobs_are_made_with_a_tag_and_a_role_that_may_be_passed(
    caller: Client, grant: Grant, names: Callable[[str], str]
) -> None:
    create = allow(
        ["sagemaker:CreateProcessingJob", "sagemaker:AddTags"], StringEquals={"aws:RequestTag/project": "ml"}
    )
    passing = allow("iam:PassRole", ROLE, StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"})
    client = caller("sagemaker")
    tagged = {"Tags": [{"Key": "project", "Value": "ml"}]}
    grant(CALLER, create)
    assert denied(lambda: client.create_processing_job(**processing(names("p"), ["true"]), **tagged)), "no PassRole"
    grant(CALLER, create, passing)
    assert denied(lambda: client.create_processing_job(**processing(names("p"), ["true"]))), "no tag"
    name = names("p")
    client.create_processing_job(**processing(name, ["sleep", "60"]), **tagged)
    assert denied(lambda: client.stop_processing_job(ProcessingJobName=name))
    grant(CALLER, allow("sagemaker:StopProcessingJob", StringEquals={"aws:ResourceTag/project": "ml"}))
    client.stop_processing_job(ProcessingJobName=name)


def test_a_job_and_its_downloads_have_the_job_s_role(admin: Client, grant: Grant, names: Callable[[str], str]) -> None:
    admin("s3").put_object(Bucket="data", Key="raw/in.csv", Body=b"1")
    script = "import boto3; boto3.client('s3').put_object(Bucket='data', Key='elsewhere/x', Body=b'x')"
    reading = allow(["s3:GetObject", "s3:ListBucket"], ["arn:aws:s3:::data", "arn:aws:s3:::data/raw/*"])

    def run(*statements: dict[str, Any]) -> Any:
        grant(ROLE, *statements)
        command = ["python", "-c", script]
        return run_processing(admin("sagemaker"), processing(names("r"), command, inputs={"in": "s3://data/raw/"}))

    assert run(LOGS)["ProcessingJobStatus"] == "Failed", "it may not read its input"
    assert run(LOGS, reading)["ProcessingJobStatus"] == "Failed", "it may not write elsewhere"
    assert (
        run(LOGS, reading, allow("s3:PutObject", "arn:aws:s3:::data/elsewhere/*"))["ProcessingJobStatus"] == "Completed"
    )


def _last_denied(enforcing: LocalSageMaker) -> tuple[str, str]:
    last = json.loads((enforcing.state / "denied.jsonl").read_text().splitlines()[-1])
    return last["action"], last["resource"]


def test_the_image_is_pulled_as_the_job_s_role(
    enforcing: LocalSageMaker, admin: Client, grant: Grant, names: Callable[[str], str]
) -> None:
    grant(ROLE, LOGS, pull=False)
    refused = run_processing(admin("sagemaker"), processing(names("pull"), ["true"]))
    assert refused["FailureReason"].startswith("ClientError: Cannot pull algorithm container")
    grant(ROLE, LOGS, PULL[0], pull=False)
    run_processing(admin("sagemaker"), processing(names("pull"), ["true"]))
    assert _last_denied(enforcing) == ("ecr:BatchCheckLayerAvailability", REPOSITORY)
    grant(ROLE, LOGS)
    done = run_processing(admin("sagemaker"), processing(names("pull"), ["true"]))
    assert done["ProcessingJobStatus"] == "Completed"


KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"


def test_a_bucket_s_key_is_used_as_the_role(
    enforcing: LocalSageMaker, admin: Client, grant: Grant, names: Callable[[str], str]
) -> None:
    s3 = admin("s3")
    s3.create_bucket(Bucket="encrypted")
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    rules = [{"ApplyServerSideEncryptionByDefault": default}]
    s3.put_bucket_encryption(Bucket="encrypted", ServerSideEncryptionConfiguration={"Rules": rules})
    s3.put_object(Bucket="encrypted", Key="in/a", Body=b"1")
    objects = allow(
        ["s3:GetObject", "s3:ListBucket", "s3:PutObject"], ["arn:aws:s3:::encrypted", "arn:aws:s3:::encrypted/*"]
    )
    via = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}

    def run(*statements: dict[str, Any]) -> Any:
        grant(ROLE, LOGS, objects, *statements)
        folders = {"inputs": {"in": "s3://encrypted/in/"}, "outputs": {"out": "s3://encrypted/out"}}
        script = ["sh", "-c", "cp /opt/ml/processing/input/in/a /opt/ml/processing/output/out/b"]
        return run_processing(admin("sagemaker"), processing(names("key"), script, **folders))["ProcessingJobStatus"]

    assert (run(), _last_denied(enforcing)) == ("Failed", ("kms:Decrypt", KEY))
    reading = allow("kms:Decrypt", KEY, **via)
    assert (run(reading), _last_denied(enforcing)) == ("Failed", ("kms:GenerateDataKey", KEY))
    assert run(reading, allow("kms:GenerateDataKey", KEY, **via)) == "Completed"


@pytest.mark.parametrize("what", ["key", "network"])
def test_an_output_s_key_and_a_network_need_the_role(
    enforcing: LocalSageMaker, admin: Client, grant: Grant, names: Callable[[str], str], what: str
) -> None:
    request = processing(names("more"), ["true"])
    if what == "key":
        request["ProcessingOutputConfig"]["KmsKeyId"] = KEY
        needed = allow(["kms:GenerateDataKey", "kms:Decrypt"], KEY)
    else:
        request["NetworkConfig"] = {"VpcConfig": {"SecurityGroupIds": ["sg-0a"], "Subnets": ["subnet-0a"]}}
        needed = allow(["ec2:*NetworkInterface*", "ec2:Describe*"])
    grant(ROLE, LOGS)
    assert run_processing(admin("sagemaker"), request)["ProcessingJobStatus"] == "Failed"
    assert _last_denied(enforcing)[0] == {"key": "kms:GenerateDataKey", "network": "ec2:CreateNetworkInterface"}[what]
    grant(ROLE, LOGS, needed)
    again = {**request, "ProcessingJobName": names("more")}
    assert run_processing(admin("sagemaker"), again)["ProcessingJobStatus"] == "Completed"


def test_model_data_is_looked_for_as_the_model_s_role(admin: Client, grant: Grant, names: Callable[[str], str]) -> None:
    admin("s3").put_object(Bucket="data", Key="models/model.tar.gz", Body=b"1")
    container = {"Image": IMAGE, "ModelDataUrl": "s3://data/models/model.tar.gz"}
    request = {"ModelName": names("m"), "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    with pytest.raises(ClientError, match=r"Could not access model data at .* role has \"s3:GetObject\" permissions"):
        admin("sagemaker").create_model(**request)
    grant(ROLE, LOGS, allow("s3:GetObject", "arn:aws:s3:::data/models/*"))
    admin("sagemaker").create_model(**request)


def test_secrets_and_parameters_are_given_by_their_names(caller: Client, grant: Grant, admin: Client) -> None:
    arn = admin("secretsmanager").create_secret(Name="ml/key", SecretString="s")["ARN"]
    admin("ssm").put_parameter(Name="/ml/level", Value="1", Type="String")
    calls: list[Callable[[], Any]] = [
        lambda: caller("secretsmanager").get_secret_value(SecretId="ml/key"),
        lambda: caller("secretsmanager").get_secret_value(SecretId=arn),
        lambda: caller("ssm").get_parameter(Name="/ml/level"),
    ]
    assert all(denied(call) for call in calls)
    grant(
        CALLER,
        allow("secretsmanager:GetSecretValue", "arn:aws:secretsmanager:us-east-1:123456789012:secret:ml/*"),
        allow("ssm:GetParameter", "arn:aws:ssm:us-east-1:123456789012:parameter/ml/*"),
    )
    assert not any(denied(call) for call in calls)


def test_rollback_alarms_are_watched_as_the_model_s_role(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An endpoint also writes its log as that role."""
    running = hosting_server(tmp_path_factory.mktemp("watching"), "--enforce-iam")
    running.start()
    try:
        hosting = Hosting(running)
        hosting.upload_artifact()
        iam = hosting.client("iam")
        iam.create_role(RoleName="sagemaker", AssumeRolePolicyDocument=json.dumps(TRUST))
        reading = allow(["s3:GetObject", "s3:ListBucket"])

        def set_policy(*statements: dict[str, Any]) -> None:
            document = {"Version": "2012-10-17", "Statement": [reading, *PULL, *statements]}
            iam.put_role_policy(RoleName="sagemaker", PolicyName="test", PolicyDocument=json.dumps(document))

        set_policy()
        config = hosting.config(hosting.model(MODE="echo"))
        endpoint = hosting.endpoint(config)  # it serves, without a log
        assert _last_denied(running)[0] == "logs:CreateLogStream"
        assert hosting.invoke(endpoint, b"1") == b"1"
        set_policy(LOGS)
        hosting.client("cloudwatch").put_metric_alarm(
            AlarmName="errors",
            MetricName="m",
            Namespace="n",
            Period=60,
            EvaluationPeriods=1,
            Statistic="Sum",
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
        container = {"Image": IMAGE, "ModelDataUrl": ARTIFACT, "Environment": {"MODE": "echo"}}
        hosting.sagemaker.create_model(
            ModelName="networked",
            ExecutionRoleArn=ROLE,
            PrimaryContainer=container,
            VpcConfig={"SecurityGroupIds": ["sg-0a"], "Subnets": ["subnet-0a"]},
        )
        hosting.sagemaker.create_endpoint(EndpointName="networked", EndpointConfigName=hosting.config("networked"))
        assert "not authorized to perform: ec2:CreateNetworkInterface" in hosting.settled("networked")["FailureReason"]
        rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}
        update = {"EndpointName": endpoint, "EndpointConfigName": config, "DeploymentConfig": rollback}
        with pytest.raises(ClientError, match="must have the permission cloudwatch:DescribeAlarms"):
            hosting.sagemaker.update_endpoint(**update)
        set_policy(LOGS, allow("cloudwatch:DescribeAlarms", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:errors"))
        hosting.sagemaker.update_endpoint(**update)
        assert hosting.settled(endpoint)["EndpointStatus"] == "InService"
    finally:
        running.stop()


def test_a_role_that_does_not_trust_sagemaker_runs_no_job(
    caller: Client, grant: Grant, admin: Client, names: Callable[[str], str]
) -> None:
    distrust = {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "ec2.amazonaws.com"}}]}  # type: ignore[dict-item]
    admin("iam").create_role(RoleName="other", AssumeRolePolicyDocument=json.dumps(distrust))
    grant(CALLER, allow(["sagemaker:CreateProcessingJob", "iam:PassRole"]))
    request = {**processing(names("t"), ["true"]), "RoleArn": ROLE.replace("/sagemaker", "/other")}
    with pytest.raises(ClientError, match="Could not assume role"):
        caller("sagemaker").create_processing_job(**request)


def test_every_denial_is_noted(enforcing: LocalSageMaker, caller: Client, grant: Grant) -> None:
    assert denied(lambda: caller("sagemaker").list_endpoints())
    last = json.loads((enforcing.state / "denied.jsonl").read_text().splitlines()[-1])
    assert (last["role"], last["action"], last["resource"]) == ("caller", "sagemaker:ListEndpoints", "*")


def test_a_session_that_is_not_known_is_nobody_s(enforcing: LocalSageMaker) -> None:
    session = boto3.session.Session("ASIANOTKNOWNHERE0000", "secret", "token", region_name=REGION)
    assert denied(lambda: session.client("sagemaker", endpoint_url=enforcing.url).list_endpoints())
