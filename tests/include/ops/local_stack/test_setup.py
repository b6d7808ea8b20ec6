"""setup.sh in folders with names of any kind. uv is a program that notes what it is asked for: nothing is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from include.ops.local_stack.settings import ROOT

NOTES_WHAT_IT_IS_ASKED_FOR = """#!/bin/bash
case $1 in
  --version) echo "uv $UV_VERSION" ;;
  venv) mkdir "${@: -1}" || echo failed >>asked ;;
  pip) [ -z "${SLOW-}" ] || sleep 1 ;;
esac
printf '%s\\n' "$*" >>asked
"""


def set_up(checkout: Path) -> subprocess.CompletedProcess[str]:
    command, environment = prepared(checkout)
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)


def prepared(checkout: Path) -> tuple[list[str], dict[str, str]]:
    """The command that sets up a checkout made of copies, and its environment."""
    script, installer = Path("include/ops/local_stack/setup.sh"), Path("include/ops/local_stack/requirements.txt")
    uv = checkout / ".venv" / "tools" / "bin" / "uv"
    for file in (
        script,
        installer,
        *map(Path, ("requirements.txt", "constraints.txt", "tests/requirements-airflow.txt")),
    ):
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, checkout / file)
    uv.parent.mkdir(parents=True)
    uv.write_text(NOTES_WHAT_IT_IS_ASKED_FOR)
    uv.chmod(0o755)
    version = (ROOT / installer).read_text().partition("uv==")[2].split()[0]
    environment = {**os.environ, "PYTHON312": sys.executable, "UV_VERSION": version}
    return [str(checkout / script), "airflow"], environment


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


def test_of_two_at_a_time_one_waits_and_finds_it_done(tmp_path: Path) -> None:
    command, environment = prepared(tmp_path / "checkout")
    both = [
        subprocess.Popen(command, cwd="/", env={**environment, "SLOW": "1"}, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = sorted(process.communicate(timeout=60)[1] for process in both)
    assert [process.returncode for process in both] == [0, 0], said
    assert [line for text in said for line in text.splitlines() if "waiting" in line] != []
    asked = (tmp_path / "checkout" / "asked").read_text().splitlines()
    assert sum(line.startswith("venv") for line in asked) == 1
    assert "failed" not in asked


def test_an_installation_that_was_killed_is_made_anew(tmp_path: Path) -> None:
    command, environment = prepared(tmp_path / "checkout")
    asked = tmp_path / "checkout" / "asked"
    with subprocess.Popen(command, cwd="/", env={**environment, "SLOW": "1"}, stderr=subprocess.DEVNULL) as broken_off:
        while not asked.exists() or "venv" not in asked.read_text():
            time.sleep(0.01)
        broken_off.kill()
    assert not (tmp_path / "checkout" / ".venv" / "airflow" / ".stamp").exists()
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert sum(line.startswith("venv") for line in asked.read_text().splitlines()) == 2
    assert (tmp_path / "checkout" / ".venv" / "airflow" / ".stamp").exists()
