"""Training data larger than a machine: ``cut_data``, ``prepare_shards`` on two instances and ``merge_shards`` over the
simulated fleet, compared with ``prepare_data`` over the hundred published machines.

    python tests/benchmarks/bench_large_training.py [--json] [--machines 1000] [--folder DIR]

10,000 machines are 87.6 million rows of telemetry, 7 GB of CSV and about as much again of chunks, shards and splits:
``--folder`` says where to put them. The programs run one after the other, each in its own process; seconds are CPU
time, which does not depend on the machine's load, and memory is a process's peak. Needs the repository on PYTHONPATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import polars as pl

from include.models.config import load_model
from include.models.predictive_maintenance.simulate import simulate
from rows import Row, end, parser, row

ROOT = Path(__file__).resolve().parents[2]
MODEL = "predictive_maintenance"
PUBLISHED = 100  # machines
INSTANCES = 2
MOST_GIB, MOST_A_MACHINE = 4.0, 1.3
OUTPUTS = ("validated", "features", "raw-report", "features-report", "preparation")


class Took(NamedTuple):
    """CPU seconds and peak memory of a program."""

    seconds: float
    gib: float


def write_fleet(machines: int, folder: Path) -> None:
    """The raw tables of the given number of machines, written one published fleet at a time."""
    folder.mkdir(parents=True)
    for first in range(0, machines, PUBLISHED):
        tables = simulate(7 + first // PUBLISHED, min(PUBLISHED, machines - first), 365)
        for name, table in tables.items():
            with (folder / load_model(MODEL).data.tables[name].file).open("ab") as file:
                table.with_columns(pl.col("machineID") + first).write_csv(
                    file, include_header=first == 0, datetime_format="%Y-%m-%d %H:%M:%S", float_precision=9
                )


def run(program: str, **folders: Path) -> Took:
    """Run a job's program, as SageMaker does on an instance."""
    flags = [part for name, folder in folders.items() for part in (f"--{name.replace('_', '-')}", str(folder))]
    process = subprocess.Popen(
        [sys.executable, "-m", f"include.jobs.{program}", "--model", MODEL, *flags],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=sys.stderr,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{program} ended with exit code {process.returncode}")
    took = Took(used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20)
    print(f"{program}: {took.seconds:.1f} s of the processor, {took.gib:.2f} GiB", file=sys.stderr, flush=True)
    return took


def outputs(folder: Path) -> dict[str, Path]:
    return {name.replace("-", "_"): folder / name for name in OUTPUTS}


def in_shards(raw: Path, work: Path) -> list[tuple[str, Took]]:
    """The cost of each program, in running order; whatever the next does not read is deleted."""
    took = [("cut_data", run("cut_data", raw=raw, chunks=work / "chunks"))]
    files = sorted((work / "chunks").iterdir())
    for instance in range(INSTANCES):
        mine = work / f"instance-{instance}"
        mine.mkdir()
        for file in files[instance::INSTANCES]:
            shutil.move(file, mine / file.name)
        took.append(("prepare_shards", run("prepare_shards", chunks=mine, shards=work / "shards")))
        shutil.rmtree(mine)
    return [*took, ("merge_shards", run("merge_shards", shards=work / "shards", **outputs(work)))]


def measure(machines: int, folder: Path) -> list[Row]:
    write_fleet(PUBLISHED, folder / "published" / "raw")
    one = run("prepare_data", raw=folder / "published" / "raw", **outputs(folder / "published"))
    write_fleet(machines, folder / "large" / "raw")
    took = in_shards(folder / "large" / "raw", folder / "large")
    ratio = sum(each.seconds for _, each in took) / machines / (one.seconds / PUBLISHED)
    largest = max(each.gib for _, each in took)
    of_each = ", ".join(f"{name} {each.seconds:.0f} s {each.gib:.2f} GiB" for name, each in took)
    name = f"{machines:,} machines, {machines * 8760:,} rows of telemetry"
    return [
        row(
            f"{name}: largest memory of an instance",
            f"{largest:.2f} GiB ({of_each})",
            f"<= {MOST_GIB:g}",
            largest <= MOST_GIB,
        ),
        row(
            f"{name}: processor seconds a machine beside those of {PUBLISHED}",
            f"{ratio:.2f} times {one.seconds / PUBLISHED:.3f} s",
            f"<= {MOST_A_MACHINE}",
            ratio <= MOST_A_MACHINE,
        ),
    ]


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__)
    options.add_argument("--machines", type=int, default=1000)
    options.add_argument("--folder", type=Path, help="where there is room; else the system's own for temporary files")
    arguments = options.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        return end(measure(arguments.machines, Path(folder)), arguments)


if __name__ == "__main__":
    sys.exit(main())
