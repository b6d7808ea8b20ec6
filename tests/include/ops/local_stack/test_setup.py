"""Without Python 3.12, the user learns what to install on this system; concurrent and interrupted set-ups leave
complete environments."""

from __future__ import annotations

import shutil
import subprocess
import sys
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


def mac(folder: Path, machine: str) -> Path:
    """A folder of programs that make the system look like a Mac."""
    tools = folder / "mac"
    tools.mkdir()
    (tools / "uname").write_text(f"#!/bin/bash\n[ $1 = -m ] && echo {machine} || echo Darwin\n")
    (tools / "uname").chmod(0o755)
    return tools


def test_on_macos_it_is_homebrew(tmp_path: Path) -> None:
    tools = mac(tmp_path, "arm64")
    for name in ("bash", "dirname"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = subprocess.run(
        ["bash", str(SETUP), "airflow"],
        env={"PATH": str(tools), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "brew install python@3.12" in done.stderr


UV = """#!/bin/bash
case $1 in
  --version) echo "uv $VERSION" ;;
  venv) mkdir -p "${!#}"; echo begin >>log ;;
  pip) [ ! -e fail ] || exit 1; sleep 0.3; echo end >>log ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which uv installs nothing, and takes a while."""
    for name in ("include/ops/local_stack/setup.sh", "include/ops/local_stack/requirements.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("tests", "tests/docs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "requirements.txt").write_text("")
    uv = tmp_path / ".venv" / "tools" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    version = (ROOT / "include/ops/local_stack/requirements.txt").read_text().partition("uv==")[2].split()[0]
    uv.write_text(UV.replace("$VERSION", version))
    uv.chmod(0o755)
    return tmp_path


def set_up(checkout: Path, tools: str = "") -> subprocess.Popen[str]:
    command = ["bash", "include/ops/local_stack/setup.sh", "dev", "docs"]
    path, brew = f"{tools}:/usr/bin:/bin".lstrip(":"), str(checkout / "brew")
    variables = {"PATH": path, "HOME": str(checkout), "PYTHON312": sys.executable, "HOMEBREW_PREFIX": brew}
    return subprocess.Popen(command, cwd=checkout, env=variables, stderr=subprocess.PIPE, text=True)


def test_of_two_set_ups_at_once_the_second_waits_and_installs_nothing_again(checkout: Path) -> None:
    said = [each.communicate(timeout=60)[1] for each in [set_up(checkout), set_up(checkout)]]
    assert sum("another set-up is at work here" in one for one in said) == 1
    assert (checkout / "log").read_text().split() == ["begin", "end"] * 2, "dev and docs, once each"


def test_a_set_up_that_was_broken_off_is_made_again(checkout: Path) -> None:
    (checkout / "fail").touch()
    assert set_up(checkout).wait(timeout=60) != 0
    assert not (checkout / ".venv" / "dev" / ".stamp").exists()
    (checkout / "fail").unlink()
    assert set_up(checkout).wait(timeout=60) == 0
    assert (checkout / ".venv" / "docs" / ".stamp").exists()


@pytest.mark.parametrize(("machine", "warned"), [("arm64", False), ("x86_64", True)])
def test_a_mac_is_told_what_no_wheel_brings(checkout: Path, machine: str, warned: bool) -> None:
    tools = str(mac(checkout, machine))
    refused = set_up(checkout, tools)
    said = refused.communicate(timeout=60)[1]
    assert refused.returncode == 1
    assert "brew install libomp" in said
    assert ("Intel" in said) == warned
    assert not (checkout / "log").exists(), "nothing was installed"
    library = checkout / "brew" / "opt" / "libomp" / "lib" / "libomp.dylib"
    library.parent.mkdir(parents=True)
    library.touch()
    assert set_up(checkout, tools).wait(timeout=60) == 0
