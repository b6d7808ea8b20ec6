"""The promises after a fault, and the count of the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx
from botocore.exceptions import ClientError

from tests.faults.lab import ACTIVE, FaultsError, Lab, Run

AT_A_TIME = 6  # starting a task takes seconds of CPU time


@dataclass(frozen=True)
class Struck:
    """A run hit by a fault, and the promises about it."""

    run: Run
    state: str = "success"
    jobs: int = 1  # the number of jobs that its task may have started, over all generations


@dataclass
class Row:
    """One line of the table: sums over all injections of a fault."""

    fault: str
    injected: int = 0
    completed: int = 0
    duplicates: int = 0
    orphans: int = 0
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was measured

    @property
    def kept(self) -> bool:
        return self.injected == self.completed > 0 and not (self.duplicates or self.orphans or self.failures)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Fault:
    """A name, and a function that injects the fault and returns the runs that it hit."""

    name: str
    strike: Callable[[Lab], Iterable[Struck]]


def measure(lab: Lab, fault: Fault) -> Row:
    """Inject the fault once, wait for the runs to end, and count."""
    row = Row(fault.name)
    try:
        struck = list(fault.strike(lab))
        row.injected = len(struck)
        for each in struck:
            state = lab.wait_run(each.run, seconds=300)
            if state == each.state:
                row.completed += 1
            else:
                row.failures.append(f"{each.run.dag_id} {each.run.run_id} ended as {state}{_why(lab, each.run)}")
            _count_jobs(lab, each, row)
    except (FaultsError, httpx.HTTPError, ClientError) as error:
        row.injected = max(row.injected, 1)
        row.failures.append(f"{type(error).__name__}: {error}")
    return row


def measure_together(lab: Lab, faults: list[Fault]) -> list[Row]:
    """Several faults at the same time; the rows are in the given order."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        try:
            return list(pool.map(lambda fault: measure(lab, fault), faults))
        except BaseException:
            lab.abandoned.set()  # the pool waits for its threads
            raise


def _count_jobs(lab: Lab, struck: Struck, row: Row) -> None:
    jobs = lab.jobs(struck.run)
    extra = len(jobs) - struck.jobs
    row.duplicates += max(0, extra)
    if extra:
        found = {name: struck.run.kind.status(description) for name, description in jobs.items()}
        row.failures.append(f"{struck.run.run_id}: {struck.jobs} jobs were to be started, not {found}")
    # Airflow gives a trigger half a minute to stop its job; it stops some seconds later
    deadline = time.monotonic() + 45
    left = _active(lab, struck.run)
    while left and time.monotonic() < deadline:
        time.sleep(0.5)
        left = _active(lab, struck.run)
    row.orphans += len(left)
    row.failures += [f"{struck.run.run_id} left {name} running" for name in left]


def _active(lab: Lab, run: Run) -> list[str]:
    return [name for name, description in lab.jobs(run).items() if run.kind.status(description) in ACTIVE]


def _why(lab: Lab, run: Run) -> str:
    task = lab.task(run)
    if task["state"] == "success":
        return ""
    reason = lab.airflow.failure_reason(run.dag_id, run.run_id, run.task_id, task["try_number"])
    return f": {task['state']}, {reason.splitlines()[0][:300]}"
