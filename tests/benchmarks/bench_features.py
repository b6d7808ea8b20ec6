"""CSV to labelled feature table: against the notebook's recipe in pandas, and from 100 machines to 1,000.

    python tests/benchmarks/bench_features.py [--json] [--machines 100] [--fleet 1000]

Each measurement is a fresh process; seconds are without imports, peaks are of the whole process. Needs
``include`` on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import polars as pl

from rows import Row, end, parser, row

SIMULATE = "include.models.predictive_maintenance.simulate"
REPEATS = 5  # the fastest one counts


def ours(folder: Path) -> pl.DataFrame:
    from include.models.config import load_model
    from include.models.predictive_maintenance.features import build_features
    from include.models.raw.kinds import reading_of

    tables = {}
    for name, table in load_model("predictive_maintenance").data.tables.items():
        schema = {column: reading_of(kind).dtype for column, kind in table.kinds.items()}
        tables[name] = pl.read_csv(folder / table.file, schema=schema)
    return build_features(tables)


def reference(folder: Path, *, typed_dates: bool = False) -> pl.DataFrame:
    import pandas as pd

    import reference_features

    warnings.simplefilter("ignore", pd.errors.PerformanceWarning)  # its slowness is what we measure
    tables = reference_features.read(folder)
    return pl.from_pandas(reference_features.build_features(tables, typed_dates=typed_dates))


def measure_one(kind: str, folder: Path, out: Path) -> None:
    """In a separate process: build the table, report time and memory, and keep the table."""
    import reference_features  # noqa: F401 - imported before the clock starts

    build = {"ours": ours, "recipe": reference, "typed recipe": partial(reference, typed_dates=True)}[kind]
    began = time.perf_counter()
    table = build(folder)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux: KiB
    table.write_parquet(out)
    print(json.dumps({"seconds": seconds, "peak": peak}))


def measured(kind: str, folder: Path, out: Path, repeats: int) -> dict[str, float]:
    found = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--measure", kind, str(folder), str(out)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ)
        found.append(json.loads(done.stdout))
    return min(found, key=lambda one: float(one["seconds"]))


def simulated(folder: Path, machines: int) -> Path:
    command = [sys.executable, "-m", SIMULATE, "--out", str(folder), "--machines", str(machines)]
    subprocess.run(command, check=True, env=os.environ)
    return folder


def largest_difference(one: Path, other: Path) -> float:
    """Over all features and rows; infinite if labels, rows or missing values differ."""
    left, right = pl.read_parquet(one), pl.read_parquet(other)
    right = right.select(left.columns).with_columns(pl.col("datetime").cast(pl.Datetime("us")))
    right = right.with_columns(pl.col(pl.Float64).fill_nan(None))
    exact = ["machineID", "datetime", "failure"]
    if left.height != right.height or not left.select(exact).equals(
        right.select(exact).cast(dict(left.select(exact).schema))
    ):
        return float("inf")
    worst = 0.0
    for name in set(left.columns) - set(exact):
        if left[name].null_count() != right[name].null_count() or (left[name].is_null() != right[name].is_null()).any():
            return float("inf")
        worst = max(worst, float((left[name] - right[name]).abs().max() or 0.0))
    return worst


def rows_of(machines: int, fleet: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        began = time.perf_counter()
        small = simulated(base / "small", machines)
        simulating = time.perf_counter() - began
        slow = measured("recipe", small, base / "reference.parquet", 1)
        typed = measured("typed recipe", small, base / "typed.parquet", 1)
        fast = measured("ours", small, base / "ours.parquet", REPEATS)
        difference = largest_difference(base / "ours.parquet", base / "reference.parquet")
        large = measured("ours", simulated(base / "large", fleet), base / "large.parquet", 1)
    ratio, growth = slow["seconds"] / fast["seconds"], large["seconds"] / fast["seconds"] / (fleet / machines)
    rows = machines * 8761
    return [
        row(f"features of {rows:,} telemetry rows, seconds", f"{fast['seconds']:.2f}"),
        row("the notebook's recipe in pandas, seconds", f"{slow['seconds']:.1f}"),
        row("times faster than the recipe", f"{ratio:.0f}", ">= 20", ok=ratio >= 20),
        row("times faster than the recipe with typed dates", f"{typed['seconds'] / fast['seconds']:.1f}"),
        row("largest difference from the recipe", f"{difference:.1e}", "<= 1e-9", ok=difference <= 1e-9),
        row("peak memory, GiB", f"{fast['peak'] / 2**30:.2f}", "<= 2", ok=fast["peak"] <= 2 * 2**30),
        row(f"{fleet:,} machines: time per machine, relative", f"{growth:.2f}", "<= 1.3", ok=growth <= 1.3),
        row(
            f"{fleet:,} machines: peak memory, GiB",
            f"{large['peak'] / 2**30:.2f}",
            "<= 8",
            ok=large["peak"] <= 8 * 2**30,
        ),
        row("generating a year of 100 machines, seconds", f"{simulating:.1f}", "<= 15", ok=simulating <= 15),
    ]


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__)
    options.add_argument("--machines", type=int, default=100)
    options.add_argument("--fleet", type=int, default=1000)
    options.add_argument("--measure", nargs=3, metavar=("WHAT", "DATA", "OUT"), help=argparse.SUPPRESS)
    arguments = options.parse_args(argv)
    if arguments.measure:
        kind, folder, out = arguments.measure
        measure_one(kind, Path(folder), Path(out))
        return 0
    return end(rows_of(arguments.machines, arguments.fleet), arguments)


if __name__ == "__main__":
    sys.exit(main())
