"""Batch transform jobs."""

from __future__ import annotations

import gzip
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import Hosting, hosting_server
from tests.include.local_sagemaker.job_requests import log_lines
from tests.include.local_sagemaker.local_server import until

GROUP = "/aws/sagemaker/TransformJobs"
ROWS = b"1,2\r\n3,4\n5,6"


class Transforms:
    """Runs transform jobs over objects that it puts into S3."""

    def __init__(self, hosting: Hosting) -> None:
        self.hosting = hosting
        self.sagemaker = hosting.sagemaker
        self.s3 = hosting.client("s3")
        self.model = hosting.model(MODE="sum")

    def put(self, **objects: bytes) -> str:
        """Put objects; their prefix. `sub_b_csv` becomes sub/b.csv."""
        prefix = f"transform/{self.hosting.name('in')}/"
        for name, content in objects.items():
            key = name.replace("sub_", "sub/").replace("_gz", ".gz")
            self.s3.put_object(Bucket=BUCKET, Key=prefix + key.replace("_", "."), Body=content)
        return f"s3://{BUCKET}/{prefix}"

    def request(self, source: str, **more: Any) -> dict[str, Any]:
        """Lines of CSV unless told otherwise."""
        data = {
            "DataSource": {"S3DataSource": {"S3DataType": more.pop("data_type", "S3Prefix"), "S3Uri": source}},
            "ContentType": more.pop("content_type", "text/csv"),
            "SplitType": more.pop("split", "Line"),
            "CompressionType": more.pop("compression", "None"),
        }
        name = self.hosting.name("transform")
        output = {
            "S3OutputPath": f"s3://{BUCKET}/transformed/{name}",
            "AssembleWith": more.pop("assemble", "Line"),
        }
        return {
            "TransformJobName": name,
            "ModelName": more.pop("model", self.model),
            "TransformInput": data,
            "TransformOutput": output,
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": more.pop("instances", 1)},
            **more,
        }

    def finished(self, name: str, seconds: float = 60) -> dict[str, Any]:
        """The job's description once it has ended."""
        deadline = time.monotonic() + seconds
        while (found := self.sagemaker.describe_transform_job(TransformJobName=name))["TransformJobStatus"] in {
            "InProgress",
            "Stopping",
        }:
            assert time.monotonic() < deadline, found
            time.sleep(0.03)
        result: dict[str, Any] = found
        return result

    def run(self, source: str, **more: Any) -> dict[str, bytes]:
        """The outputs of a job that must complete, by name below the output path."""
        request = self.request(source, **more)
        self.sagemaker.create_transform_job(**request)
        described = self.finished(request["TransformJobName"])
        assert described["TransformJobStatus"] == "Completed", described
        return self.outputs(request["TransformJobName"])

    def failed(self, source: str, **more: Any) -> tuple[str, list[str]]:
        """FailureReason and log of a job that must fail."""
        request = self.request(source, **more)
        self.sagemaker.create_transform_job(**request)
        described = self.finished(request["TransformJobName"])
        assert described["TransformJobStatus"] == "Failed", described
        return described["FailureReason"], log_lines(self.hosting.client("logs"), GROUP, request["TransformJobName"])

    def outputs(self, name: str) -> dict[str, bytes]:
        prefix = f"transformed/{name}/"
        listed = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {
            item["Key"].removeprefix(prefix): self.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            for item in listed
        }


@pytest.fixture(scope="module")
def transforms(hosting: Hosting) -> Transforms:
    return Transforms(hosting)


@pytest.mark.parametrize("strategy", ["MultiRecord", "SingleRecord"])
def test_every_object_has_its_output_in_the_order_of_its_lines(transforms: Transforms, strategy: str) -> None:
    source = transforms.put(a_csv=ROWS, sub_b_csv=b"7,8\n")
    outputs = transforms.run(source, BatchStrategy=strategy, MaxConcurrentTransforms=4)
    assert outputs == {"a.csv.out": b"3.0\n7.0\n11.0\n", "sub/b.csv.out": b"15.0\n"}


def test_one_object_alone(transforms: Transforms) -> None:
    source = transforms.put(a_csv=ROWS)
    assert transforms.run(f"{source}a.csv") == {"a.csv.out": b"3.0\n7.0\n11.0\n"}


def test_an_object_as_a_whole(transforms: Transforms) -> None:
    source = transforms.put(a_csv=ROWS, b_csv=b"7,8")
    outputs = transforms.run(source, split="None", assemble="None", instances=2)
    assert outputs == {"a.csv.out": b"3.0\n7.0\n11.0\n", "b.csv.out": b"15.0\n"}


def test_a_manifest_names_the_objects(transforms: Transforms) -> None:
    source = transforms.put(a_csv=b"1\n", b_csv=b"2\n", c_csv=b"3\n")
    manifest = transforms.put(manifest=json.dumps([{"prefix": source}, "a.csv", "c.csv"]).encode())
    outputs = transforms.run(f"{manifest}manifest", data_type="ManifestFile")
    assert outputs == {"a.csv.out": b"1.0\n", "c.csv.out": b"3.0\n"}


def test_compressed_input(transforms: Transforms) -> None:
    members = gzip.compress(b"1,2\n") + gzip.compress(b"3,4\n")  # several members, as appended files have
    assert transforms.run(transforms.put(a_csv_gz=members), compression="Gzip") == {"a.csv.gz.out": b"3.0\n7.0\n"}
    reason, lines = transforms.failed(transforms.put(a_csv_gz=members[:-9]), compression="Gzip")
    assert reason == "ClientError: See job logs for more information"
    assert any("not a whole gzip file" in line for line in lines)


def test_ids_stay_beside_predictions(transforms: Transforms) -> None:
    source = transforms.put(a_csv=b"id1,1,2\nid2,3,4\n")
    processing = {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    assert transforms.run(source, DataProcessing=processing) == {"a.csv.out": b"id1,3.0\nid2,7.0\n"}
    joined = transforms.run(source, DataProcessing={"InputFilter": "$[1:]", "JoinSource": "Input"})
    assert joined == {"a.csv.out": b"id1,1,2,3.0\nid2,3,4,7.0\n"}


def test_json_lines(transforms: Transforms) -> None:
    records = [{"id": "a", "x": {"u": 1, "v": 2}}, {"id": "b", "x": {"u": 3, "v": 4}}]
    source = transforms.put(a_jsonl="".join(json.dumps(one) + "\n" for one in records).encode())
    processing = {"InputFilter": "$.x", "JoinSource": "Input", "OutputFilter": "$['id','SageMakerOutput']"}
    outputs = transforms.run(source, content_type="application/jsonlines", DataProcessing=processing)
    assert [json.loads(line) for line in outputs["a.jsonl.out"].splitlines()] == [
        {"id": "a", "SageMakerOutput": {"sum": 3}},
        {"id": "b", "SageMakerOutput": {"sum": 7}},
    ]


def test_many_records_in_many_requests_keep_their_order(transforms: Transforms) -> None:
    rows = 200_000
    source = transforms.put(a_csv="".join(f"{number},0.5\n" for number in range(rows)).encode())
    processing = {"JoinSource": "Input"}
    outputs = transforms.run(source, MaxPayloadInMB=1, MaxConcurrentTransforms=3, DataProcessing=processing)
    expected = "".join(f"{number},0.5,{number + 0.5}\n" for number in range(rows))
    assert outputs == {"a.csv.out": expected.encode()}


def test_the_container_may_say_how_it_is_to_be_called(transforms: Transforms) -> None:
    parameters = {"MaxConcurrentTransforms": 2, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 1}
    model = transforms.hosting.model(MODE="sum", PARAMETERS=json.dumps(parameters))
    request = transforms.request(transforms.put(a_csv=ROWS), model=model)
    transforms.sagemaker.create_transform_job(**request)
    transforms.finished(request["TransformJobName"])
    lines = log_lines(transforms.hosting.client("logs"), GROUP, request["TransformJobName"])
    assert any(
        line.endswith("MaxConcurrentTransforms=2, MaxPayloadInMB=1, BatchStrategy=SINGLE_RECORD") for line in lines
    )
    assert lines.count("request of 1 lines") == 3


def test_a_record_that_the_model_refuses_fails_the_job(transforms: Transforms) -> None:
    source = transforms.put(a_csv=b"1,2\n", b_csv=b"3,4\nbad,5\n")
    reason, lines = transforms.failed(source)
    assert reason == "ClientError: See job logs for more information"
    key = source.removeprefix("s3://") + "b.csv"
    told = [line.partition("[sagemaker logs]: ")[2] for line in lines]
    assert f"{key}: ClientError: 400" in told
    assert f"{key}: column vibration: bad" in told


def test_a_model_that_errs_or_dies_fails_the_job(transforms: Transforms) -> None:
    reason, lines = transforms.failed(transforms.put(a_csv=b"500\n"))
    assert reason == "AlgorithmError: See job logs for more information"
    assert any(line.endswith("Bad HTTP status received from algorithm: 500") for line in lines)
    reason, lines = transforms.failed(transforms.put(a_csv=b"die\n"))
    assert reason == "AlgorithmError: See job logs for more information"
    assert any("Unable to get response from algorithm" in line for line in lines)


def test_jobs_that_cannot_begin(transforms: Transforms) -> None:
    reason, _ = transforms.failed(f"s3://{BUCKET}/transform/nothing-here/")
    assert reason.startswith("ClientError: Data download failed:No S3 objects found under S3 URL")
    reason, lines = transforms.failed(transforms.put(a_csv=ROWS), model=transforms.hosting.model(MODE="exit"))
    assert reason == "AlgorithmError: See job logs for more information"
    assert "cannot load the model" in lines


def test_stopping_ends_the_requests_on_their_way(transforms: Transforms) -> None:
    request = transforms.request(transforms.put(a_csv=b"sleep60\n"))
    name = request["TransformJobName"]
    transforms.sagemaker.create_transform_job(**request)
    until(lambda: "request of 1 lines" in log_lines(transforms.hosting.client("logs"), GROUP, name))
    transforms.sagemaker.stop_transform_job(TransformJobName=name)
    described = transforms.finished(name, 10)
    assert described["TransformJobStatus"] == "Stopped"
    assert transforms.outputs(name) == {}
    with pytest.raises(ClientError, match="in status Stopped"):
        transforms.sagemaker.stop_transform_job(TransformJobName=name)


def test_bad_requests(transforms: Transforms) -> None:
    source = transforms.put(a_csv=ROWS)
    cases: list[tuple[str, dict[str, Any]]] = [
        ("Could not find model", {"model": "nowhere"}),
        ("does not support TransformInput.SplitType RecordIO", {"split": "RecordIO"}),
        ("must not exceed 100 MB", {"MaxPayloadInMB": 60, "MaxConcurrentTransforms": 2}),
        ("must not exceed 100 MB", {"MaxPayloadInMB": 101, "MaxConcurrentTransforms": 0}),
        ("must not exceed 100", {"TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 101}}),
        ("does not start with", {"DataProcessing": {"InputFilter": "features"}}),
        ("S3DataSource.S3DataType AugmentedManifestFile", {"data_type": "AugmentedManifestFile"}),
    ]
    for message, more in cases:
        with pytest.raises(ClientError, match=rf"\(ValidationException\).*{message}"):
            transforms.sagemaker.create_transform_job(**transforms.request(source, **more))
    model = transforms.hosting.uncompressed_model()
    with pytest.raises(ClientError, match=r"ModelDataSource, which batch transform does not support"):
        transforms.sagemaker.create_transform_job(**transforms.request(source, model=model))
    with pytest.raises(ClientError, match=r"\(ValidationException\).*Could not find requested job"):
        transforms.sagemaker.describe_transform_job(TransformJobName="nowhere")
    request = transforms.request(source)
    transforms.sagemaker.create_transform_job(**request)
    with pytest.raises(ClientError, match=r"\(ResourceInUse\)"):
        transforms.sagemaker.create_transform_job(**request)
    transforms.finished(request["TransformJobName"])


def test_a_job_starts_over_after_a_crash_of_the_server(tmp_path: Path) -> None:
    server = hosting_server(tmp_path)
    server.start()
    hosting = Hosting(server)
    hosting.upload_artifact()
    transforms = Transforms(hosting)
    source = transforms.put(a_csv=b"sleep2\n", b_csv=b"1,2\n")
    request = transforms.request(source)
    name = request["TransformJobName"]
    transforms.sagemaker.create_transform_job(**request)
    until(lambda: "request of 1 lines" in log_lines(hosting.client("logs"), GROUP, name))
    server.stop(signal.SIGKILL)
    server.start()
    assert transforms.finished(name)["TransformJobStatus"] == "Completed"
    assert transforms.outputs(name) == {"a.csv.out": b"awake\n", "b.csv.out": b"3.0\n"}
    assert server.stop() == 0
