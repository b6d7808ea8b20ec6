"""The operator in processes that really are killed, against a local SageMaker behind a faulty proxy."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from sagemaker_jobs import triggers
from sagemaker_jobs.kinds import PROCESSING
from sagemaker_jobs.names import job_name
from sagemaker_jobs.triggers import JobTrigger
from tests.faults.proxy import Proxy, Rule
from tests.include.local_sagemaker.local_server import ROOT, LocalSageMaker, until

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).with_name("run_operator.py")
PATIENCE = 90.0


@dataclass
class Task:
    """A task with a separate process for each try."""

    proxy: Proxy
    sagemaker: Any
    environment: dict[str, str] = field(repr=False)
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def job(self, generation: int = 1, attempt: int = 1) -> str:
        task_instance: Any = SimpleNamespace(dag_id="dag", run_id=self.run_id, task_id="job", map_index=-1)
        return job_name(PROCESSING, task_instance, generation, attempt)

    def jobs(self) -> dict[str, str]:
        listed = self.sagemaker.list_processing_jobs(NameContains=self.job()[:-2], MaxResults=100)
        return {job["ProcessingJobName"]: job["ProcessingJobStatus"] for job in listed["ProcessingJobSummaries"]}

    def start(self, seconds: float, state: str | None = "running", **more: Any) -> subprocess.Popen[str]:
        arguments = {"run_id": self.run_id, "seconds": seconds, "state": state, **more}
        command = [sys.executable, str(PROGRAM), json.dumps(arguments)]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)

    def end(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """The last line that the try printed, after its log."""
        output, _ = process.communicate(timeout=PATIENCE)
        self.log = output
        result: dict[str, Any] = json.loads(output.splitlines()[-1])
        return result

    def wait_for(self, *statuses: str) -> None:
        until(lambda: self.jobs().get(self.job()) in statuses, PATIENCE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    server = LocalSageMaker(tmp_path_factory.mktemp("sagemaker") / "state")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def task(server: LocalSageMaker, tmp_path: Path) -> Iterator[Task]:
    proxy = Proxy(server.url)
    proxy.start()
    client = boto3.client(
        "sagemaker",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    environment = {
        **os.environ,
        **server.environment,
        "AWS_ENDPOINT_URL": proxy.url,
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "AIRFLOW_HOME": str(tmp_path),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
    }
    yield Task(proxy, client, environment)
    proxy.stop()


def test_a_try_that_was_killed_after_submitting_is_followed_by_one_that_attaches(task: Task) -> None:
    first = task.start(seconds=60)
    task.wait_for("InProgress")
    first.kill()
    first.wait()
    assert task.end(task.start(seconds=60)) == {"deferred": True}
    assert "re-attached" in task.log
    assert task.jobs() == {task.job(): "InProgress"}
    task.sagemaker.stop_processing_job(ProcessingJobName=task.job())


def test_a_job_that_ended_while_nobody_watched_is_not_repeated(task: Task) -> None:
    first = task.start(seconds=0.5)
    task.wait_for("InProgress", "Completed")
    first.kill()
    first.wait()
    task.wait_for("Completed")
    assert task.end(task.start(seconds=0.5))["result"]["name"] == task.job()
    assert list(task.jobs()) == [task.job()]


def test_a_completed_job_whose_output_was_deleted_is_started_again(task: Task) -> None:
    """Its worker died, someone cleaned up the bucket, and the next try finds a job that is Completed."""
    s3 = boto3.client(
        "s3",
        endpoint_url=task.proxy.url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    s3.create_bucket(Bucket="products")
    first = task.start(seconds=1, bucket="products")
    task.wait_for("InProgress", "Completed")
    first.kill()
    first.wait()
    task.wait_for("Completed")
    s3.delete_object(Bucket="products", Key=f"{task.run_id}/a.json")
    found = task.end(task.start(seconds=1, bucket="products"))
    assert found["result"]["name"] == task.job(attempt=2)
    assert found["result"]["result"] == {}
    assert f"{task.job()} completed, but s3://products/{task.run_id}/a.json is missing; starting it again" in task.log
    assert set(task.jobs()) == {task.job(), task.job(attempt=2)}


def test_a_cleared_task_runs_again(task: Task) -> None:
    task.end(task.start(seconds=0))
    assert task.end(task.start(seconds=0, max_tries=1))["result"]["name"] == task.job(generation=2)
    assert set(task.jobs()) == {task.job(1), task.job(2)}


@pytest.mark.parametrize("state", ["failed", "success", "restarting", None])
def test_a_try_whose_task_a_person_ended_stops_the_job(task: Task, state: str | None) -> None:
    first = task.start(seconds=60, state=state)
    task.wait_for("InProgress")
    first.terminate()
    task.wait_for("Stopping", "Stopped")
    first.kill()
    first.wait()


def test_a_worker_that_scales_in_leaves_the_job(task: Task) -> None:
    first = task.start(seconds=60)
    task.wait_for("InProgress")
    first.send_signal(signal.SIGTERM)
    assert task.end(first) == {"deferred": True}
    assert task.jobs() == {task.job(): "InProgress"}
    task.sagemaker.stop_processing_job(ProcessingJobName=task.job())


def test_throttling_and_lost_answers_cost_no_second_job(task: Task) -> None:
    task.proxy.throttled_share = 0.3
    task.proxy.add(Rule("CreateProcessingJob", task.job(), times=1))
    assert task.end(task.start(seconds=1))["result"]["status"] == "Completed"
    assert list(task.jobs()) == [task.job()]
    assert task.proxy.hits["lost CreateProcessingJob"] == 1


def test_a_burst_of_5xx_is_waited_out(task: Task) -> None:
    task.proxy.broken_until = time.monotonic() + 6
    assert task.end(task.start(seconds=1))["result"]["status"] == "Completed"
    assert list(task.jobs()) == [task.job()]


def test_lack_of_capacity_is_followed_by_the_next_attempt(task: Task) -> None:
    task.proxy.lack_capacity(task.job())
    assert task.end(task.start(seconds=0))["error"] == "NoCapacity"
    assert task.end(task.start(seconds=0))["result"]["name"] == task.job(attempt=2)
    assert list(task.jobs()) == [task.job(attempt=2)]


def test_a_quota_is_not_a_lack_of_capacity_and_a_bad_request_is_refused(task: Task) -> None:
    task.proxy.add(Rule("CreateProcessingJob", task.job(), times=1, code="ResourceLimitExceeded"))
    assert task.end(task.start(seconds=0))["error"] == "QuotaReached"
    task.proxy.add(Rule("CreateProcessingJob", task.job(), times=1, code="ValidationException"))
    assert task.end(task.start(seconds=0))["error"] == "RequestRefused"
    assert task.jobs() == {}


@pytest.mark.parametrize(("state", "stopped"), [("failed", True), ("deferred", False)])
def test_a_trigger_stops_the_job_of_a_task_that_a_person_ended(
    task: Task, monkeypatch: pytest.MonkeyPatch, state: str, stopped: bool
) -> None:
    assert task.end(task.start(seconds=60)) == {"deferred": True}
    for name, value in task.environment.items():
        if name.startswith("AWS_") or name == "AIRFLOW_CONN_AWS_DEFAULT":
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(triggers, "state_of", lambda task_instance: state)
    trigger = JobTrigger(kind="processing", job=task.job(), since=0, deadline=4e9, aws_conn_id="aws_default")
    trigger._task_instance = SimpleNamespace()
    asyncio.run(trigger.on_kill())
    assert (task.jobs()[task.job()] in ("Stopping", "Stopped")) is stopped
    if not stopped:
        task.sagemaker.stop_processing_job(ProcessingJobName=task.job())
