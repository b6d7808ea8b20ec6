"""What survives the end of the server, orderly or not, and what does not."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.include.local_sagemaker.conftest import client_of
from tests.include.local_sagemaker.job_requests import finished_training, log_lines, training
from tests.include.local_sagemaker.local_server import LocalSageMaker, until

GROUP = "/aws/sagemaker/TrainingJobs"
MARK = f"98765.{os.getpid()}"  # a number of seconds that identifies this run's sleeping processes


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[LocalSageMaker]:
    running = LocalSageMaker(tmp_path / "state", ("--max-jobs", "1"))
    running.start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


def _sleepers() -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if MARK in (process.info["cmdline"] or [])]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_jobs_survive_and_their_processes_do_not(own_server: LocalSageMaker, how: signal.Signals) -> None:
    client = client_of(own_server)
    sagemaker, s3 = client("sagemaker"), client("s3")
    s3.create_bucket(Bucket="ml-local")
    s3.put_object(Bucket="ml-local", Key="kept", Body=b"x" * 6_000_000)
    # the first attempt sleeps; the second finds its mark in S3 and ends
    script = (
        "import boto3, subprocess; s3 = boto3.client('s3');"
        " again = s3.list_objects_v2(Bucket='ml-local', Prefix='begun')['KeyCount'];"
        " s3.put_object(Bucket='ml-local', Key='begun', Body=b'');"
        f" subprocess.run(['true' if again else 'sleep', '{MARK}']); print('second life')"
    )
    sagemaker.create_training_job(
        **training("runs", ["sh", "-c", 'python -c "$SCRIPT"'], Environment={"SCRIPT": script})
    )
    sagemaker.create_training_job(**training("waits", ["echo", "queued"]))
    until(_sleepers)
    own_server.stop(how)
    until(lambda: not _sleepers(), 5)

    own_server.start()
    assert s3.head_object(Bucket="ml-local", Key="kept")["ContentLength"] == 6_000_000
    first, second = finished_training(sagemaker, "runs"), finished_training(sagemaker, "waits")
    assert first["TrainingJobStatus"] == second["TrainingJobStatus"] == "Completed"
    assert "Restarting" in [entry["Status"] for entry in first["SecondaryStatusTransitions"]]
    assert "Restarting" not in [entry["Status"] for entry in second["SecondaryStatusTransitions"]]
    assert log_lines(client("logs"), GROUP, "runs") == ["second life"]
    assert first["TrainingEndTime"] <= second["TrainingStartTime"]
    assert own_server.stop() == 0


def test_a_stop_that_was_asked_for_is_not_forgotten(own_server: LocalSageMaker) -> None:
    sagemaker = client_of(own_server)("sagemaker")
    client_of(own_server)("s3").create_bucket(Bucket="ml-local")
    sagemaker.create_training_job(**training("deaf", ["sh", "-c", f"trap '' TERM; sleep {MARK}; sleep {MARK}"]))
    until(_sleepers)
    sagemaker.stop_training_job(TrainingJobName="deaf")
    own_server.stop(signal.SIGKILL)
    own_server.start()
    assert finished_training(sagemaker, "deaf")["TrainingJobStatus"] == "Stopped"


def test_a_queued_job_stops_at_once(own_server: LocalSageMaker) -> None:
    sagemaker = client_of(own_server)("sagemaker")
    sagemaker.create_training_job(**training("first", ["sleep", MARK]))
    sagemaker.create_training_job(**training("second", ["sleep", MARK]))
    until(_sleepers)
    sagemaker.stop_training_job(TrainingJobName="second")
    assert finished_training(sagemaker, "second", 5)["TrainingJobStatus"] == "Stopped"
    assert sagemaker.describe_training_job(TrainingJobName="first")["TrainingJobStatus"] == "InProgress"


def test_a_bucket_asked_for_again_after_a_restart_keeps_its_objects(own_server: LocalSageMaker) -> None:
    s3 = client_of(own_server)("s3")
    s3.create_bucket(Bucket="ml-local")
    s3.put_object(Bucket="ml-local", Key="runs/model.tar.gz", Body=b"kept")
    own_server.stop()
    own_server.start()
    s3 = client_of(own_server)("s3")
    s3.create_bucket(Bucket="ml-local")
    assert s3.get_object(Bucket="ml-local", Key="runs/model.tar.gz")["Body"].read() == b"kept"


def test_a_second_server_on_the_same_state_refuses(own_server: LocalSageMaker) -> None:
    second = LocalSageMaker(own_server.state)
    with pytest.raises(RuntimeError, match="in use by another local SageMaker"):
        second.start()


def test_without_namespaces_paths_are_rewritten(tmp_path: Path) -> None:
    running = LocalSageMaker(tmp_path / "state", ("--sandbox", "rewrite"))
    running.start()
    client = client_of(running)
    client("s3").create_bucket(Bucket="ml-local")
    client("s3").put_object(Bucket="ml-local", Key="in/a", Body=b"x")
    script = "ls $1; cp $1/a $SM_MODEL_DIR/; test -d $PLACE && test -d $OPT_ML/model && test ! -e /opt/'ml'/model"
    request = training("rewritten", ["sh", "-c", script, "-"], channels={"train": "s3://ml-local/in"})
    request["AlgorithmSpecification"]["ContainerArguments"] = ["/opt/ml/input/data/train"]
    request["Environment"] = {"PLACE": "/opt/ml/model"}
    client("sagemaker").create_training_job(**request)
    job = finished_training(client("sagemaker"), "rewritten")
    assert job["TrainingJobStatus"] == "Completed"
    assert log_lines(client("logs"), GROUP, "rewritten") == ["a"]
    running.stop()
