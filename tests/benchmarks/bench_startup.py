"""The cost of start-up times: a training with jobs that take a minute to start, compared with the jobs' running time;
the same without start-up times, as in ``make run``; and a day, a month and a year scored with and without them. Measure
on an idle machine."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench_run import make
from include.ops.local_stack.settings import BUCKET
from include.platform.run_folders import Run
from job_times import seconds_of_jobs
from rows import Row, end, parser, row
from scored_days import measure
from tests.include.local_sagemaker.local_server import free_port

ROOT = Path(__file__).resolve().parents[2]
START_UP = 60  # seconds; two to four minutes are usual on AWS
JOBS = 3  # of a training


def training() -> list[Row]:
    """A training from trigger to registration on a separate stack, and a second one as ``make run`` starts it."""
    with tempfile.TemporaryDirectory() as home:
        port = free_port()
        variables = {
            "LAPTOP_HOME": home,
            "AIRFLOW_PORT": str(free_port()),
            "SAGEMAKER_PORT": str(port),
        }
        try:
            make(ROOT, "run", variables | {"START_UP": f"processing={START_UP},training={START_UP}"})
            summary = json.loads((Path(home) / "run-summary.json").read_text(encoding="utf-8"))
            folder = Run(BUCKET, summary["dag_id"], summary["run_id"]).folder
            own = seconds_of_jobs(f"http://127.0.0.1:{port}", folder)
            make(ROOT, "down", variables)
            again = make(ROOT, "run", variables | {"FORCE": "1"})  # nothing has changed
        finally:
            make(ROOT, "down", variables)
    bound = JOBS * START_UP + 1.5 * sum(own) + 20
    total = summary["total_seconds"]
    return [
        row("jobs of a training", str(len(own)), f"{JOBS}", len(own) == JOBS),
        row(
            f"training with {START_UP} s of start-up for each job, seconds (jobs' own {sum(own):.0f} s)",
            f"{total:.0f}",
            f"<= {bound:.0f} ({JOBS} start-ups + 1.5 x jobs + 20 s)",
            total <= bound,
        ),
        row("make run after set-up, generated data, seconds", f"{again:.0f}", "<= 60", again <= 60),
    ]


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__)
    options.add_argument("--days", type=int, default=363, help="days of the year that are scored")
    arguments = options.parse_args(argv)
    return end(training() + measure(arguments.days, Console(stderr=True)), arguments)


if __name__ == "__main__":
    sys.exit(main())
