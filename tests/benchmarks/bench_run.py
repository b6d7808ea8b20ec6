"""From a clone to a registered model, timed whole: ``make run`` in a fresh clone, then again after ``make down``, and
once more with jobs that take a minute to start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3

from include.ops.local_stack.settings import BUCKET
from include.platform.storage import Run
from rows import end, parser, row
from tests.include.local_sagemaker.local_server import free_port

ROOT = Path(__file__).resolve().parents[2]
START_UP = 60  # seconds; two to four minutes are usual on AWS
JOB_LISTS = (
    ("list_processing_jobs", "ProcessingJobSummaries", "describe_processing_job", "ProcessingJobName", "Processing"),
    ("list_training_jobs", "TrainingJobSummaries", "describe_training_job", "TrainingJobName", "Training"),
)


def make(clone: Path, target: str, variables: dict[str, str]) -> float:
    """Seconds that a target took."""
    began = time.monotonic()
    subprocess.run(["make", target], cwd=clone, env={**os.environ, **variables}, stdout=sys.stderr, check=True)
    return time.monotonic() - began


def summary_of(clone: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((clone / ".local" / "run-summary.json").read_text(encoding="utf-8"))
    return found


def jobs_own_seconds(url: str, run_folder: str) -> float:
    """The sum of the run's jobs' seconds, from start to end as SageMaker describes them."""
    sagemaker: Any = boto3.client(
        "sagemaker", endpoint_url=url, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
    )
    total = 0.0
    for list_jobs, summaries, describe, name, kind in JOB_LISTS:
        for summary in getattr(sagemaker, list_jobs)(MaxResults=100)[summaries]:
            job = getattr(sagemaker, describe)(**{name: summary[name]})
            if run_folder in json.dumps(job, default=str):
                total += (job[f"{kind}EndTime"] - job[f"{kind}StartTime"]).total_seconds()
    return total


def main(argv: list[str] | None = None) -> int:
    arguments = parser(__doc__).parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        port = str(free_port())
        variables = {"AIRFLOW_PORT": str(free_port()), "SAGEMAKER_PORT": port, "LAPTOP_HOME": str(clone / ".local")}
        try:
            first = make(clone, "run", variables)
            make(clone, "down", variables)
            again = make(clone, "run", variables)
            summary = summary_of(clone)
            run_folder = Run(BUCKET, summary["dag_id"], summary["run_id"]).folder
            own = jobs_own_seconds(f"http://127.0.0.1:{port}", run_folder)
            make(clone, "down", variables)
            make(clone, "run", {**variables, "START_UP": f"processing={START_UP},training={START_UP}"})
            slow = summary_of(clone)["total_seconds"]
        finally:
            make(clone, "down", variables)
    tasks = sum(step["state"] == "success" for step in summary["steps"])
    bound = 1.5 * own + 3 * tasks
    total = summary["total_seconds"]
    rows = [
        row("clone to first summary, seconds", f"{first:.0f}", "<= 360", first <= 360),
        row("make run after set-up, seconds", f"{again:.0f}", "<= 180", again <= 180),
        row(
            f"trigger to registered, seconds ({tasks} tasks, jobs' own {own:.0f} s)",
            f"{total:.0f}",
            f"<= {bound:.0f} (1.5 x jobs + 3 s per task)",
            total <= bound,
        ),
        row(f"trigger to registered with {START_UP} s of start-up for each job, seconds", f"{slow:.0f}"),
    ]
    return end(rows, arguments)


if __name__ == "__main__":
    sys.exit(main())
