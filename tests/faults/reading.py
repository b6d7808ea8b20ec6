"""Readers of external input, fuzzed for minutes: raw files, replay files, payloads, model.yaml, the Dags' forms,
manifests of scores."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from include.ops.local_stack.settings import ROOT
from tests.faults.rows import Row

SECONDS = 600  # for each target; tests/fuzz/examples.py says what the variables mean
AT_ONCE = 2
LAST_LINES = 40
TARGETS = (
    ("jobs", "test_fuzz_files.py::test_raw_files"),
    ("jobs", "test_fuzz_files.py::test_tables_of_raw_files"),
    ("jobs", "test_fuzz_files.py::test_replay_files"),
    ("jobs", "test_fuzz_payloads.py"),
    ("jobs", "test_fuzz_model_yaml.py"),
    ("airflow", "test_fuzz_manifests.py"),
    ("airflow", "test_fuzz_params.py::test_params[score]"),
    ("airflow", "test_fuzz_params.py::test_params[train]"),
    ("airflow", "test_fuzz_params.py::test_params[deploy]"),
)


def fuzz(folder: Path, say: Callable[[str], None]) -> Row:
    """Any input gives either a value or a refusal."""
    seconds = float(os.environ.get("FUZZ_SECONDS", SECONDS))
    row = Row(f"examples for what reads, {seconds:.0f} s for each of {len(TARGETS)} readers", injected=len(TARGETS))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for (_, target), failure in zip(
            TARGETS, pool.map(lambda one: _run(*one, folder, seconds), TARGETS), strict=True
        ):
            say(f"        {target}: {'FAILED' if failure else 'kept'}")
            row.failures += [failure] if failure else []
            row.completed += not failure
    counts = {file.stem: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}
    row.notes += [f"{name}: {count:,} examples" for name, count in counts.items()]
    return row


def _run(environment: str, target: str, folder: Path, seconds: float) -> str | None:
    """The failure, or None."""
    python, longest = ROOT / ".venv" / environment / "bin" / "python", 2 * seconds + 300
    options = ["-q", "-x", "-p", "no:cacheprovider", f"--timeout={longest}"]  # the tests' deadline is shorter
    done = subprocess.run(
        [python, "-m", "pytest", *options, f"tests/fuzz/{environment}/{target}"],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "plugins"))),
            "FUZZ_SECONDS": str(seconds),
            "FUZZ_REPORT": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=longest,
        check=False,
    )
    return None if done.returncode == 0 else "\n".join([target, *done.stdout.splitlines()[-LAST_LINES:]])
