"""Runs all tests: each group with pytest in the environment it belongs to, fast groups first.

    make test                all of it
    make test ONLY=dags      one group

Ends with one line that adds the groups up; the exit status is non-zero if any group failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Group:
    name: str
    environment: str
    paths: tuple[str, ...]
    marker: str = "not slow"


GROUPS = (
    Group(
        "dags",
        "airflow",
        (
            "tests/dags",
            "tests/plugins",
            "tests/include/pipelines",
            "tests/include/laptop",
            "tests/include/mwaa",
            "tests/compose",
            "tests/include/test_*.py",
        ),
    ),
    Group("models", "jobs", ("tests/include/models", "tests/include/jobs")),
    Group("sagemaker", "airflow", ("tests/include/local_sagemaker",)),
    Group("sdk", "jobs", ("tests/include/local_sagemaker_sdk",)),
    Group("models-slow", "jobs", ("tests/include/models", "tests/include/jobs"), "slow"),
    Group("sagemaker-slow", "airflow", ("tests/include/local_sagemaker", "tests/plugins"), "slow"),
    Group("e2e", "airflow", ("tests/e2e",), ""),
)

PYTHONPATHS = {
    "airflow": [str(ROOT), str(ROOT / "plugins")],
    "jobs": [str(ROOT / "include")],
    "dev": [str(ROOT)],
}
NO_TESTS_COLLECTED = 5


def run(group: Group) -> Counter[str]:
    """Run one group with its progress on the screen; how many passed, failed and were skipped."""
    paths = [str(path) for pattern in group.paths for path in sorted(ROOT.glob(pattern))]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [str(ROOT / ".venv" / group.environment / "bin" / "python"), "-m", "pytest", *paths]
        command += ["-m", group.marker, f"--junit-xml={report}", "--durations=5", "-rs"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PYTHONPATHS[group.environment])}
        status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
        counts = _counts(report)
    if status not in (0, NO_TESTS_COLLECTED) and not counts["failed"]:
        counts["failed"] = 1  # pytest itself failed, in collection or by a signal
    return counts


def _counts(report: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    if report.exists():
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):  # noqa: S314 - pytest wrote it just now
            number = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
            counts["failed"] += number["failures"] + number["errors"]
            counts["skipped"] += number["skipped"]
            counts["passed"] += number["tests"] - number["failures"] - number["errors"] - number["skipped"]
    return counts


def main(only: list[str]) -> int:
    if unknown := set(only) - {group.name for group in GROUPS}:
        print(f"no such group: {', '.join(sorted(unknown))}. Groups: {', '.join(group.name for group in GROUPS)}")
        return 2
    total: Counter[str] = Counter()
    lines = []
    for group in GROUPS:
        if only and group.name not in only:
            continue
        print(f"\n=== {group.name} ({group.environment} environment) ===", flush=True)
        began = time.monotonic()
        counts = run(group)
        total += counts
        lines.append(
            f"{group.name:16}{counts['passed']:6} passed {counts['failed']:4} failed {counts['skipped']:4} skipped"
            f" {time.monotonic() - began:7.0f} s"
        )
    print("\n" + "\n".join(lines))
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped", flush=True)
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
