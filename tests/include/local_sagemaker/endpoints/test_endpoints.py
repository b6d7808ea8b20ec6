"""Endpoints: serving, failures, and what AWS's clients see."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting, archive, hosting_server
from tests.include.local_sagemaker.local_server import IMAGE, ROLE, until


@pytest.fixture(scope="module")
def echo(hosting: Hosting) -> str:
    """A configuration with a model that echoes its input."""
    return hosting.config(hosting.model())


def _named(hosting: Hosting, name: str) -> str:
    return hosting.config(hosting.model(MODE="name", NAME=name))


@contextmanager
def _load(hosting: Hosting, endpoint: str) -> Iterator[list[str]]:
    """Two clients that invoke continuously meanwhile; the list receives the result of each call."""
    ended: list[str] = []
    stop = threading.Event()

    def invoke() -> None:
        while not stop.is_set():
            try:
                ended.append(hosting.invoke(endpoint).decode())
            except ClientError as error:
                ended.append(f"failed: {error}")

    threads = [threading.Thread(target=invoke) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield ended
    stop.set()
    for thread in threads:
        thread.join()


def test_an_endpoint_from_creation_to_deletion(hosting: Hosting, echo: str) -> None:
    name = hosting.name("endpoint")
    tags = [{"Key": "team", "Value": "maintenance"}]
    arn = hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=echo, Tags=tags)["EndpointArn"]
    assert hosting.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating"
    hosting.sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    described = hosting.sagemaker.describe_endpoint(EndpointName=name)
    assert described["EndpointConfigName"] == echo
    (variant,) = described["ProductionVariants"]
    assert (variant["VariantName"], variant["CurrentWeight"], variant["CurrentInstanceCount"]) == ("AllTraffic", 1.0, 1)
    assert variant["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    assert hosting.sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    listed = hosting.sagemaker.list_endpoints(NameContains=name, StatusEquals="InService")["Endpoints"]
    assert [one["EndpointName"] for one in listed] == [name]
    hosting.sagemaker.delete_endpoint(EndpointName=name)
    hosting.sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    with pytest.raises(ClientError, match=rf'\(ValidationException\).*Could not find endpoint "{arn}"'):
        hosting.sagemaker.describe_endpoint(EndpointName=name)


def test_invoke_carries_any_bytes_and_headers(hosting: Hosting, echo: str) -> None:
    endpoint = hosting.endpoint(echo)
    body = bytes(range(256)) * 4000
    answer = hosting.runtime.invoke_endpoint(
        EndpointName=endpoint, Body=body, ContentType="application/x-any", CustomAttributes="trace=42"
    )
    assert answer["Body"].read() == body
    assert answer["ContentType"] == "application/x-any"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["CustomAttributes"] == "trace=42"


def test_errors_of_the_model_are_model_errors(hosting: Hosting, echo: str) -> None:
    endpoint = hosting.endpoint(echo)
    for body, status, side in ((b"400", 400, "client"), (b"500", 500, "server")):
        with pytest.raises(hosting.runtime.exceptions.ModelError) as caught:
            hosting.invoke(endpoint, body)
        response = caught.value.response
        assert response["OriginalStatusCode"] == status
        assert response["OriginalMessage"] in ("column vibration: bad", "boom")
        assert f"Received {side} error ({status}) from primary with message" in response["Error"]["Message"]
        assert f"/aws/sagemaker/Endpoints/{endpoint}" in response["LogStreamArn"]


def test_requests_that_reach_no_model(hosting: Hosting, echo: str) -> None:
    endpoint = hosting.endpoint(echo)
    with pytest.raises(ClientError, match=r"\(ValidationError\).*Endpoint nowhere of account 123456789012 not found\."):
        hosting.invoke("nowhere")
    with pytest.raises(ClientError, match=r"\(413\).*HTTP content length exceeded 6291456 bytes"):
        hosting.invoke(endpoint, b"x" * (6 * 2**20 + 1))
    with pytest.raises(ClientError, match=r"\(ValidationError\).*Variant none"):
        hosting.invoke(endpoint, TargetVariant="none")
    assert len(hosting.invoke(endpoint, b"x" * (6 * 2**20))) == 6 * 2**20


def test_bad_requests_are_refused_as_by_sagemaker(hosting: Hosting, echo: str) -> None:
    endpoint = hosting.endpoint(echo)
    sagemaker = hosting.sagemaker
    variant = {"VariantName": "a", "ModelName": hosting.model(), "InitialInstanceCount": 1}
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        (
            "Cannot create already existing endpoint",
            sagemaker.create_endpoint,
            {"EndpointName": endpoint, "EndpointConfigName": echo},
        ),
        (
            "Could not find endpoint configuration",
            sagemaker.create_endpoint,
            {"EndpointName": "x", "EndpointConfigName": "none"},
        ),
        ("Could not find endpoint ", sagemaker.update_endpoint, {"EndpointName": "none", "EndpointConfigName": echo}),
        ("Could not find endpoint ", sagemaker.delete_endpoint, {"EndpointName": "none"}),
        (
            "Cannot create already existing endpoint configuration",
            sagemaker.create_endpoint_config,
            {"EndpointConfigName": echo, "ProductionVariants": [{**variant, "InstanceType": "ml.m5.large"}]},
        ),
        (
            "Could not find model ",
            sagemaker.create_endpoint_config,
            {
                "EndpointConfigName": "x",
                "ProductionVariants": [{**variant, "ModelName": "none", "InstanceType": "ml.m5.large"}],
            },
        ),
        (
            "InstanceType and InitialInstanceCount are required",
            sagemaker.create_endpoint_config,
            {"EndpointConfigName": "x", "ProductionVariants": [variant]},
        ),
        (
            "Cannot create already existing model",
            sagemaker.create_model,
            {"ModelName": variant["ModelName"], "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}},
        ),
        (
            "Could not find model data at",
            sagemaker.create_model,
            {
                "ModelName": "x",
                "ExecutionRoleArn": ROLE,
                "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/none"},
            },
        ),
        (
            "Environment has .* bytes in all",
            sagemaker.create_model,
            {
                "ModelName": "x",
                "ExecutionRoleArn": ROLE,
                "Containers": [{"Image": IMAGE, "Environment": {f"K{n}": "x" * 1000 for n in range(17)}}] * 2,
            },
        ),
        (
            "ModelDataUrl and ModelDataSource cannot both",
            sagemaker.create_model,
            {
                "ModelName": "x",
                "ExecutionRoleArn": ROLE,
                "PrimaryContainer": {
                    "Image": IMAGE,
                    "ModelDataUrl": ARTIFACT,
                    "ModelDataSource": {
                        "S3DataSource": {"S3Uri": ARTIFACT, "S3DataType": "S3Object", "CompressionType": "Gzip"}
                    },
                },
            },
        ),
        (
            "Exactly one of PrimaryContainer and Containers",
            sagemaker.create_model,
            {"ModelName": "x", "ExecutionRoleArn": ROLE},
        ),
        (
            "was non-unique",
            sagemaker.update_endpoint_weights_and_capacities,
            {"EndpointName": endpoint, "DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic"}] * 2},
        ),
        (
            "not present within endpoint configuration",
            sagemaker.update_endpoint_weights_and_capacities,
            {"EndpointName": endpoint, "DesiredWeightsAndCapacities": [{"VariantName": "B"}]},
        ),
        (
            "CanarySize is required",
            sagemaker.update_endpoint,
            {
                "EndpointName": endpoint,
                "EndpointConfigName": echo,
                "DeploymentConfig": {
                    "BlueGreenUpdatePolicy": {
                        "TrafficRoutingConfiguration": {"Type": "CANARY", "WaitIntervalInSeconds": 1}
                    }
                },
            },
        ),
        (
            "Could not find CloudWatch alarm",
            sagemaker.update_endpoint,
            {
                "EndpointName": endpoint,
                "EndpointConfigName": echo,
                "DeploymentConfig": {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "none"}]}},
            },
        ),
    ]
    for message, operation, request in cases:
        with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
            operation(**request)


def test_an_update_drops_no_request(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(_named(hosting, "blue"))
    green = _named(hosting, "green")
    with _load(hosting, endpoint) as ended:
        until(lambda: ended)
        hosting.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=green)
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            hosting.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=green)
        with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
            hosting.sagemaker.delete_endpoint(EndpointName=endpoint)
        described = hosting.settled(endpoint)
        answered = len(ended)
        until(lambda: len(ended) >= answered + 10)
    assert described["EndpointConfigName"] == green
    assert "FailureReason" not in described
    assert ended[0] == "blue"
    assert ended[-1] == "green"
    assert set(ended) == {"blue", "green"}


@pytest.mark.parametrize("mode", ["exit", "sick"])
def test_an_update_that_cannot_start_leaves_the_old_one_live(hosting: Hosting, tmp_path: Path, mode: str) -> None:
    before = _named(hosting, "blue")
    endpoint = hosting.endpoint(before)
    broken = hosting.model(MODE=mode)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": broken,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "ContainerStartupHealthCheckTimeoutInSeconds": 60,
    }
    config = hosting.name("config")
    # a program that never answers /ping gets the server's 15 seconds, one that exits fails immediately
    if mode == "sick":
        variant.pop("ContainerStartupHealthCheckTimeoutInSeconds")
    hosting.sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[variant])
    with _load(hosting, endpoint) as ended:
        hosting.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
        described = hosting.settled(endpoint)
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == before
    assert "did not pass the ping health check" in described["FailureReason"]
    assert set(ended) == {"blue"}


@pytest.mark.parametrize(("mode", "logged"), [("exit", "cannot load the model"), ("sick", "serving")])
def test_a_creation_that_cannot_start_fails_and_can_be_deleted(hosting: Hosting, mode: str, logged: str) -> None:
    name = hosting.name("endpoint")
    config = hosting.config(hosting.model(MODE=mode))
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    described = hosting.settled(name)
    assert described["EndpointStatus"] == "Failed"
    assert "production variant AllTraffic did not pass the ping health check" in described["FailureReason"]
    logs = hosting.client("logs").filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{name}")["events"]
    assert logged in [event["message"] for event in logs]
    with pytest.raises(ClientError, match=r"\(ValidationError\).*not found"):
        hosting.invoke(name)
    with pytest.raises(ClientError, match="a failed endpoint can only be deleted"):
        hosting.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    hosting.sagemaker.delete_endpoint(EndpointName=name)
    hosting.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})


@pytest.mark.parametrize(("content", "message"), [(None, "download model data"), (b"no archive", "extract model data")])
def test_model_data_that_is_gone_or_broken(hosting: Hosting, content: bytes | None, message: str) -> None:
    s3 = hosting.client("s3")
    key = f"serving/{hosting.name('artifact')}.tar.gz"
    s3.put_object(Bucket=BUCKET, Key=key, Body=archive(serving_program_py=b""))
    config = hosting.config(hosting.model(url=f"s3://{BUCKET}/{key}"))
    if content is None:
        s3.delete_object(Bucket=BUCKET, Key=key)
    else:
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    name = hosting.name("endpoint")
    hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    described = hosting.settled(name)
    assert described["EndpointStatus"] == "Failed"
    assert message in described["FailureReason"]
    assert f"s3://{BUCKET}/{key}" in described["FailureReason"]


def test_a_serving_process_that_dies_is_replaced(hosting: Hosting, echo: str) -> None:
    endpoint = hosting.endpoint(echo)
    with pytest.raises(hosting.runtime.exceptions.ModelError) as caught:
        hosting.invoke(endpoint, b"die")
    assert caught.value.response["OriginalStatusCode"] >= 500
    _until_back(hosting, endpoint)
    assert hosting.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService"


def test_a_replacement_needs_no_artifact(hosting: Hosting) -> None:
    s3 = hosting.client("s3")
    s3.copy_object(Bucket=BUCKET, Key="short/lived.tar.gz", CopySource=ARTIFACT.removeprefix("s3://"))
    endpoint = hosting.endpoint(hosting.config(hosting.model(url=f"s3://{BUCKET}/short/lived.tar.gz")))
    s3.delete_object(Bucket=BUCKET, Key="short/lived.tar.gz")
    with pytest.raises(hosting.runtime.exceptions.ModelError):
        hosting.invoke(endpoint, b"die")
    _until_back(hosting, endpoint)


@pytest.mark.slow
def test_a_process_that_no_longer_answers_ping_is_replaced(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(hosting.config(hosting.model()))
    hosting.invoke(endpoint, b"sicken")
    logs, started = hosting.client("logs"), 1
    deadline = time.monotonic() + 60
    while started < 2:
        assert time.monotonic() < deadline
        time.sleep(1)
        events = logs.filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{endpoint}")["events"]
        started = [event["message"] for event in events].count("serving")
    _until_back(hosting, endpoint)


def _until_back(hosting: Hosting, endpoint: str) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            assert hosting.invoke(endpoint, b"back") == b"back"
        except hosting.runtime.exceptions.ModelError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def test_with_two_instances_a_death_is_not_noticed_twice(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(hosting.config(hosting.model(), instances=2))
    with pytest.raises(hosting.runtime.exceptions.ModelError):
        hosting.invoke(endpoint, b"die")
    _until_back(hosting, endpoint)
    assert all(hosting.invoke(endpoint, b"on") == b"on" for _ in range(20))


def test_traffic_follows_the_weights(hosting: Hosting) -> None:
    models = [hosting.model(MODE="name", NAME=name) for name in ("a", "b")]
    endpoint = hosting.endpoint(hosting.config(*models, weights=(3, 1)))
    answers = [hosting.invoke(endpoint) for _ in range(400)]
    assert 0.65 < answers.count(b"a") / len(answers) < 0.85
    assert hosting.invoke(endpoint, TargetVariant="B") == b"b"
    wanted = [{"VariantName": "A", "DesiredWeight": 0}, {"VariantName": "B", "DesiredInstanceCount": 2}]
    hosting.sagemaker.update_endpoint_weights_and_capacities(EndpointName=endpoint, DesiredWeightsAndCapacities=wanted)
    described = hosting.settled(endpoint)
    variants = {one["VariantName"]: one for one in described["ProductionVariants"]}
    assert (variants["A"]["CurrentWeight"], variants["B"]["CurrentInstanceCount"]) == (0, 2)
    assert {hosting.invoke(endpoint) for _ in range(50)} == {b"b"}


def test_uncompressed_model_data(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(hosting.config(hosting.uncompressed_model()))
    assert hosting.invoke(endpoint, b"7") == b"7"


def test_a_serverless_endpoint(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(_serverless(hosting, hosting.model(), 5))
    (described,) = hosting.sagemaker.describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    assert described["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert hosting.invoke(endpoint, b"7") == b"7"


def _serverless(hosting: Hosting, model: str, concurrency: int, provisioned: int = 0, **more: Any) -> str:
    name = hosting.name("config")
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": concurrency}
    if provisioned:
        serverless["ProvisionedConcurrency"] = provisioned
    variant = {"VariantName": "AllTraffic", "ModelName": model, "ServerlessConfig": serverless}
    hosting.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **more)
    return name


def test_a_serverless_endpoint_throttles_above_its_concurrency(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(_serverless(hosting, hosting.model(), 2))
    with ThreadPoolExecutor(2) as pool:
        long = [pool.submit(hosting.invoke, endpoint, b"sleep1.5") for _ in range(2)]
        time.sleep(0.5)
        with pytest.raises(ClientError, match=r"\(ThrottlingException\).*Rate exceeded") as caught:
            hosting.invoke(endpoint)
        assert [one.result() for one in long] == [b"awake"] * 2
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert hosting.invoke(endpoint) == b"1"


def test_what_serverless_endpoints_do_not_support_is_refused(hosting: Hosting) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    with pytest.raises(ClientError, match=r"\(ValidationException\).*do not support data capture"):
        _serverless(hosting, hosting.model(), 2, DataCaptureConfig=capture)
    isolated = hosting.name("model")
    container = {"Image": IMAGE, "ModelDataUrl": ARTIFACT}
    hosting.sagemaker.create_model(
        ModelName=isolated, ExecutionRoleArn=ROLE, PrimaryContainer=container, EnableNetworkIsolation=True
    )
    with pytest.raises(ClientError, match=r"\(ValidationException\).*do not support network isolation"):
        _serverless(hosting, isolated, 2)
    with pytest.raises(ClientError, match=r"\(ValidationException\).*do not support ModelDataSource"):
        _serverless(hosting, hosting.uncompressed_model(), 2)
    with pytest.raises(ClientError, match=r"\(ValidationException\).*ProvisionedConcurrency .* must not exceed"):
        _serverless(hosting, hosting.model(), 2, provisioned=3)


def test_a_model_from_an_approved_package(hosting: Hosting) -> None:
    group = hosting.name("group")
    hosting.sagemaker.create_model_package_group(ModelPackageGroupName=group)
    container = {"Image": IMAGE, "ModelDataUrl": ARTIFACT, "Environment": {"MODE": "name", "NAME": "registered"}}
    specification = {"Containers": [container], "SupportedContentTypes": ["text/csv"]}
    package = hosting.sagemaker.create_model_package(ModelPackageGroupName=group, InferenceSpecification=specification)[
        "ModelPackageArn"
    ]
    name = hosting.name("model")
    request = {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": {"ModelPackageName": package}}
    with pytest.raises(ClientError, match="PendingManualApproval"):
        hosting.sagemaker.create_model(**request)
    hosting.sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    hosting.sagemaker.create_model(**request)
    assert hosting.invoke(hosting.endpoint(hosting.config(name))) == b"registered"


def test_metrics_reach_cloudwatch(hosting: Hosting, echo: str) -> None:
    endpoint = hosting.endpoint(echo)
    for body in (b"1", b"2", b"400", b"500"):
        try:
            hosting.invoke(endpoint, body)
        except hosting.runtime.exceptions.ModelError:
            continue
    now = time.time()
    sums = {}
    for metric in ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "ModelLatency"):
        (point,) = hosting.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName=metric,
            Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}],
            StartTime=now - 600,
            EndTime=now + 60,
            Period=3600,
            Statistics=["Sum", "SampleCount"],
        )["Datapoints"]
        assert point["SampleCount"] == 4
        sums[metric] = point["Sum"]
    assert (sums["Invocations"], sums["Invocation4XXErrors"], sums["Invocation5XXErrors"]) == (4, 1, 1)
    assert 4 * 100 < sums["ModelLatency"] < 4 * 1e6  # microseconds
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}]
    latency = {"Namespace": "AWS/SageMaker", "MetricName": "ModelLatency", "Dimensions": dimensions}
    p50, p99 = (
        result["Values"][0]
        for result in hosting.client("cloudwatch").get_metric_data(
            MetricDataQueries=[
                {"Id": name, "MetricStat": {"Metric": latency, "Period": 3600, "Stat": name}} for name in ("p50", "p99")
            ],
            StartTime=now - 600,
            EndTime=now + 60,
        )["MetricDataResults"]
    )
    assert 100 < p50 <= p99 < 1e6


def test_data_capture(hosting: Hosting) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    }
    endpoint = hosting.endpoint(hosting.config(hosting.model(), DataCaptureConfig=capture))
    assert hosting.sagemaker.describe_endpoint(EndpointName=endpoint)["DataCaptureConfig"]["CaptureStatus"] == "Started"
    hosting.invoke(endpoint, b"1,2", ContentType="text/csv", InferenceId="order-1")
    hosting.invoke(endpoint, b"\xff\x00", ContentType="application/x-any")
    hosting.sagemaker.delete_endpoint(EndpointName=endpoint)
    hosting.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=endpoint, WaiterConfig={"Delay": 1})
    s3 = hosting.client("s3")
    (key,) = [
        item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"captured/{endpoint}/AllTraffic/")["Contents"]
    ]
    first, second = map(json.loads, s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().splitlines())
    assert first["captureData"]["endpointInput"] == {
        "observedContentType": "text/csv",
        "mode": "INPUT",
        "data": "1,2",
        "encoding": "CSV",
    }
    assert first["eventMetadata"]["inferenceId"] == "order-1"
    assert second["captureData"]["endpointOutput"]["encoding"] == "BASE64"


def test_endpoints_come_back_after_a_restart(tmp_path: Path) -> None:
    server = hosting_server(tmp_path)
    server.start()
    hosting = Hosting(server)
    hosting.upload_artifact()
    endpoint = hosting.endpoint(_named(hosting, "survivor"))
    config = hosting.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    hosting.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    assert server.stop() == 0
    server.start()
    assert Hosting(server).invoke(endpoint) == b"survivor"
    assert hosting.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService"
    assert server.stop() == 0
    assert "Traceback" not in server.log
