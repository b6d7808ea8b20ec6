"""From a clone to a registered model, timed as a whole: ``make run`` in a fresh clone, then again after ``make
down``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from include.ops.local_stack.settings import BUCKET
from include.platform.run_folders import Run
from job_times import seconds_of_jobs
from rows import end, parser, row
from tests.include.local_sagemaker.local_server import free_port

ROOT = Path(__file__).resolve().parents[2]


def make(clone: Path, target: str, variables: dict[str, str]) -> float:
    """Seconds that a target took."""
    began = time.monotonic()
    subprocess.run(["make", target], cwd=clone, env={**os.environ, **variables}, stdout=sys.stderr, check=True)
    return time.monotonic() - began


def summary_of(clone: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((clone / ".local" / "run-summary.json").read_text(encoding="utf-8"))
    return found


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
            again = make(clone, "run", {**variables, "FORCE": "1"})  # nothing has changed
            summary = summary_of(clone)
            run_folder = Run(BUCKET, summary["dag_id"], summary["run_id"]).folder
            own = sum(seconds_of_jobs(f"http://127.0.0.1:{port}", run_folder))
        finally:
            make(clone, "down", variables)
    tasks = sum(step["state"] == "success" for step in summary["steps"])
    bound = 1.5 * own + 3 * tasks
    total = summary["total_seconds"]
    rows = [
        row("clone to first summary, seconds", f"{first:.0f}", "<= 360", first <= 360),
        row("make run after set-up, seconds", f"{again:.0f}", "<= 60", again <= 60),
        row(
            f"trigger to registered, seconds ({tasks} tasks, jobs' own {own:.0f} s)",
            f"{total:.0f}",
            f"<= {bound:.0f} (1.5 x jobs + 3 s per task)",
            total <= bound,
        ),
    ]
    return end(rows, arguments)


if __name__ == "__main__":
    sys.exit(main())
