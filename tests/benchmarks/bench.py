"""``make bench``: runs every benchmark in its environment and prints one table; non-zero if a bound is broken.

A benchmark is a program that, with ``--json``, prints a list of rows (``rows.py``); both sides of a ratio are measured
in the same run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rows import MARKS, Row, not_broken, row

ROOT = Path(__file__).resolve().parents[2]
PATHS = {"jobs": [ROOT], "airflow": [ROOT, ROOT / "plugins"]}
BENCHMARKS = {
    "bench_quality.py": "jobs",
    "bench_watch.py": "jobs",
    "bench_rankings.py": "jobs",
    "bench_large_training.py": "jobs",
    "bench_kafka.py": "jobs",
    "bench_features.py": "jobs",
    "bench_online.py": "jobs",
    "bench_skew.py": "jobs",
    "bench_serving.py": "airflow",
    "bench_scoring.py": "airflow",
    "bench_large_day.py": "airflow",
    "bench_jobs.py": "airflow",
    "bench_parsing.py": "airflow",
    "bench_run.py": "airflow",
    "bench_startup.py": "airflow",
    "bench_replay.py": "airflow",
}
COLOURS = {True: "green", False: "red", None: "yellow"}


def rows_of(program: str) -> list[Row]:
    environment = BENCHMARKS[program]
    command = [
        str(ROOT / ".venv" / environment / "bin" / "python"),
        str(ROOT / "tests" / "benchmarks" / program),
        "--json",
    ]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PATHS[environment]))}
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode and not done.stdout.strip():
        return [row(program, f"failed with exit code {done.returncode}", ok=False)]
    rows: list[Row] = json.loads(done.stdout)
    return rows


def main() -> int:
    console = Console()
    table = Table("measure", "value", "bound", "")
    found: list[Row] = []
    for program in BENCHMARKS:
        console.print(f"running {program} …")
        found += rows_of(program)
    for each in found:
        mark = f"[{COLOURS[each['ok']]}]{MARKS[each['ok']]}[/]"
        table.add_row(each["name"], each["value"], each["bound"], mark)
    console.print(table)
    return 0 if not_broken(found) else 1


if __name__ == "__main__":
    sys.exit(main())
