"""A part of the matrix, all at the same time on one stack: a kill of each process, each way a person ends a task, each
kind of error from AWS. ``make faults`` injects the whole matrix."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import matrix
from tests.faults.lab import Lab
from tests.faults.rows import Row, measure_together

pytestmark = pytest.mark.timeout(1200)  # the first test waits for all faults

WORKER = [fault for fault in matrix.WORKER if fault.name.startswith("SIGKILL")]
SERVICES = [
    fault
    for fault in matrix.TRIGGERER + matrix.SCHEDULER + matrix.DAG_PROCESSOR
    if fault.name in ("SIGKILL triggerer while deferred", "SIGKILL dag-processor while deferred")
]
FIRST = WORKER + matrix.PEOPLE
THEN = SERVICES + matrix.AWS


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    home: Path = tmp_path_factory.mktemp("faults")
    with Lab(home, impatient=False) as lab:  # other tests run at the same time
        found = measure_together(lab, FIRST) + measure_together(lab, THEN)
    return {row.fault: row for row in found}


@pytest.mark.parametrize("fault", [fault.name for fault in FIRST + THEN])
def test_promises_are_kept_after(rows: dict[str, Row], fault: str) -> None:
    row = rows[fault]
    assert row.failures == []
    assert row.kept
