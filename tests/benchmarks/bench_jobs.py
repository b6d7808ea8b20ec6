"""The overhead of jobs: the operators' seconds compared with the provider's on the same no-op job, their API calls, and
many jobs at once, with and without start-up times.

Both operators run in this process, in turn, against this benchmark's own local SageMaker, and poll equally often.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import psutil

from rows import Row, end, parser, row
from tests.include.local_sagemaker import job_requests
from tests.include.local_sagemaker.local_server import REGION, LocalSageMaker

KEYS = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
ROUNDS = 15
MOST_OVERHEAD = 1.1
MOST_CALLS_PER_MINUTE = 2.0
JOBS = 200
START_UP = 30.0  # seconds
MOST_BUSY = 0.2  # of a core, while jobs are only starting up


def seconds_beside_the_providers() -> float:
    """Our seconds for a no-op job, divided by the provider's: the ratio of medians."""
    # imported here: Airflow reads its environment when it is imported
    from airflow.providers.amazon.aws.operators.sagemaker import SageMakerProcessingOperator

    from sagemaker_jobs.processing import ProcessingJobOperator
    from sagemaker_jobs.waiting import SHORT_WAIT_STEP

    request = job_requests.processing("", ["true"])
    del request["ProcessingJobName"]

    def ours() -> None:
        run = SimpleNamespace(dag_id="bench", run_id=uuid.uuid4().hex, task_id="job", map_index=-1, max_tries=0)
        run.xcom_push = lambda key, value: None
        context: Any = {"ti": run}
        ProcessingJobOperator(task_id="job", request=lambda context: request, retries=0).execute(context)

    def providers() -> None:
        config = {**request, "ProcessingJobName": f"job-{uuid.uuid4().hex}"}
        operator = SageMakerProcessingOperator(
            task_id="job", config=config, wait_for_completion=True, check_interval=SHORT_WAIT_STEP
        )
        operator.execute({})

    took: dict[Any, list[float]] = {ours: [], providers: []}
    for number in range(ROUNDS + 1):
        for each, seconds in took.items():
            began = time.perf_counter()
            each()
            if number:  # the first round is a warm-up
                seconds.append(time.perf_counter() - began)
    return statistics.median(took[ours]) / statistics.median(took[providers])


def many_jobs(start_up: float) -> tuple[float, float]:
    """Seconds from the first request to the last end of the given number of no-op jobs, eight at a time; and the share
    of a core that the server used while they all started up."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("--start-up", f"processing={start_up:g}") if start_up else ()
        server = LocalSageMaker(Path(folder) / "state", options)
        server.start()
        sagemaker: Any = boto3.client("sagemaker", region_name=REGION, endpoint_url=server.url, **KEYS)
        try:
            began = time.time()
            for number in range(JOBS):
                sagemaker.create_processing_job(**job_requests.processing(f"many-{number}", ["true"]))
            busy = share_of_a_processor(server, began + start_up - time.time()) if start_up else 0.0
            ended = [
                job_requests.finished_processing(sagemaker, f"many-{number}", 300)["ProcessingEndTime"].timestamp()
                for number in range(JOBS)
            ]
        finally:
            server.stop()
    return max(ended) - began, busy


def share_of_a_processor(server: LocalSageMaker, seconds: float) -> float:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(max(seconds, 1.0))
    return (sum(process.cpu_times()[:2]) - before) / max(seconds, 1.0)


def many_jobs_rows() -> list[Row]:
    at_once, _ = many_jobs(0)
    slow, busy = many_jobs(START_UP)
    most = START_UP + 1.5 * at_once
    name = f"{JOBS} no-op jobs with {START_UP:g} s of start-up each, seconds"
    return [
        row(f"{JOBS} no-op jobs, 8 at a time, seconds", f"{at_once:.1f}"),
        row(name, f"{slow:.1f}", f"<= {most:.1f} (start-up + 1.5 x without)", slow <= most),
        row("a processor's share while they all start up", f"{busy:.2f}", f"<= {MOST_BUSY}", busy <= MOST_BUSY),
    ]


def calls_per_minute(minutes: float, waiting: int) -> float:
    """Describe calls for a job of the given minutes, when the given number of jobs are awaited together."""
    from sagemaker_jobs.waiting import JOB_WAIT, SHORT_WAIT_STEP, first_look, poll_interval

    calls = 2 + JOB_WAIT / SHORT_WAIT_STEP
    now = JOB_WAIT + first_look(waiting)
    while now < minutes * 60:
        calls += 1
        now += poll_interval(now, waiting)
    return (calls + 2) / minutes


def main(argv: list[str] | None = None) -> int:
    arguments = parser(__doc__).parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        server = LocalSageMaker(Path(folder) / "state")
        os.environ |= {**server.environment, "AIRFLOW_CONN_AWS_DEFAULT": "aws://", "AIRFLOW_HOME": folder}
        os.environ |= {"AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR", "AWS_CONFIG_FILE": os.devnull}
        stdout = os.dup(1)
        os.dup2(2, 1)  # operators log to standard output, which is reserved for the rows
        server.start()
        try:
            ratio = seconds_beside_the_providers()
        finally:
            server.stop()
            os.dup2(stdout, 1)
    hour, crowd = calls_per_minute(60, 1), calls_per_minute(30, 500)
    name, bound = "no-op job, seconds beside the provider's operator", f"<= {MOST_OVERHEAD}"
    rows = [row(name, f"{ratio:.2f} times", bound, ratio <= MOST_OVERHEAD)]
    for what, calls in (("one job of an hour", hour), ("500 jobs of half an hour", crowd)):
        name, bound = f"Describe calls per job-minute, {what}", f"<= {MOST_CALLS_PER_MINUTE}"
        rows.append(row(name, f"{calls:.2f}", bound, calls <= MOST_CALLS_PER_MINUTE))
    return end([*rows, *many_jobs_rows()], arguments)


if __name__ == "__main__":
    sys.exit(main())
