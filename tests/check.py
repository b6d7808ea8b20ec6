"""Everyday work: style, types and tests of what differs from another commit.

    make check [SINCE=commit]

Tests mirror the code, so the tests of ``include/train/gates.py`` are ``tests/include/train/test_gates.py``, or those of
the folder if there is no such file. Files without mirroring tests are left to ``make test``, and named.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from run import FAST, PYTHONPATHS, ROOT, SLOW, Group

SIDES = {  # what mypy checks together, by the environment that has its libraries
    "airflow": (
        "dags",
        "plugins",
        *(f"include/{room}" for room in ("platform", "registry", "train", "score", "deploy", "monitor", "ops")),
    ),
    "jobs": ("include/jobs", "include/models"),
    "local_sagemaker": ("include/local_sagemaker",),
}


def changed(since: str) -> list[Path]:
    """Files that differ from the commit where this branch left ``since``, and new ones."""
    base = _git("merge-base", since, "HEAD")[0]
    names = {*_git("diff", "--name-only", base), *_git("ls-files", "--others", "--exclude-standard")}
    return sorted(Path(name) for name in names if (ROOT / name).is_file())


def _git(*arguments: str) -> list[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")[
        :-1
    ]


def tests_of(path: Path) -> Path | None:
    """A file's own tests, or the folder of tests that mirrors its folder; None if there is neither."""
    if path.parts[0] == "tests":
        return path if path.name.startswith("test_") and path.suffix == ".py" else None
    if path.parts[0] not in ("dags", "plugins", "include"):
        return None
    own = Path("tests", *path.parent.parts, f"test_{path.stem}.py")
    if (ROOT / own).exists():
        return own
    folder = own.parent
    return folder if len(folder.parts) > 2 and any((ROOT / folder).glob("test_*.py")) else None


def group_of(test: Path) -> Group | None:
    for group in (*FAST, *SLOW):
        if any(test.is_relative_to(pattern) or test.match(pattern) for pattern in group.paths):
            return group
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--since", default="main", help="a commit or branch; default: main")
    files = changed(parser.parse_args().since)
    python = [str(path) for path in files if path.suffix == ".py"]
    if not python:
        print(f"no Python file differs ({len(files)} others do): make lint and make test look at the rest")
        return 0
    began = time.monotonic()
    failed = _run("ruff check", [".venv/dev/bin/ruff", "check", *python])
    failed |= _run("ruff format", [".venv/dev/bin/ruff", "format", "--check", *python])
    for side, folders in SIDES.items():
        mine = [name for name in python if name.startswith(folders)]
        if mine:
            command = [".venv/dev/bin/mypy", "--python-executable", f".venv/{side}/bin/python", *mine]
            failed |= _run(f"mypy: {side}", command, MYPYPATH="plugins")
    failed |= _tests(files)
    print(f"{'failed' if failed else 'passed'} in {time.monotonic() - began:.0f} s")
    return failed


def _tests(files: list[Path]) -> int:
    tests: defaultdict[str, set[str]] = defaultdict(set)
    alone = []
    for path in files:
        test = tests_of(path)
        group = group_of(test) if test else None
        if test and group:
            tests[group.environment].add(str(test))
        elif path.suffix == ".py":
            alone.append(str(path))
    failed = 0
    for environment, found in tests.items():
        command = [f".venv/{environment}/bin/python", "-m", "pytest", "-q", "-m", "not slow", *sorted(found)]
        failed |= _run(f"tests: {environment}", command, PYTHONPATH=os.pathsep.join(PYTHONPATHS[environment]))
    if alone:
        print(f"--- left to make test: {', '.join(alone)}")
    return failed


def _run(name: str, command: list[str], **variables: str) -> int:
    print(f"--- {name}", flush=True)
    return int(subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=False).returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
