"""Jobs and endpoints that start slowly, as on AWS."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from tests.include.local_sagemaker.hosting import Hosting, hosting_server
from tests.include.local_sagemaker.job_requests import finished_processing, finished_training, processing, training
from tests.include.local_sagemaker.local_server import LocalSageMaker

OPTIONS = ("--start-up", "processing=2,training=3,transform=2,endpoint=2,serverless=1", "--max-jobs", "1")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    server = hosting_server(tmp_path_factory.mktemp("slow"), *OPTIONS)
    server.start()
    hosting = Hosting(server)
    hosting.upload_artifact()
    yield hosting
    assert server.stop() == 0


def began(job: dict[str, Any], started: str) -> float:
    """Seconds from a job's creation to its start."""
    seconds: float = (job[started] - job["CreationTime"]).total_seconds()
    return seconds


def test_jobs_start_up_beside_each_other(slow: Hosting) -> None:
    """Starting jobs do not use the slots of running jobs: three are ready at the same time."""
    names = [slow.name("beside") for _ in range(3)]
    for name in names:
        slow.sagemaker.create_processing_job(**processing(name, ["true"]))
    jobs = [finished_processing(slow.sagemaker, name) for name in names]
    assert all(job["ProcessingJobStatus"] == "Completed" for job in jobs)
    assert all(began(job, "ProcessingStartTime") >= 2 for job in jobs)
    for job, following in itertools.pairwise(sorted(jobs, key=lambda job: job["ProcessingStartTime"])):
        idle = following["ProcessingStartTime"] - job["ProcessingEndTime"]
        assert idle.total_seconds() < 2, "it started up while the previous one ran"


def test_no_processor_is_used_meanwhile(slow: Hosting) -> None:
    assert slow.server.process is not None
    server = psutil.Process(slow.server.process.pid)
    name = slow.name("idle")
    slow.sagemaker.create_training_job(**training(name, ["true"]))
    before = sum(server.cpu_times()[:2])
    while slow.sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"] == "Starting":
        assert not server.children()
        time.sleep(0.5)
    assert sum(server.cpu_times()[:2]) - before < 0.5
    job = finished_training(slow.sagemaker, name)
    assert [one["Status"] for one in job["SecondaryStatusTransitions"]] == [
        *("Starting", "Downloading", "Training", "Uploading", "Completed")
    ]
    assert began(job, "TrainingStartTime") >= 3
    assert job["BillableTimeInSeconds"] <= 2, "billing begins when the job does"


def test_a_job_is_stopped_while_it_starts(slow: Hosting) -> None:
    name = slow.name("stopped")
    slow.sagemaker.create_training_job(**training(name, ["true"]))
    slow.sagemaker.stop_training_job(TrainingJobName=name)
    job = finished_training(slow.sagemaker, name)
    assert job["TrainingJobStatus"] == "Stopped"
    assert "TrainingStartTime" not in job


def test_a_transform_takes_its_time(slow: Hosting) -> None:
    slow.client("s3").put_object(Bucket="ml-local", Key="slow/rows.csv", Body=b"1\n2\n")
    name = slow.name("transform")
    slow.sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=slow.model(),
        TransformInput={"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://ml-local/slow/"}}},
        TransformOutput={"S3OutputPath": "s3://ml-local/slow-out/"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    while (job := slow.sagemaker.describe_transform_job(TransformJobName=name))["TransformJobStatus"] == "InProgress":
        time.sleep(0.1)
    assert job["TransformJobStatus"] == "Completed", job
    assert began(job, "TransformStartTime") >= 2


def test_an_endpoint_is_created_and_updated_slowly_and_serves_meanwhile(slow: Hosting) -> None:
    before = time.monotonic()
    name = slow.endpoint(slow.config(slow.model()))
    assert time.monotonic() - before >= 2
    before = time.monotonic()
    slow.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=slow.config(slow.model()))
    slow.invoke(name)
    assert slow.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Updating"
    assert slow.settled(name)["EndpointStatus"] == "InService"
    assert time.monotonic() - before >= 2


def test_start_up_goes_on_after_a_restart(slow: Hosting) -> None:
    name = slow.name("restarted")
    slow.sagemaker.create_processing_job(**processing(name, ["true"]))
    assert slow.server.stop() == 0
    slow.server.start()
    job = finished_processing(slow.sagemaker, name)
    assert job["ProcessingJobStatus"] == "Completed"
    assert began(job, "ProcessingStartTime") >= 2


@pytest.fixture
def warm(slow: Hosting) -> Callable[..., dict[str, Any]]:
    """Run a training job on a warm pool."""

    def run(volume: int, seconds: int = 600) -> dict[str, Any]:
        request = training(slow.name("warm"), ["true"])
        request["ResourceConfig"] |= {"KeepAlivePeriodInSeconds": seconds, "VolumeSizeInGB": volume}
        slow.sagemaker.create_training_job(**request)
        return finished_training(slow.sagemaker, request["TrainingJobName"])

    return run


def test_a_warm_pool_is_used_once_and_by_a_like_job_only(slow: Hosting, warm: Callable[..., dict[str, Any]]) -> None:
    first = warm(volume=11)
    assert first["WarmPoolStatus"]["Status"] == "Available"
    assert began(warm(volume=12), "TrainingStartTime") >= 3, "another volume size needs other instances"
    # at most 10 s, and never more than a cold start: a short start-up here cannot be told from a warm one, so the
    # pool's state says which it was
    second = warm(volume=11)
    described = slow.sagemaker.describe_training_job(TrainingJobName=first["TrainingJobName"])
    assert described["WarmPoolStatus"]["Status"] == "Reused"
    assert described["WarmPoolStatus"]["ReusedByJob"] == second["TrainingJobName"]


def test_a_pool_that_nobody_uses_is_terminated(slow: Hosting, warm: Callable[..., dict[str, Any]]) -> None:
    first = warm(volume=13, seconds=1)
    deadline = time.monotonic() + 10
    while (pool := _pool(slow, first))["Status"] != "Terminated":
        assert time.monotonic() < deadline, pool
        time.sleep(0.1)
    assert pool["ResourceRetainedBillableTimeInSeconds"] == 1
    warm(volume=13)
    assert _pool(slow, first)["Status"] == "Terminated"


def _pool(slow: Hosting, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = slow.sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])
    return dict(found["WarmPoolStatus"])


def test_spot_instances_cannot_be_kept(slow: Hosting) -> None:
    request = training(slow.name("spot"), ["true"], EnableManagedSpotTraining=True)
    request["ResourceConfig"]["KeepAlivePeriodInSeconds"] = 60
    request["StoppingCondition"] = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}
    with pytest.raises(slow.sagemaker.exceptions.ClientError, match="KeepAlivePeriodInSeconds"):
        slow.sagemaker.create_training_job(**request)


def test_what_is_wrong_is_said_at_the_start(tmp_path: Any) -> None:
    server = LocalSageMaker(tmp_path / "state", ("--start-up", "procesing=5"))
    with pytest.raises(RuntimeError, match="did not start") as refused:
        server.start()
    assert "'procesing=5' is not one of aws" in str(refused.value)
