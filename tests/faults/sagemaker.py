"""The local SageMaker alone, without Airflow: killed under load, restarted with endpoints, filled with objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
from botocore.exceptions import BotoCoreError, ClientError

from tests.faults.rows import Row
from tests.include.local_sagemaker.crashes import LARGEST_MEMORY, Crashes, fill_memory, restart_endpoints

KILLS, RESTARTS, GIBIBYTES = 200, 100, 5
Say = Callable[[str], None]


def crashes(folder: Path, say: Say) -> Row:
    """A kill -9 at any time loses no answered call."""
    row = Row(f"kill -9 of the local SageMaker under load, {KILLS} times", injected=KILLS)
    return _counted(row, lambda: Crashes(folder, seed=15).run(KILLS, say))


def restarts(folder: Path, say: Say) -> Row:
    """Every endpoint comes back after each restart."""
    row = Row(f"restarts with four endpoints, {RESTARTS} times", injected=RESTARTS)
    return _counted(row, lambda: restart_endpoints(folder, RESTARTS, say=say))


def memory(folder: Path, say: Say) -> Row:
    """The server's memory does not grow with what it stores."""
    row = Row(f"memory with {GIBIBYTES} GiB of objects", injected=1)

    def fill() -> None:
        most = fill_memory(folder, GIBIBYTES, lambda pid: psutil.Process(pid).memory_info().rss)
        row.notes.append(f"{most / 2**20:.0f} MiB at most")
        assert most < LARGEST_MEMORY, row.notes[-1]

    return _counted(row, fill)


def _counted(row: Row, work: Callable[[], None]) -> Row:
    try:
        work()
    except (AssertionError, RuntimeError, ClientError, BotoCoreError) as error:
        row.failures.append(f"{type(error).__name__}: {error}")
    else:
        row.completed = row.injected
    return row
