"""``make bench``: runs every benchmark in its environment and prints one table; non-zero if a bound is broken.

A benchmark is a program that, with ``--json``, prints a list of rows ``{"name", "value", "bound", "ok"}``; whatever it
measures as a ratio is measured side by side in one run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = {
    "bench_quality.py": ("jobs", [str(ROOT / "include")]),
    "bench_kafka.py": ("jobs", [str(ROOT / "include")]),
    "bench_features.py": ("jobs", [str(ROOT / "include")]),
    "bench_serving.py": ("airflow", [str(ROOT)]),
    "bench_scoring.py": ("airflow", [str(ROOT), str(ROOT / "plugins")]),
    "bench_large_day.py": ("airflow", [str(ROOT), str(ROOT / "plugins")]),
    "bench_jobs.py": ("airflow", [str(ROOT), str(ROOT / "plugins")]),
    "bench_parsing.py": ("airflow", [str(ROOT), str(ROOT / "plugins")]),
    "bench_backfill.py": ("airflow", [str(ROOT), str(ROOT / "plugins")]),
    "bench_run.py": ("airflow", [str(ROOT), str(ROOT / "plugins")]),
}


def rows_of(program: str) -> list[dict[str, object]]:
    environment, path = BENCHMARKS[program]
    command = [
        str(ROOT / ".venv" / environment / "bin" / "python"),
        str(ROOT / "tests" / "benchmarks" / program),
        "--json",
    ]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    done = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode and not done.stdout.strip():
        return [{"name": program, "value": f"failed with exit code {done.returncode}", "bound": "", "ok": False}]
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def main() -> int:
    console = Console()
    table = Table("measure", "value", "bound", "")
    ok = True
    for program in BENCHMARKS:
        console.print(f"running {program} …")
        for row in rows_of(program):
            ok = ok and bool(row["ok"])
            mark = "[green]ok[/]" if row["ok"] else "[red]broken[/]"
            table.add_row(str(row["name"]), str(row["value"]), str(row["bound"]), mark)
    console.print(table)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
