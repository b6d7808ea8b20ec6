"""Training jobs through boto3."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.job_requests import finished_training, keys, log_lines, run_training, training

Names = Callable[[str], str]
GROUP = "/aws/sagemaker/TrainingJobs"


def _members(s3: Any, uri: str) -> dict[str, bytes]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    packed = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        files = [member for member in archive.getmembers() if member.isfile()]
        return {member.name: archive.extractfile(member).read() for member in files}  # type: ignore[union-attr]


def test_a_model_goes_to_s3_in_sagemakers_layout(sagemaker: Any, s3: Any, names: Names) -> None:
    name = names("train")
    s3.put_object(Bucket="ml-local", Key=f"{name}/train/x.csv", Body=b"1\n")
    script = (
        "cp /opt/ml/input/data/train/x.csv /opt/ml/model/; mkdir /opt/ml/model/code; echo c > /opt/ml/model/code/s.py;"
        " echo plot > /opt/ml/output/data/plot.txt"
    )
    job = run_training(
        sagemaker,
        training(
            name, ["sh", "-c", script], f"s3://ml-local/{name}", channels={"train": f"s3://ml-local/{name}/train/"}
        ),
    )
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://ml-local/{name}/{name}/output/model.tar.gz"
    assert _members(s3, job["ModelArtifacts"]["S3ModelArtifacts"]) == {"x.csv": b"1\n", "code/s.py": b"c\n"}
    assert _members(s3, f"s3://ml-local/{name}/{name}/output/output.tar.gz") == {"plot.txt": b"plot\n"}


def test_secondary_statuses_follow_one_another(sagemaker: Any, names: Names) -> None:
    job = run_training(sagemaker, training(names("statuses"), ["true"]))
    entries = job["SecondaryStatusTransitions"]
    assert [entry["Status"] for entry in entries] == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    for entry, following in itertools.pairwise(entries):
        assert entry["StartTime"] <= entry["EndTime"] <= following["StartTime"]
    assert entries[-1]["StatusMessage"] != entries[-2]["StatusMessage"]  # what the provider's waiter reads
    assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] == 1
    assert job["TrainingStartTime"] <= job["TrainingEndTime"]


def test_the_container_finds_sagemakers_files(sagemaker: Any, s3: Any, client: Any, names: Names) -> None:
    name = names("files")
    s3.put_object(Bucket="ml-local", Key=f"{name}/x.csv", Body=b"1\n")
    files = "hyperparameters inputdataconfig resourceconfig"
    script = f"cd /opt/ml/input/config; for file in {files}; do cat $file.json; echo; done; env"
    request = training(
        name,
        ["sh", "-c", script],
        channels={"train": f"s3://ml-local/{name}"},
        HyperParameters={"rounds": "7"},
        Environment={"COLOUR": "red"},
    )
    run_training(sagemaker, request)
    lines = log_lines(client("logs"), GROUP, name)
    hyperparameters, inputs, resources = (json.loads(line) for line in lines[:3])
    assert hyperparameters == {"rounds": "7"}
    assert inputs["train"]["TrainingInputMode"] == "File"
    assert resources["current_host"] == "algo-1"
    assert {"COLOUR=red", f"TRAINING_JOB_NAME={name}"} <= set(lines)
    assert not [line for line in lines if line.startswith("SM_")]  # a plain container has none


def test_metrics_are_read_from_the_log(sagemaker: Any, client: Any, names: Names) -> None:
    name = names("metrics")
    script = "echo 'f1=0.5;'; echo 'f1=oops'; echo 'f1=0.75; loss=1e-3'"
    request = training(name, ["sh", "-c", script], metrics={"validation:f1": "f1=([0-9.]+)", "loss": "loss=(.*)"})
    job = run_training(sagemaker, request)
    assert {item["MetricName"]: item["Value"] for item in job["FinalMetricDataList"]} == {
        "validation:f1": 0.75,
        "loss": 0.001,
    }
    found = client("cloudwatch").list_metrics(
        Namespace="/aws/sagemaker/TrainingJobs", Dimensions=[{"Name": "TrainingJobName", "Value": name}]
    )["Metrics"]
    assert {metric["MetricName"] for metric in found} == {"validation:f1", "loss"}


def test_a_failure_says_what_the_program_wrote(sagemaker: Any, s3: Any, names: Names) -> None:
    name = names("failure")
    script = "echo 'no rows for machine 7' > /opt/ml/output/failure; echo x > /opt/ml/output/data/x; exit 4"
    job = run_training(sagemaker, training(name, ["sh", "-c", script], f"s3://ml-local/{name}"))
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"] == "AlgorithmError: no rows for machine 7, exit code: 4"
    assert "ModelArtifacts" not in job
    assert keys(s3, name) == [f"{name}/{name}/output/output.tar.gz"]


def test_a_long_failure_is_cut_but_keeps_its_exit_code(sagemaker: Any, names: Names) -> None:
    script = "head -c 5000 /dev/zero | tr '\\0' x > /opt/ml/output/failure; kill -9 $$"
    job = run_training(sagemaker, training(names("long"), ["sh", "-c", script]))
    assert len(job["FailureReason"]) == 1024
    assert job["FailureReason"].endswith("xxx, exit code: 137")


def test_a_job_over_its_time_stops_and_keeps_its_model(sagemaker: Any, s3: Any, names: Names) -> None:
    name = names("overtime")
    script = "echo half > /opt/ml/model/m; sleep 60"
    job = run_training(sagemaker, training(name, ["sh", "-c", script], seconds=1))
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert _members(s3, job["ModelArtifacts"]["S3ModelArtifacts"]) == {"m": b"half\n"}


def test_stop(sagemaker: Any, names: Names) -> None:
    name = names("stop")
    sagemaker.create_training_job(**training(name, ["sleep", "60"]))
    while sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"] != "Training":
        time.sleep(0.05)
    sagemaker.stop_training_job(TrainingJobName=name)
    job = finished_training(sagemaker, name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    with pytest.raises(ClientError, match=r"ValidationException.*in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName=name)


def test_absent_and_taken_names(sagemaker: Any, names: Names) -> None:
    with pytest.raises(ClientError, match=r"ValidationException.*Requested resource not found\."):
        sagemaker.describe_training_job(TrainingJobName="absent")
    with pytest.raises(ClientError, match=r"ValidationException.*Requested resource not found\."):
        sagemaker.stop_training_job(TrainingJobName="absent")
    request = training(names("taken"), ["true"])
    arn = sagemaker.create_training_job(**request)["TrainingJobArn"]
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match=arn):
        sagemaker.create_training_job(**request)


def test_two_jobs_do_not_see_each_other(sagemaker: Any, client: Any, names: Names) -> None:
    first, second = names("alone"), names("alone")
    script = "echo mine > /opt/ml/model/$TRAINING_JOB_NAME; sleep 1; ls /opt/ml/model"
    for name in (first, second):
        sagemaker.create_training_job(**training(name, ["sh", "-c", script]))
    for name in (first, second):
        finished_training(sagemaker, name)
        assert log_lines(client("logs"), GROUP, name) == [name]


def test_nothing_that_a_job_started_outlives_it(sagemaker: Any, client: Any, names: Names) -> None:
    name = names("daemon")
    run_training(sagemaker, training(name, ["sh", "-c", "setsid sleep 4321 > /dev/null & echo started"]))

    assert log_lines(client("logs"), GROUP, name) == ["started"]
    assert not [process for process in psutil.process_iter(["cmdline"]) if "4321" in (process.info["cmdline"] or [])]


def test_spot_checkpoints_come_and_go(sagemaker: Any, s3: Any, client: Any, names: Names) -> None:
    name = names("spot")
    s3.put_object(Bucket="ml-local", Key=f"{name}/checkpoints/epoch", Body=b"3")
    request = training(
        name,
        ["sh", "-c", "cat /opt/ml/checkpoints/epoch; echo 4 > /opt/ml/checkpoints/next"],
        EnableManagedSpotTraining=True,
        CheckpointConfig={"S3Uri": f"s3://ml-local/{name}/checkpoints"},
    )
    with pytest.raises(ClientError, match="Invalid MaxWaitTimeInSeconds"):
        sagemaker.create_training_job(**request)
    request["StoppingCondition"]["MaxWaitTimeInSeconds"] = 120
    assert run_training(sagemaker, request)["TrainingJobStatus"] == "Completed"
    assert log_lines(client("logs"), GROUP, name) == ["3"]
    assert keys(s3, f"{name}/checkpoints") == [f"{name}/checkpoints/epoch", f"{name}/checkpoints/next"]


def test_hosts_models_are_merged(sagemaker: Any, s3: Any, names: Names) -> None:
    script = (
        "import json; host = json.load(open('/opt/ml/input/config/resourceconfig.json'))['current_host'];"
        " open(f'/opt/ml/model/{host}', 'w')"
    )
    job = run_training(sagemaker, training(names("hosts"), ["python", "-c", script], instances=2))
    assert set(_members(s3, job["ModelArtifacts"]["S3ModelArtifacts"])) == {"algo-1", "algo-2"}


def test_a_manifest_names_its_files(sagemaker: Any, s3: Any, client: Any, names: Names) -> None:
    name = names("manifest")
    for key in ("a", "b", "deep/c"):
        s3.put_object(Bucket="ml-local", Key=f"{name}/{key}", Body=b"x")
    manifest = [{"prefix": f"s3://ml-local/{name}/"}, "a", "deep/c"]
    s3.put_object(Bucket="ml-local", Key=f"{name}/manifest", Body=json.dumps(manifest).encode())
    script = "cd /opt/ml/input/data/train; find . -type f | sort"
    request = training(name, ["sh", "-c", script], channels={"train": f"s3://ml-local/{name}/manifest"})
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3DataType"] = "ManifestFile"
    run_training(sagemaker, request)
    assert log_lines(client("logs"), GROUP, name) == ["./a", "./deep/c"]


def test_waiters_of_boto3_work(sagemaker: Any, names: Names) -> None:
    name = names("waiter")
    sagemaker.create_training_job(**training(name, ["true"]))
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
