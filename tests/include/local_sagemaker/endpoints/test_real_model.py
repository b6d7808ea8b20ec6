"""The serving program with a real model behind a real endpoint: its test, request log and faults."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from include.deploy.endpoint_checks import Thresholds, check_endpoint, columns_of
from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import Hosting
from tests.include.local_sagemaker.local_server import ROOT, LocalSageMaker

pytestmark = pytest.mark.slow
ARTIFACT = f"s3://{BUCKET}/real/model.tar.gz"
PATIENT = Thresholds(p50_ms=5_000, p99_ms=30_000, requests=40)  # benchmarks, not tests, judge speed


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked model.tar.gz."""
    folder = tmp_path_factory.mktemp("artifact")
    subprocess.run(
        [ROOT / ".venv/jobs/bin/python", Path(__file__).parents[1] / "train_artifact.py", folder],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    return folder


@pytest.fixture(scope="module")
def golden(artifact: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((artifact / "golden_requests.json").read_text())
    return found


@contextmanager
def hosting_of(artifact: Path, folder: Path, *options: str) -> Iterator[Hosting]:
    """A local SageMaker with containers that serve with the project's program."""
    options = ("--path", str(ROOT / "include/jobs/bin"), "--endpoint-start-seconds", "60", *options)
    server = LocalSageMaker(folder / "state", options)
    server.start()
    hosting = Hosting(server)
    hosting.client("s3").create_bucket(Bucket=BUCKET)
    upload(hosting, artifact, ARTIFACT)
    yield hosting
    assert server.stop() == 0
    assert "Traceback" not in server.log, server.log


@pytest.fixture(scope="module")
def real(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    with hosting_of(artifact, tmp_path_factory.mktemp("real")) as hosting:
        yield hosting


@pytest.fixture(scope="module")
def endpoint(real: Hosting) -> str:
    return real.endpoint(real.config(real.model(ARTIFACT)))


def upload(hosting: Hosting, artifact: Path, uri: str) -> None:
    packed = artifact.with_suffix(".tar.gz")
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(artifact, ".")
    hosting.client("s3").upload_file(str(packed), BUCKET, uri.removeprefix(f"s3://{BUCKET}/"))


def check(hosting: Hosting, endpoint: str, golden: list[dict[str, Any]]) -> Any:
    return check_endpoint(
        hosting.runtime, hosting.sagemaker, endpoint, golden=golden, columns=columns_of(golden), thresholds=PATIENT
    )


def messages(hosting: Hosting, endpoint: str) -> list[str]:
    events = hosting.client("logs").filter_log_events(logGroupName=f"/aws/sagemaker/Endpoints/{endpoint}")["events"]
    return [event["message"] for event in events]


def test_it_passes_the_test_that_precedes_production(
    real: Hosting, endpoint: str, golden: list[dict[str, Any]]
) -> None:
    report = check(real, endpoint, golden)
    assert report["passed"], report
    assert report["golden_ok"]


def test_it_serves_without_its_own_mount(artifact: Path, golden: list[dict[str, Any]], tmp_path: Path) -> None:
    """As in a container without privileges, or on macOS, /opt/ml is elsewhere."""
    with hosting_of(artifact, tmp_path, "--sandbox", "rewrite") as hosting:
        report = check(hosting, hosting.endpoint(hosting.config(hosting.model(ARTIFACT))), golden)
    assert report["passed"], report


def test_answers_of_another_model_do_not_pass(real: Hosting, endpoint: str, golden: list[dict[str, Any]]) -> None:
    swapped = [{**entry, "expected": golden[-1]["expected"]} for entry in golden]
    report = check(real, endpoint, swapped)
    assert not report["passed"]
    assert not report["golden_ok"]
    assert f"Its log: CloudWatch group /aws/sagemaker/Endpoints/{endpoint}" in report["summary"]


@contextmanager
def clients(hosting: Hosting, endpoint: str, golden: list[dict[str, Any]]) -> Iterator[list[str]]:
    """20 requests per second meanwhile; the list receives those not answered as trained."""
    failed: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        number = 0
        while not stop.wait(0.05):
            number += 1
            entry = golden[number % len(golden)]
            try:
                answer = hosting.invoke(
                    endpoint, json.dumps(entry["features"]).encode(), ContentType="application/json"
                )
                if json.loads(answer)["predictions"] != [entry["expected"]]:
                    failed.append(answer.decode())
            except ClientError as error:
                failed.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    yield failed
    stop.set()
    thread.join()


def test_updates_of_every_kind_drop_no_request(real: Hosting, golden: list[dict[str, Any]]) -> None:
    endpoint = real.endpoint(real.config(real.model(ARTIFACT)))
    with clients(real, endpoint, golden) as failed:
        for kind, size in (("ALL_AT_ONCE", {}), ("CANARY", {"CanarySize": 30}), ("LINEAR", {"LinearStepSize": 50})):
            routing: dict[str, Any] = {"Type": kind, "WaitIntervalInSeconds": 1}
            routing |= {name: {"Type": "CAPACITY_PERCENT", "Value": percent} for name, percent in size.items()}
            config = real.config(real.model(ARTIFACT))
            real.sagemaker.update_endpoint(
                EndpointName=endpoint,
                EndpointConfigName=config,
                DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}},
            )
            described = real.settled(endpoint, 120)
            assert described["EndpointConfigName"] == config
            assert "FailureReason" not in described
    assert failed == []


def test_a_model_that_cannot_be_loaded_leaves_the_old_one_live_and_says_why(
    real: Hosting, artifact: Path, endpoint: str, golden: list[dict[str, Any]], tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(artifact, tmp_path / "broken"))
    (broken / "model.txt").write_text("no trees at all")
    upload(real, broken, f"s3://{BUCKET}/broken/model.tar.gz")
    with clients(real, endpoint, golden) as failed:
        real.sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=real.config(real.model(f"s3://{BUCKET}/broken/model.tar.gz")),
        )
        described = real.settled(endpoint, 120)
    assert "did not pass the ping health check" in described["FailureReason"]
    assert failed == []
    logged = "\n".join(messages(real, endpoint))
    assert "cannot be loaded, so nothing is served" in logged
    assert "LightGBMError" in logged


def test_a_serving_process_that_is_killed_is_replaced(
    real: Hosting, endpoint: str, golden: list[dict[str, Any]]
) -> None:
    assert real.server.process is not None
    children = psutil.Process(real.server.process.pid).children(recursive=True)
    serving = [child for child in children if "include.jobs.serve" in child.cmdline()]
    assert serving
    for process in serving:
        process.kill()
    entry = json.dumps(golden[0]["features"]).encode()
    deadline, statuses = time.monotonic() + 60, []
    while statuses[-1:] != [200] and time.monotonic() < deadline:
        try:
            real.invoke(endpoint, entry, ContentType="application/json")
            statuses.append(200)
        except real.runtime.exceptions.ModelError as error:
            statuses.append(error.response["OriginalStatusCode"])
            time.sleep(0.05)
    assert statuses[-1] == 200
    assert set(statuses[:-1]) == {503}
    assert check(real, endpoint, golden)["passed"]


def test_a_serverless_endpoint_keeps_its_requests_itself_as_data_capture_does(
    real: Hosting, golden: list[dict[str, Any]]
) -> None:
    name = real.name("serverless")
    model = real.model(
        ARTIFACT, REQUEST_LOG_S3_URI=f"s3://{BUCKET}/capture/{name}/AllTraffic", REQUEST_LOG_PERCENT="100"
    )
    variant = {"VariantName": "AllTraffic", "ModelName": model}
    variant |= {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    real.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    real.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert real.settled(name)["EndpointStatus"] == "InService"
    captured = real.endpoint(real.config(real.model(ARTIFACT), DataCaptureConfig=capture_config()))
    for endpoint in (name, captured):
        assert check(real, endpoint, golden)["passed"]
        real.invoke(
            endpoint, json.dumps(golden[0]["features"]).encode(), ContentType="application/json", InferenceId="7"
        )
        real.sagemaker.delete_endpoint(EndpointName=endpoint)
        real.sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=endpoint, WaiterConfig={"Delay": 1})
    every, sagemakers = records(real, name), records(real, captured)
    own = [one for one in every if "responseStatus" not in one[1]["eventMetadata"]]
    assert {one[1]["eventMetadata"]["responseStatus"] for one in every if one not in own} >= {400}, "refusals too"
    assert len(own) == len(sagemakers) == len(golden) + 1 + PATIENT.requests + 1
    own_key, own_record = own[-1]
    their_key, their_record = sagemakers[-1]
    assert shape(own_record) == shape(their_record)
    assert own_record["captureData"] == their_record["captureData"]
    assert own_record["eventMetadata"]["inferenceId"] == "7"
    assert [len(part) for part in own_key.split("/")[2:]] == [len(part) for part in their_key.split("/")[2:]]


def capture_config() -> dict[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    }


def records(hosting: Hosting, endpoint: str) -> list[tuple[str, Any]]:
    """Each captured record with its file's key, in the order of the files."""
    s3 = hosting.client("s3")
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"capture/{endpoint}/AllTraffic/").get("Contents", [])
    return [
        (item["Key"], json.loads(line))
        for item in listed
        for line in s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read().splitlines()
    ]


def shape(value: Any) -> Any:
    return {key: shape(inner) for key, inner in value.items()} if isinstance(value, dict) else type(value)
