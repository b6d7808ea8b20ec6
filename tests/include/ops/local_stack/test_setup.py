"""setup.sh in folders with names of any kind. uv is a program that notes what it is asked for: nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from include.ops.local_stack.settings import ROOT

NOTES_WHAT_IT_IS_ASKED_FOR = """#!/bin/bash
case $1 in
  --version) echo "uv $UV_VERSION" ;;
  venv) mkdir "${@: -1}" ;;
esac
printf '%s\\n' "$*" >>asked
"""


def set_up(checkout: Path) -> subprocess.CompletedProcess[str]:
    script = Path("include/ops/local_stack/setup.sh")
    uv = checkout / ".venv" / "tools" / "bin" / "uv"
    for file in (script, Path("requirements.txt"), Path("constraints.txt"), Path("tests/requirements-airflow.txt")):
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, checkout / file)
    uv.parent.mkdir(parents=True)
    uv.write_text(NOTES_WHAT_IT_IS_ASKED_FOR)
    uv.chmod(0o755)
    [version] = [line for line in (ROOT / script).read_text().splitlines() if line.startswith("uv_version=")]
    environment = {**os.environ, "PYTHON312": sys.executable, "UV_VERSION": version.partition("=")[2]}
    command = [checkout / script, "airflow"]
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["it's a, test #1 (50 %) ü", "back\\slash", "-x", " *", "a;b&c|d>e", "{x}[y]?"])
def test_an_environment_is_made_in_any_folder(name: str, tmp_path: Path) -> None:
    done = set_up(tmp_path / name)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / name / ".venv" / "airflow" / ".stamp").exists()
    made, installed = (tmp_path / name / "asked").read_text().splitlines()[1:]
    assert made.endswith(" .venv/airflow")
    assert "--constraint=constraints.txt --requirement=tests/requirements-airflow.txt" in installed


@pytest.mark.parametrize("name", ["a:b", 'say "hi"', "$HOME", "$(touch hit)", "`touch hit`", "two\nlines"])
def test_a_folder_that_python_or_postgresql_would_misread_is_refused(name: str, tmp_path: Path) -> None:
    done = set_up(tmp_path / name)
    assert done.returncode == 1
    assert "Move it, or rename the folder" in done.stderr
    assert not (tmp_path / name / "asked").exists()
