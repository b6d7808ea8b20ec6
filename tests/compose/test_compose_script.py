"""compose.sh without a container engine: its Docker commands, in folders with any name."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from include.ops.local_stack.settings import ROOT

SCRIPT = Path("include/ops/local_stack/compose.sh")
NOTES_HOW_IT_WAS_CALLED = """#!/bin/bash
printf '%s\\0' "$PWD" "${COMPOSE_PROJECT_NAME-}" "$@" >"$NOTES"
"""


def called(tmp_path: Path, checkout: str, *arguments: str, **environment: str) -> list[str]:
    """The folder, project name and arguments of compose.sh's last call of Docker."""
    script, docker = tmp_path / checkout / SCRIPT, tmp_path / "bin" / "docker"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / SCRIPT, script)
    docker.parent.mkdir()
    docker.write_text(NOTES_HOW_IT_WAS_CALLED)
    docker.chmod(0o755)
    path = f"{docker.parent}:{os.defpath}"
    surroundings = {"PATH": path, "NOTES": str(tmp_path / "notes"), **environment}
    done = subprocess.run([script, *arguments], env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (tmp_path / "notes").read_text().split("\0")[:-1]


@pytest.mark.parametrize(
    ("name", "project"),  # none: Compose derives it from the folder
    [("it's a, test #1 (50 %) ü", ""), ("ü", "ml-local"), ("...", "ml-local"), ("-x $HOME `pwd`", "")],
)
def test_compose_is_called_in_the_checkout(name: str, project: str, tmp_path: Path) -> None:
    expected = [str(tmp_path / name), project, "compose", "--env-file", ".env"]
    assert called(tmp_path, name, "ps") == [*expected, "ps"]


def test_a_project_that_was_named_keeps_its_name(tmp_path: Path) -> None:
    assert called(tmp_path, "ü", "ps", COMPOSE_PROJECT_NAME="mine")[1] == "mine"


def test_profiles_are_words_and_nothing_more(tmp_path: Path) -> None:
    given = called(tmp_path, "checkout", "ps", PROFILES="mlflow * $(touch hit)")
    assert [word for word in given if word != "--profile"][5:] == ["mlflow", "*", "$(touch", "hit)", "ps"]
    assert given.count("--profile") == 4


def test_data_stays_unless_volumes_says_1(tmp_path: Path) -> None:
    env_file = tmp_path / "keys, mine.env"
    env_file.touch()
    for number, volumes in enumerate(["", "0", "yes; touch hit", "1"]):
        given = called(tmp_path / str(number), "checkout", "down", VOLUMES=volumes, ENV_FILE=str(env_file))
        assert ("--volumes" in given) == (volumes == "1")
        assert str(env_file) in given
