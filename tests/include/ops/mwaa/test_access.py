"""include/ops/infra/access.yaml, enforced by the local AWS: the Dags' calls are allowed, similar ones are not.

``make iam-test`` checks the runs themselves against it; no Airflow is needed here.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from typing import Any, Literal

import boto3
import pytest
from botocore.exceptions import ClientError

from include.deploy import requests as deploy
from include.models.config import ModelConfig, load_model
from include.models.config.watching import METRICS_NAMESPACE
from include.monitor import requests as monitor
from include.ops.local_stack.settings import ACCOUNT, NAME, REGION, ROOT
from include.ops.mwaa import templates
from include.platform.environment import EXAMPLE, MlEnvironment
from include.platform.request_parts import Request
from include.platform.run_folders import Run
from include.platform.storage import captured, probes_of, reference_of, registered_artifact, split_uri
from include.registry.versions import RegisteredVersion, Version, keep_artifact
from include.score import requests as score
from include.score import sinks
from include.score.file_plan import FileRef, file_run
from include.train import requests as train
from tests.include.local_sagemaker.conftest import Client, client_of
from tests.include.local_sagemaker.local_server import LocalSageMaker

BUCKET = f"{NAME}-ml-{ACCOUNT}"
JOBS = f"arn:aws:iam::{ACCOUNT}:role/{NAME}-jobs"
OWN = [{"Key": "project", "Value": NAME}]
# the entry point of all; programs of a serving container, for people and of replays; steps of prepare_data
NO_TASKS = {"cli", "serve", "split_days", "measure_weeks", "validate_raw_data", "validate_features"}
WRITTEN = {"S3Output", "OutputDataConfig", "CheckpointConfig", "TransformOutput", "WrittenBy", "Environment"}
PROGRAMS = {
    path.stem
    for path in (ROOT / "include" / "jobs").glob("*.py")
    if "run_program(main" in path.read_text() and path.stem not in NO_TASKS
}
ALARM: Any = {
    "MetricName": "m",
    "Namespace": "n",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Statistic": "Sum",
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
}
Calls = dict[str, Callable[[], Any]]


@pytest.fixture(scope="module")
def enforcing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    running = LocalSageMaker(tmp_path_factory.mktemp("access") / "state", ("--enforce-iam",))
    running.start()
    admin = client_of(running)
    values = {"Name": NAME, "AlertEmail": "a@example.com", "Model": "m", "Group": "m"}
    for template in ("storage", "access"):
        templates.put(admin("cloudformation"), template, values)
    for model in ("m", "other"):  # each with its own role
        own = {**values, "Model": model, "Group": model, "RolePerModel": "yes"}
        templates.put(admin("cloudformation"), "model", own, f"{NAME}-model-{model}")
        # moto's CloudFormation leaves out a role's ManagedPolicyArns
        shared = f"arn:aws:iam::{ACCOUNT}:policy/{NAME}-jobs"
        admin("iam").attach_role_policy(RoleName=f"{NAME}-jobs-{model}", PolicyArn=shared)
    artifact = io.BytesIO()
    with tarfile.open(fileobj=artifact, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("model.txt"))
    admin("s3").put_object(Bucket=BUCKET, Key="runs/model.tar.gz", Body=artifact.getvalue())
    yield running
    assert running.stop() == 0


def session_of(enforcing: LocalSageMaker, role: str) -> Client:
    sts = client_of(enforcing)("sts")
    given = sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{NAME}-{role}", RoleSessionName="test")["Credentials"]
    session = boto3.session.Session(
        given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=REGION
    )
    return lambda service: session.client(service, endpoint_url=enforcing.url)


def denied(calls: Calls) -> set[str]:
    """Names of the calls that IAM refused; "not found" is a different answer."""
    found = set()
    for name, call in calls.items():
        try:
            call()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"):
                found.add(name)
    return found


def hosting(sagemaker: Any, tags: list[dict[str, str]], role: str = JOBS, name: str = "m") -> Calls:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": f"{name}-1",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    container = {"Image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ml-jobs:1"}
    container["ModelDataUrl"] = f"s3://{BUCKET}/runs/model.tar.gz"
    return {
        "model": lambda: sagemaker.create_model(
            ModelName=f"{name}-1", ExecutionRoleArn=role, PrimaryContainer=container, Tags=tags
        ),
        "config": lambda: sagemaker.create_endpoint_config(
            EndpointConfigName=f"{name}-1", ProductionVariants=[variant], Tags=tags
        ),
        "endpoint": lambda: sagemaker.create_endpoint(
            EndpointName=f"{name}-staging", EndpointConfigName=f"{name}-1", Tags=tags
        ),
    }


def test_a_version_is_served_scaled_watched_and_removed(enforcing: LocalSageMaker) -> None:
    client = session_of(enforcing, "airflow")
    sagemaker, scaling = client("sagemaker"), client("application-autoscaling")
    variant = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/m-staging/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/m-staging"
    calls: Calls = {
        "look for what is not there": lambda: sagemaker.describe_endpoint(EndpointName="m-production"),
        **hosting(sagemaker, OWN),
        "describe": lambda: sagemaker.describe_endpoint(EndpointName="m-staging"),
        "tags": lambda: sagemaker.list_tags(ResourceArn=arn),
        "tag": lambda: sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "version", "Value": "2"}]),
        "update": lambda: sagemaker.update_endpoint(EndpointName="m-staging", EndpointConfigName="m-1"),
        "ask": lambda: client("sagemaker-runtime").invoke_endpoint(EndpointName="m-staging", Body=b"1"),
        "alarm": lambda: client("cloudwatch").put_metric_alarm(AlarmName="m-production-latency", Tags=OWN, **ALARM),
        "change the alarm": lambda: client("cloudwatch").put_metric_alarm(AlarmName="m-production-latency", **ALARM),
        "alarms": lambda: client("cloudwatch").describe_alarms(AlarmNames=["m-production-latency"]),
        "remove the alarm": lambda: client("cloudwatch").delete_alarms(AlarmNames=["m-production-latency"]),
        "scale": lambda: scaling.register_scalable_target(**variant, MinCapacity=1, MaxCapacity=2),
        "policies": lambda: scaling.describe_scaling_policies(ServiceNamespace="sagemaker"),
        "do not scale": lambda: scaling.deregister_scalable_target(**variant),
        "transform": lambda: sagemaker.create_transform_job(
            TransformJobName="t-1",
            ModelName="m-1",
            TransformInput={
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/runs/in/"}}
            },
            TransformOutput={"S3OutputPath": f"s3://{BUCKET}/runs/out/"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
            Tags=OWN,
        ),
        "stop": lambda: sagemaker.stop_transform_job(TransformJobName="t-1"),
        "versions": lambda: sagemaker.list_model_packages(ModelPackageGroupName="m"),
        "remove endpoint": lambda: sagemaker.delete_endpoint(EndpointName="m-staging"),
        "remove config": lambda: sagemaker.delete_endpoint_config(EndpointConfigName="m-1"),
        "remove model": lambda: sagemaker.delete_model(ModelName="m-1"),
    }
    assert denied(calls) == set()


def test_approvals_news_and_files(enforcing: LocalSageMaker) -> None:
    client = session_of(enforcing, "airflow")
    sqs, s3 = client("sqs"), client("s3")
    url = client_of(enforcing)("sqs").get_queue_url(QueueName=f"{NAME}-m-approvals")["QueueUrl"]
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:{NAME}-alerts"
    calls: Calls = {
        "queue": lambda: sqs.get_queue_url(QueueName=f"{NAME}-m-approvals"),
        "receive": lambda: sqs.receive_message(QueueUrl=url),
        "delete": lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle="x"),
        "tell": lambda: client("sns").publish(TargetArn=topic, Message="m"),
        "history": lambda: s3.put_object(Bucket=BUCKET, Key="production/m/history.json", Body=b"{}"),
        "publish": lambda: s3.put_object(Bucket=BUCKET, Key="scores/m/date=2015-01-01/_SUCCESS.json", Body=b"{}"),
        "keep": lambda: keep_artifact(s3, BUCKET, "m", f"s3://{BUCKET}/runs/model.tar.gz"),
        "day": lambda: s3.get_object(Bucket=BUCKET, Key="daily/m/date=2015-01-01/a.csv"),
    }
    assert denied(calls) == set()


def test_what_no_dag_does_is_denied(enforcing: LocalSageMaker) -> None:
    client = session_of(enforcing, "airflow")
    admin, sagemaker, s3 = client_of(enforcing)("sagemaker"), client("sagemaker"), client("s3")
    elsewhere: Calls = hosting(sagemaker, OWN, role=f"arn:aws:iam::{ACCOUNT}:role/{NAME}-airflow", name="wrong")
    another = [{"Key": "project", "Value": "another"}]
    for call in hosting(admin, another, name="other").values():
        call()
    client_of(enforcing)("cloudwatch").put_metric_alarm(AlarmName="x-production-errors", Tags=another, **ALARM)
    client_of(enforcing)("cloudwatch").put_metric_alarm(AlarmName="y-production-errors", **ALARM)
    calls: Calls = {
        "a model with another role": elsewhere["model"],
        **{f"{name} without the tag": call for name, call in hosting(sagemaker, [], name="bare").items()},
        "another's endpoint": lambda: sagemaker.delete_endpoint(EndpointName="other-staging"),
        "another's tags": lambda: sagemaker.add_tags(
            ResourceArn=f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/other-staging",
            Tags=[{"Key": "x", "Value": "y"}],
        ),
        "a version's artifact": lambda: s3.delete_object(Bucket=BUCKET, Key="artifacts/m/etag/model.tar.gz"),
        "raw data": lambda: s3.put_object(Bucket=BUCKET, Key="raw/m/a.csv", Body=b""),
        "job code": lambda: s3.put_object(Bucket=BUCKET, Key="code/0/jobs/a.py", Body=b""),
        "a take-over by a tag": lambda: sagemaker.add_tags(
            ResourceArn=f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/other-staging", Tags=OWN
        ),
        "a take-over of a job": lambda: sagemaker.add_tags(
            ResourceArn=f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/other-1", Tags=OWN
        ),
        "another's alarm": lambda: client("cloudwatch").delete_alarms(AlarmNames=["of-others"]),
        "another's alarm of such a name": lambda: client("cloudwatch").delete_alarms(
            AlarmNames=["x-production-errors"]
        ),
        "a change of it": lambda: client("cloudwatch").put_metric_alarm(AlarmName="x-production-errors", **ALARM),
        "an alarm without a tag": lambda: client("cloudwatch").delete_alarms(AlarmNames=["y-production-errors"]),
        "a role": lambda: client("iam").create_role(RoleName="x", AssumeRolePolicyDocument="{}"),
        "another queue": lambda: client("sqs").receive_message(QueueUrl=f"{enforcing.url}/{ACCOUNT}/others"),
    }
    assert denied(calls) == set(calls)


def test_jobs_write_their_output_and_nothing_else(enforcing: LocalSageMaker) -> None:
    s3, sagemaker = session_of(enforcing, "jobs")("s3"), session_of(enforcing, "jobs")("sagemaker")
    secrets = session_of(enforcing, "jobs")("secretsmanager")
    allowed: Calls = {
        "read": lambda: s3.get_object(Bucket=BUCKET, Key="raw/m/a.csv"),
        "load": lambda: s3.get_object(Bucket=BUCKET, Key="artifacts/m/etag/model.tar.gz"),
        "write": lambda: s3.put_object(Bucket=BUCKET, Key="runs/d/r/t/out", Body=b""),
        "capture": lambda: s3.put_object(Bucket=BUCKET, Key="capture/m-production/x", Body=b""),
        "a broker's secret": lambda: secrets.get_secret_value(SecretId=f"AmazonMSK_{NAME}-scores"),
    }
    refused: Calls = {
        "history": lambda: s3.put_object(Bucket=BUCKET, Key="production/m/history.json", Body=b"{}"),
        "code": lambda: s3.put_object(Bucket=BUCKET, Key="code/0/jobs/a.py", Body=b""),
        "a version's artifact": lambda: s3.put_object(Bucket=BUCKET, Key="artifacts/m/etag/model.tar.gz", Body=b""),
        "remove": lambda: s3.delete_object(Bucket=BUCKET, Key="runs/d/r/t/out"),
        "start jobs": lambda: sagemaker.list_endpoints(),
        "another's secret": lambda: secrets.get_secret_value(SecretId="AmazonMSK_others"),
    }
    assert denied({**allowed, **refused}) == set(refused)


@pytest.mark.parametrize("role", ["jobs", "jobs-m"])
def test_the_execution_role_describes_the_alarms_of_production_which_may_take_traffic_back(
    enforcing: LocalSageMaker, role: str
) -> None:
    """SageMaker uses this role while traffic moves (deployment guardrails need cloudwatch:DescribeAlarms)."""
    model = load_model("predictive_maintenance").model_copy(update={"name": "m"})
    version = RegisteredVersion(version=1, model_package_arn="arn", artifact=f"s3://{BUCKET}/a", image="i")
    environment = MlEnvironment.model_validate({**json.loads(EXAMPLE), "bucket": BUCKET})
    request = deploy.production_endpoint(model, environment, version, strategy="canary")
    watching = [one["AlarmName"] for one in request["deployment"]["AutoRollbackConfiguration"]["Alarms"]]
    assert len(watching) >= 2
    cloudwatch = session_of(enforcing, role)("cloudwatch")
    calls: Calls = {name: lambda name=name: cloudwatch.describe_alarms(AlarmNames=[name]) for name in watching}
    others: Calls = {"others": lambda: cloudwatch.describe_alarms(AlarmNames=["of-others"])}
    others["change one"] = lambda: cloudwatch.delete_alarms(AlarmNames=watching[:1])
    assert denied({**calls, **others}) == set(others)


def test_airflow_registers_and_approves_nothing_and_an_approver_does(enforcing: LocalSageMaker) -> None:
    sagemaker, admin = session_of(enforcing, "airflow")("sagemaker"), client_of(enforcing)("sagemaker")
    admin.create_model_package_group(ModelPackageGroupName="m", Tags=OWN)
    containers = [
        {
            "Image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ml-jobs:1",
            "ModelDataUrl": f"s3://{BUCKET}/runs/model.tar.gz",
        }
    ]
    specification = {
        "Containers": containers,
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    request = {"ModelPackageGroupName": "m", "InferenceSpecification": specification}
    arn = sagemaker.create_model_package(**request, ModelApprovalStatus="PendingManualApproval")["ModelPackageArn"]
    calls: Calls = {
        "decide": lambda: sagemaker.update_model_package(
            ModelPackageArn=arn, CustomerMetadataProperties={"promotion_decision": "promoted"}
        ),
        "reject": lambda: sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Rejected"),
        "approve": lambda: sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved"),
        "register approved": lambda: sagemaker.create_model_package(**request, ModelApprovalStatus="Approved"),
    }
    assert denied(calls) == {"approve", "register approved"}
    approver = session_of(enforcing, "approver")("sagemaker")
    approver.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    assert admin.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"] == "Approved"


def named(request: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, bool]]:
    """Every S3 URI in a request, and whether the job writes there."""
    if isinstance(request, dict):
        for name, inner in request.items():
            yield from named(inner, (*path, name))
    elif isinstance(request, list):
        for inner in request:
            yield from named(inner, path)
    elif isinstance(request, str) and request.startswith("s3://"):
        yield request, not WRITTEN.isdisjoint(path)


def texts(request: Any) -> Iterator[str]:
    for inner in request.values() if isinstance(request, dict) else request if isinstance(request, list) else ():
        yield from [inner] if isinstance(inner, str) else texts(inner)


def requests_of(model: ModelConfig, environment: MlEnvironment) -> Iterator[Request]:
    """All requests for one model: each job and the endpoint."""
    run, artifact = Run(BUCKET, f"train_{model.name}", "r"), registered_artifact(BUCKET, model.name, "etag")
    yield train.prepare_data(model, environment, run)
    yield train.track_model_version(model, environment, run, mlflow_run_id="r", model_package_arn="arn")
    yield train.cut_data(model, environment, run)
    yield train.prepare_shards(model, environment, run)
    yield train.merge_shards(model, environment, run)
    yield train.train_model(model, environment, run)
    yield train.tune_model(model, environment, run)
    champion = Version(version=1, model_package_arn="arn", artifact=artifact)
    trained = f"{run.training_output('train_model')}/job/output/model.tar.gz"
    yield train.evaluate_model(model, environment, run, artifact=trained, production=[champion])
    day = Run(BUCKET, f"score_{model.name}", "r").of_day("digest", "2015-01-01")
    reference = reference_of(f"{run.evaluation}/statistics.json")
    yield score.score_day(model, environment, day, day="2015-01-01", artifact=artifact, reference=reference)
    yield score.validate_input(model, environment, day, day="2015-01-01", reference=reference)
    yield score.build_features(model, environment, day, day="2015-01-01", artifact=artifact, chunks=1)
    yield score.score(model, environment, day, shards=1)
    yield score.validate_scores(model, environment, day, rows=True)
    backfill = Run(BUCKET, "backfill", "r").of_batch(model.name, 0)
    yield score.score_batch(model, environment, backfill, artifact=artifact, reference=reference)
    yield sinks.check_sink(model, environment, run, "kafka")
    yield sinks.send_scores(model, environment, day, "kafka", scores=f"s3://{BUCKET}/scores/{model.name}/date=d/")
    moved = Run(BUCKET, f"deploy_{model.name}", "r")
    yield deploy.move_champion_alias(model, environment, moved, model_package_arn="arn")
    labels = Run(BUCKET, f"monitor_{model.name}", "r")
    yield monitor.join_labels(model, environment, labels, days=["2015-01-01"], windows=["2015-01-02"])
    yield monitor.count_captures(
        model, environment, labels, day="2015-01-01", since="2014-12-01T00:00:00+00:00", artifact=artifact
    )
    ref: FileRef = {"number": 0, "model": model.name, "file": "a.csv", "mode": "artifact", "version": "etag"}
    of_file = file_run(BUCKET, "score_file", "r", ref)
    ways: tuple[Literal["artifact", "endpoint", "later"], ...] = ("artifact", "endpoint", "later")
    for answers in ways:
        yield score.score_file(model, environment, of_file, file=of_file.inputs, artifact=artifact, answers=answers)
    yield score.score(model, environment, of_file, shards=1)
    yield score.validate_scores(model, environment, of_file, rows=True)
    version = RegisteredVersion(version=1, model_package_arn="arn", artifact=artifact, image="i")
    for serving in ("provisioned", "serverless"):
        served = model.model_copy(
            update={"serving": model.serving.model_copy(update={"mode": serving, "data_capture_percent": 5})}
        )
        hosted = deploy.staging_endpoint(served, environment, version)
        stage = {"WrittenBy": captured(BUCKET, "m-staging", "AllTraffic")}
        yield {**hosted["model"], **stage}


def test_the_role_of_a_model_may_read_and_write_what_its_requests_name(enforcing: LocalSageMaker) -> None:
    model = load_model("predictive_maintenance").model_copy(update={"name": "m"})
    environment = MlEnvironment.model_validate(
        {**json.loads(EXAMPLE), "bucket": BUCKET, "role_per_model": True, "kafka": {"bootstrap_servers": "b:9092"}}
    )
    s3, calls, programs = session_of(enforcing, "jobs-m")("s3"), Calls(), set()
    for request in requests_of(model, environment):
        programs |= {text.partition("include.jobs.")[2] for text in texts(request) if text.startswith("include.jobs.")}
        for uri, written in named(request):
            bucket, key = split_uri(uri)
            file = f"{key.rstrip('/')}/file"
            if written:
                calls[f"write {key}"] = lambda bucket=bucket, file=file: s3.put_object(Bucket=bucket, Key=file)
            else:
                calls[f"read {key}"] = lambda bucket=bucket, key=key: s3.get_object(Bucket=bucket, Key=key)
    # named by the manifests of days, labels, requests and files, but by no request
    for key in (
        "daily/m/date=2015-01-01/a.csv",
        "labels/m/date=2015-01-01/a.csv",
        "scores/m/date=2015-01-01/_SUCCESS.json",
        "performance/m/date=2015-01-01/rows.parquet",
        "inbox/m/a.csv",
        "capture/m-production/AllTraffic/2015/01/01/00/a.jsonl",
    ):
        calls[f"read {key}"] = lambda key=key: s3.get_object(Bucket=BUCKET, Key=key)
    assert programs == PROGRAMS, "each job of one model is requested above"
    assert denied(calls) == set()


def test_a_job_asks_the_endpoint_of_its_own_model(enforcing: LocalSageMaker) -> None:
    """The production endpoint may score a file; ``jobs``, for all models, calls any endpoint."""

    def asked(role: str) -> set[str]:
        runtime = session_of(enforcing, role)("sagemaker-runtime")
        names = ("m-production", "other-production", "m-staging")
        return denied({name: lambda name=name: runtime.invoke_endpoint(EndpointName=name, Body=b"1") for name in names})

    assert asked("jobs-m") == {"other-production", "m-staging"}
    assert asked("jobs") == {"m-staging"}


def test_probes_of_production_are_allowed(enforcing: LocalSageMaker) -> None:
    """``probe`` runs in Airflow, without a job: what it reads, requests, measures and stores."""
    for make in hosting(client_of(enforcing)("sagemaker"), OWN, name="probed").values():
        make()
    client = session_of(enforcing, "airflow")
    s3, cloudwatch = client("s3"), client("cloudwatch")
    measured = [{"MetricName": "ProbeFailed", "Value": 1.0}]
    golden = split_uri(f"{Run(BUCKET, 'train_m', 'r').evaluation}/golden.json")[1]
    calls: Calls = {
        "history": lambda: s3.get_object(Bucket=BUCKET, Key="production/m/history.json"),
        "version": lambda: client("sagemaker").describe_model_package(ModelPackageName="m/1"),
        "golden requests": lambda: s3.get_object(Bucket=BUCKET, Key=golden),
        "mode": lambda: client("sagemaker").describe_endpoint(EndpointName="m-production"),
        "ask": lambda: client("sagemaker-runtime").invoke_endpoint(EndpointName="probed-staging", Body=b"1"),
        "measure": lambda: cloudwatch.put_metric_data(Namespace=METRICS_NAMESPACE, MetricData=measured),
        "keep": lambda: s3.put_object(Bucket=BUCKET, Key=split_uri(probes_of(BUCKET, "m"))[1], Body=b"{}"),
    }
    assert denied(calls) == set()
    assert denied(
        {
            "a job's": lambda: session_of(enforcing, "jobs-m")("s3").put_object(
                Bucket=BUCKET, Key=split_uri(probes_of(BUCKET, "m"))[1], Body=b"{}"
            )
        }
    ) == {"a job's"}


def test_a_job_of_one_model_cannot_change_what_another_model_serves(enforcing: LocalSageMaker) -> None:
    s3 = session_of(enforcing, "jobs-m")("s3")
    places = ("runs/train_{}/r/train_model/x", "runs/backfill/{}/r/x", "scores/{}/x", "capture/{}-production/x")
    own, others = ([place.format(model) for place in places] for model in ("m", "other"))
    others += ["artifacts/m/etag/model.tar.gz", "runs/rollback/r/x", "runs/backfill/r/x"]
    calls: Calls = {
        key: lambda key=key: s3.put_object(Bucket=BUCKET, Key=key, Body=b"") for key in [*own, *others, "code/0/a.py"]
    }
    calls["read another's data"] = lambda: s3.get_object(Bucket=BUCKET, Key="raw/other/a.csv")
    calls["read own data"] = lambda: s3.get_object(Bucket=BUCKET, Key="raw/m/a.csv")
    assert denied(calls) == {*others, "code/0/a.py", "read another's data"}
