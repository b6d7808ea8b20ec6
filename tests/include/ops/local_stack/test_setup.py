"""A machine without Python 3.12 is told what to install, in the words of its own system."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
SETUP = ROOT / "include" / "ops" / "local_stack" / "setup.sh"


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("ID=ubuntu\nID_LIKE=debian\nVERSION_ID=24.04\n", "sudo apt install python3.12 python3.12-venv"),
        ("ID=debian\nVERSION_ID=13\n", "pipx install uv"),
        ("ID=fedora\nVERSION_ID=43\n", "sudo dnf install python3.12"),
        ("ID=nixos\n", "python3.12 of your system's packages"),
    ],
)
def test_a_machine_without_python_is_told_what_to_install(tmp_path: Path, release: str, said: str) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "uname"):
        (tools / name).symlink_to(shutil.which(name) or name)
    (tmp_path / "os-release").write_text(release)
    variables = {"PATH": str(tools), "HOME": str(tmp_path), "OS_RELEASE": str(tmp_path / "os-release")}
    done = subprocess.run(["bash", str(SETUP), "airflow"], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"install one:  {said}" in done.stderr.replace("sudo apt install pipx && ", "")
    assert "PYTHON312=/path/to/python3.12" in done.stderr


def test_on_macos_it_is_homebrew(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname"):
        (tools / name).symlink_to(shutil.which(name) or name)
    (tools / "uname").write_text("#!/bin/bash\necho Darwin\n")
    (tools / "uname").chmod(0o755)
    done = subprocess.run(
        ["bash", str(SETUP), "airflow"],
        env={"PATH": str(tools), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "brew install python@3.12" in done.stderr
