"""Runs all tests: each group with pytest in the environment it belongs to, the two fast groups first and side by side,
then the end-to-end tests beside the other slow ones, as they mostly wait for Airflow.

    make test                all of it
    make test ONLY=dags      one group

Ends with what failed and why, a line for each group and a total; the exit status is non-zero if any group failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Group:
    name: str
    environment: str
    paths: tuple[str, ...]
    marker: str = "not slow"


FAST = (
    Group(
        "dags",
        "airflow",
        (
            "tests/dags",
            "tests/plugins",
            "tests/include/platform",
            "tests/include/registry",
            "tests/include/train",
            "tests/include/score",
            "tests/include/deploy",
            "tests/include/monitor",
            "tests/include/ops",
            "tests/compose",
            "tests/fuzz/airflow",
            "tests/test_*.py",
        ),
    ),
    Group(
        "models",
        "jobs",
        (
            "tests/include/models",
            "tests/include/jobs",
            "tests/include/online",
            "tests/include/client",
            "tests/fuzz/jobs",
        ),
    ),
)
SLOW = (
    Group("sagemaker", "airflow", ("tests/include/local_sagemaker",)),
    Group("sdk", "jobs", ("tests/include/local_sagemaker_sdk",)),
    Group("models-slow", "jobs", ("tests/include/models", "tests/include/jobs"), "slow"),
    Group("sagemaker-slow", "airflow", ("tests/include/local_sagemaker", "tests/plugins"), "slow"),
    Group("template", "airflow", ("tests/test_template.py",), "slow"),
    Group("faults", "airflow", ("tests/faults",), ""),
    Group("e2e-slow", "airflow", ("tests/e2e",), "slow"),  # on a stack of its own
)
END_TO_END = (Group("e2e", "airflow", ("tests/e2e",)),)
# stages run one after the other; the lanes of a stage run side by side
STAGES = (tuple((group,) for group in FAST), (SLOW, END_TO_END))
NAMES = [group.name for stage in STAGES for lane in stage for group in lane]

PYTHONPATHS = {
    "airflow": [str(ROOT), str(ROOT / "plugins")],
    "jobs": [str(ROOT)],
    "dev": [str(ROOT)],
}
NO_TESTS_COLLECTED = 5


@dataclass(frozen=True)
class Outcome:
    """How many tests of a group passed, failed and were skipped, how many seconds it took, and what failed."""

    group: Group
    counts: Counter[str]
    seconds: float
    failures: list[str]

    def __str__(self) -> str:
        numbers = " ".join(f"{self.counts[word]:5} {word}" for word in ("passed", "failed", "skipped"))
        return f"{self.group.name:16}{numbers} {self.seconds:7.0f} s"


def run(group: Group) -> Outcome:
    """Run one group, showing its progress line by line, each with the group's name."""
    paths = [str(path) for pattern in group.paths for path in sorted(ROOT.glob(pattern))]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [str(ROOT / ".venv" / group.environment / "bin" / "python"), "-m", "pytest", *paths]
        # -v: a line for each test, as two groups share the screen
        command += ["-v", "-m", group.marker, f"--junit-xml={report}", "--durations=5", "-rs"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PYTHONPATHS[group.environment])}
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as pytest:
            assert pytest.stdout
            for line in pytest.stdout:
                print(f"[{group.name}] {line}", end="", flush=True)
        counts, failures = _read(report)
    if pytest.returncode not in (0, NO_TESTS_COLLECTED) and not counts["failed"]:
        counts["failed"] = 1  # pytest itself failed, in collection or by a signal
    return Outcome(group, counts, time.monotonic() - began, failures)


def run_all(groups: Sequence[Group]) -> list[Outcome]:
    return [run(group) for group in groups]


def _read(report: Path) -> tuple[Counter[str], list[str]]:
    """The counts, and for each failure the test and its message's first line."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    if report.exists():
        found = ElementTree.parse(report).getroot()  # noqa: S314 - pytest wrote it just now
        for suite in found.iter("testsuite"):
            number = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
            counts["failed"] += number["failures"] + number["errors"]
            counts["skipped"] += number["skipped"]
            counts["passed"] += number["tests"] - number["failures"] - number["errors"] - number["skipped"]
        for case in found.iter("testcase"):
            for failure in (*case.findall("failure"), *case.findall("error")):
                why = (failure.get("message") or failure.text or "").strip().partition("\n")[0]
                failures.append(f"{case.get('classname')}::{case.get('name')}: {why[:300]}")
    return counts, failures


def main(only: list[str]) -> int:
    if unknown := set(only) - set(NAMES):
        print(f"no such group: {', '.join(sorted(unknown))}. Groups: {', '.join(NAMES)}")
        return 2
    outcomes: list[Outcome] = []
    for stage in STAGES:
        lanes = [[group for group in lane if not only or group.name in only] for lane in stage]
        with ThreadPoolExecutor(len(lanes)) as side_by_side:
            outcomes += [outcome for lane in side_by_side.map(run_all, lanes) for outcome in lane]
    failures = [f"FAILED [{outcome.group.name}] {failure}" for outcome in outcomes for failure in outcome.failures]
    print("", *failures, *outcomes, sep="\n")
    total = sum((outcome.counts for outcome in outcomes), Counter[str]())
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped", flush=True)
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
