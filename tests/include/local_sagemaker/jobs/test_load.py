"""Many jobs and many clients at the same time."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.config import Config

from tests.include.local_sagemaker.conftest import client_of
from tests.include.local_sagemaker.job_requests import log_lines, processing
from tests.include.local_sagemaker.local_server import LocalSageMaker

JOBS, AT_ONCE, CLIENTS, LINES = 200, 8, 16, 200
MOST_GROWTH = 250 * 2**20
GROUP = "/aws/sagemaker/ProcessingJobs"


def _running(sagemaker: Any) -> int:
    return sum(
        "ProcessingEndTime" not in job
        for page in sagemaker.get_paginator("list_processing_jobs").paginate(StatusEquals="InProgress")
        for job in page["ProcessingJobSummaries"]
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_hundred_jobs_eight_at_a_time_with_sixteen_clients(tmp_path: Path) -> None:
    server = LocalSageMaker(tmp_path / "state", ("--max-jobs", str(AT_ONCE)))
    server.start()
    client = client_of(server)
    sagemaker = client("sagemaker")
    assert server.process is not None
    memory = psutil.Process(server.process.pid).memory_info
    before = memory().rss
    work = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done; sleep 0.2"
    script = f"date +%s.%N; {work}; date +%s.%N"
    names = [f"load-{number}" for number in range(JOBS)]
    failures: list[str] = []
    done = threading.Event()

    def poll(number: int) -> None:
        session = boto3.session.Session("local", "local", region_name="us-east-1")
        config = Config(retries={"total_max_attempts": 1})
        mine = session.client("sagemaker", endpoint_url=server.url, config=config)
        while not done.is_set():
            try:
                mine.describe_processing_job(ProcessingJobName=names[number])
                mine.list_processing_jobs(MaxResults=100)
            except Exception as error:  # noqa: BLE001 - whatever a client may see is a failure of the server
                failures.append(repr(error))
            number = (number + CLIENTS) % JOBS

    for name in names:
        sagemaker.create_processing_job(**processing(name, ["sh", "-c", script]))
    clients = [threading.Thread(target=poll, args=(number,)) for number in range(CLIENTS)]
    for thread in clients:
        thread.start()
    deadline = time.monotonic() + 200
    while _running(sagemaker):
        assert time.monotonic() < deadline, f"{_running(sagemaker)} jobs are left"
        time.sleep(0.2)
    done.set()
    for thread in clients:
        thread.join()

    assert failures == []
    wanted = [f"line {number}" for number in range(LINES)]
    spans: list[tuple[float, float]] = []
    for name in names:
        job = sagemaker.describe_processing_job(ProcessingJobName=name)
        assert job["ProcessingJobStatus"] == "Completed", job
        began, *lines, ended = log_lines(client("logs"), GROUP, name)
        assert lines == wanted
        spans.append((float(began), float(ended)))
    # by the programs' own clocks: a sample from outside may meet each of them while it starts
    assert 1 < _most_at_once(spans) <= AT_ONCE
    starts = [sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingStartTime"] for name in names]
    # first come, first served: no job starts before one that came a whole round earlier
    assert all(early <= late for early, late in zip(starts, starts[AT_ONCE:], strict=False))
    assert memory().rss - before < MOST_GROWTH
    assert server.stop() == 0
    assert "Traceback" not in server.log


def _most_at_once(spans: list[tuple[float, float]]) -> int:
    """How many of ``spans``, each from its begin to its end in seconds, overlap at most."""
    return max(sum(began <= moment < ended for began, ended in spans) for moment, _ in spans)


@pytest.mark.slow
def test_a_talkative_job_loses_no_line(sagemaker: Any, client: Any, names: Any) -> None:
    name = names("talk")
    script = "for number in range(100_000): print(f'{number:06d} ' + 'x' * 50)"
    sagemaker.create_processing_job(**processing(name, ["python", "-c", script]))
    while sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"] == "InProgress":
        time.sleep(0.2)
    lines = log_lines(client("logs"), GROUP, name)
    assert [int(line[:6]) for line in lines] == list(range(100_000))
