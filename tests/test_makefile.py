"""Values that a user gives to make are text: they reach the program unchanged, and nothing in them is executed.

Every target really runs, in a folder where each program that the Makefile names only records how it was called.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from include.ops.local_stack.settings import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = [target for line in re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE) for target in line.split()]
PROGRAMS = sorted(set(re.findall(r"[\w./]+/bin/\w+|[\w./]+\.sh\b", MAKEFILE)))
FOR_EVERY_TARGET = {"AIRFLOW_PORT", "SAGEMAKER_PORT", "LAPTOP_HOME", "KAFKA"}
USED = {*re.findall(r"\b([A-Z_]+)=", MAKEFILE), *re.findall(r"\$\$\{?([A-Z_]+)", MAKEFILE)}
VARIABLES = sorted(USED - {"PWD", "PYTHONPATH"} | FOR_EVERY_TARGET)
NOTES_HOW_IT_WAS_CALLED = """#!/bin/bash
printf '%s\\0' "$0" "$@" "VOLUMES=${VOLUMES-}" "PROFILES=${PROFILES-}" "LAPTOP_HOME=${LAPTOP_HOME-}" >>"$NOTES"
"""
HOSTILE = [
    "x$(shell touch hit)",
    "x`touch hit`",
    "x; touch hit",
    "x'; touch hit; '",
    'x"; touch hit; "',
    "x$$(touch hit)",
    "$(eval SHELL := touch)",
    "x' | touch hit #",
    "x\ntouch hit",
]


@dataclass(frozen=True)
class Stubs:
    """A folder with the Makefile, and programs that do nothing."""

    folder: Path
    notes: Path

    def make(self, *arguments: str, **environment: str) -> list[str]:
        """The arguments of the programs it called, word by word."""
        self.notes.write_text("")
        command = ["make", "--no-print-directory", *arguments]
        surroundings = {"PATH": os.environ["PATH"], "NOTES": str(self.notes), **environment}
        done = subprocess.run(
            command, cwd=self.folder, env=surroundings, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return self.notes.read_text().split("\0")

    def files(self) -> set[Path]:
        return set(self.folder.rglob("*"))


@pytest.fixture
def stubs(tmp_path: Path) -> Stubs:
    folder = tmp_path / "it's a, test #1 (50 %) ü $(shell touch hit)"
    for name in PROGRAMS:
        program = folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(NOTES_HOW_IT_WAS_CALLED)
        program.chmod(0o755)
    (folder / "Makefile").write_text(MAKEFILE)
    return Stubs(folder, tmp_path / "notes")


def test_the_makefile_is_understood_here() -> None:
    assert {"run", "promote", "backfill", "faults", "infra", "compose-down"} <= set(TARGETS)
    assert set(VARIABLES) >= {
        *("NAME", "KIND", "DATA", "TARGET", "MODEL", "FROM", "TO", "VERSION", "ENV", "PROFILES", "VOLUMES", "ONLY"),
        *("GROUPS", "DAYS", "YES", "FORCE", "DRY_RUN"),
    }


@pytest.mark.parametrize("target", TARGETS)
def test_no_value_is_carried_out(stubs: Stubs, target: str) -> None:
    before = stubs.files()
    for value in HOSTILE:
        stubs.make(target, *(f"{name}={value}" for name in VARIABLES))
        stubs.make(target, **dict.fromkeys(VARIABLES, value))
        assert stubs.files() == before, value


@pytest.mark.parametrize("value", [*HOSTILE, "it's a, test #1 (50 %) ü", "--yes", "*", r"back\slash", "two  blanks"])
def test_a_value_arrives_as_it_was_given(stubs: Stubs, value: str) -> None:
    for called in (stubs.make("run", f"MODEL={value}", f"DATA={value}"), stubs.make("run", MODEL=value, DATA=value)):
        assert {f"--model={value}", f"--data={value}"} <= set(called)
    names = [f"{name}={value}" for name in ("NAME", "KIND", "DATA", "TARGET")]
    expected = {f"--name={value}", f"--kind={value}", f"--data={value}", f"--target={value}"}
    assert expected <= set(stubs.make("new-model", *names))
    days = [f"{name}={value}" for name in ("FROM", "TO", "VERSION")]
    assert {f"--from={value}", f"--to={value}", f"--version={value}"} <= set(stubs.make("backfill", *days))
    assert f"--days={value}" in stubs.make("backfill-faults", f"DAYS={value}")
    assert value in stubs.make("infra", f"ENV={value}")
    assert value in stubs.make("deploy", f"ENV={value}")
    assert {f"VOLUMES={value}", f"PROFILES={value}"} <= set(
        stubs.make("compose-down", f"VOLUMES={value}", f"PROFILES={value}")
    )
    assert f"LAPTOP_HOME={value}" in stubs.make("up", f"LAPTOP_HOME={value}")


@pytest.mark.parametrize(("target", "variable"), [("test", "ONLY"), ("faults", "GROUPS")])
def test_a_list_arrives_word_by_word(stubs: Stubs, target: str, variable: str) -> None:
    called = stubs.make(target, f"{variable}=worker * aws")
    assert called[called.index("worker") :][:3] == ["worker", "*", "aws"]


def test_what_is_not_given_is_left_out(stubs: Stubs) -> None:
    called = stubs.make("run")
    assert "--model=predictive_maintenance" in called
    assert not any(word.startswith("--data") for word in called)
    assert "--days=365" in stubs.make("backfill-faults")
    given = {word.partition("=")[0] for target in TARGETS for word in stubs.make(target)}
    assert not given & {"--target", "--yes", "--version", "--force", "--dry-run"}
    assert {"--yes", "--dry-run"} <= {*stubs.make("promote", "YES=1"), *stubs.make("infra", "DRY_RUN=1")}
