"""``make faults``: strikes a whole stack with every fault, prints a row for each and writes ``.local/faults.json``.

    python -m tests.faults              all of it, about an hour and three quarters on two quiet cores
    python -m tests.faults worker aws   some groups only

Exit status: non-zero if a promise was broken.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from include.ops.local_stack.settings import ROOT
from tests.faults import crowd, matrix, reading, sagemaker, tracking
from tests.faults.lab import Lab
from tests.faults.rows import Fault, Row, measure, measure_together


def _one_by_one(lab: Lab, faults: list[Fault]) -> list[Row]:
    return [measure(lab, fault) for fault in faults]


Groups = dict[str, Callable[[Lab], list[Row]]]
STRUCK: Groups = {
    "worker": lambda lab: measure_together(lab, matrix.WORKER),
    "triggerer": lambda lab: measure_together(lab, matrix.TRIGGERER),
    "scheduler": lambda lab: measure_together(lab, matrix.SCHEDULER),
    "dag-processor": lambda lab: measure_together(lab, matrix.DAG_PROCESSOR),
    "people": lambda lab: measure_together(lab, matrix.PEOPLE + matrix.TIMEOUTS),
    "aws": lambda lab: measure_together(lab, matrix.AWS),
    "alone": lambda lab: _one_by_one(lab, matrix.ALONE),
    "throttling": lambda lab: [matrix.throttled(lab), matrix.broken(lab)],
    "training": lambda lab: [crowd.training(lab)],
}
CROWDS: Groups = {  # on a stack with a laptop's timeouts, as hundreds of tasks delay it
    "waiting": lambda lab: [crowd.waiting(lab)],
    "crowd": lambda lab: [crowd.many_short_jobs(lab)],
}
ALONE: dict[str, Callable[[Path, Callable[[str], None]], Row]] = {  # without Airflow
    "fuzz": reading.fuzz,
    "mlflow": tracking.tracked,
    "sagemaker-crashes": sagemaker.crashes,
    "sagemaker-restarts": sagemaker.restarts,
    "sagemaker-memory": sagemaker.memory,
}
NAMES = [*STRUCK, *CROWDS, *ALONE]


def strike(groups: Groups, home: Path, console: Console, *, impatient: bool) -> list[Row]:
    """The rows of some groups, from a separate stack."""
    rows: list[Row] = []
    if not groups:
        return rows
    with Lab(home, console.print, impatient) as lab:
        for name, group in groups.items():
            console.print(f"{datetime.now(UTC):%H:%M:%S} UTC  {name} …")
            for row in group(lab):
                rows.append(row)
                show(row, console)
    return rows


def show(row: Row, console: Console) -> None:
    for note in row.notes:
        console.print(f"        {row.fault}: {note}", markup=False)
    for failure in row.failures:
        console.print(f"        {row.fault}: {failure}", style="red", markup=False)


def main(only: list[str]) -> int:
    console = Console()
    if unknown := set(only) - set(NAMES):
        console.print(f"no such group: {', '.join(sorted(unknown))}. Groups: {', '.join(NAMES)}")
        return 2
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the stack is stopped in this case too
    home = Path(tempfile.mkdtemp(prefix="faults-"))
    struck, crowds = (
        {name: group for name, group in groups.items() if name in (only or NAMES)} for groups in (STRUCK, CROWDS)
    )
    rows = strike(struck, home / "struck", console, impatient=True)
    rows += strike(crowds, home / "crowds", console, impatient=False)
    for name, measured in ALONE.items():
        if name in (only or NAMES):
            console.print(f"{datetime.now(UTC):%H:%M:%S} UTC  {name} …")
            (home / name).mkdir()
            rows.append(measured(home / name, console.print))
            show(rows[-1], console)
            if rows[-1].kept:
                shutil.rmtree(home / name)
    table = Table("fault", "injected", "completed", "duplicates", "orphans", "")
    for row in rows:
        counts = (str(number) for number in (row.injected, row.completed, row.duplicates, row.orphans))
        table.add_row(row.fault, *counts, "[green]kept[/]" if row.kept else "[red]BROKEN[/]")
    console.print(table)
    result = ROOT / ".local" / "faults.json"
    result.parent.mkdir(exist_ok=True)
    result.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")
    broken = [row.fault for row in rows if not row.kept]
    console.print(
        f"{len(rows)} faults, {sum(row.injected for row in rows)} injections, {len(broken)} promises broken, "
        f"{time.monotonic() - began:.0f} s; details in {result}"
    )
    if broken:
        console.print(f"the stack's logs are in {home}")
        return 1
    shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
