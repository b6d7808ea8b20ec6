"""``make new-model`` on a file that the repository has never seen, then ``make run``: a model without an edit.

In a copy of the checkout, with a stack of its own: the new folder and its Dags must not appear in this one.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.laptop.settings import ROOT

from .conftest import free_port

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Every file of this checkout, with its Python environments."""
    copy = tmp_path_factory.mktemp("checkout")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    yield copy
    make(copy, "down")


def make(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=checkout,
        env={**os.environ, **ports(checkout)},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


def ports(checkout: Path) -> dict[str, str]:
    """The same for every call: chosen once."""
    file = checkout.parent / f"{checkout.name}-ports.json"
    if not file.exists():
        chosen = {"AIRFLOW_PORT": str(free_port()), "SAGEMAKER_PORT": str(free_port())}
        file.write_text(json.dumps({**chosen, "LAPTOP_HOME": str(checkout / ".local")}))
    found: dict[str, str] = json.loads(file.read_text())
    return found


def write_loans(file: Path) -> None:
    """Loans of a town's library: an id, gaps, a category, and books that came back late."""
    chance = random.Random(4)  # noqa: S311 - not for secrets
    file.parent.mkdir()
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["loan id", "pages", "reader", "days kept", "returned"])
        for number in range(1200):
            reader, pages = chance.choice(["child", "adult", "club"]), chance.randint(40, 900)
            kept = 5 + pages / 40 + 6 * (reader == "club") + chance.gauss(0, 3)
            shown = "" if number % 13 == 0 else round(kept, 1)
            writer.writerow([number, pages, reader, shown, "late" if kept + chance.gauss(0, 2) > 24 else "in time"])


def test_a_model_from_a_file_runs_without_another_edit(checkout: Path, tmp_path: Path) -> None:
    write_loans(tmp_path / "town" / "loans.csv")
    made = make(checkout, "new-model", "NAME=late_books", "KIND=binary", f"DATA={tmp_path}/town/loans.csv")
    assert made.returncode == 0, made.stderr
    assert "predicted is returned" in made.stdout
    assert "`train_late_books`" in (checkout / "README.md").read_text()
    again = make(checkout, "new-model", "NAME=late_books", "KIND=binary", f"DATA={tmp_path}/town/loans.csv")
    assert again.returncode != 0
    assert "is there already; nothing was written" in again.stderr

    for data in ([f"DATA={tmp_path}/town"], []):  # the file itself, then data made up from its profile
        done = make(checkout, "run", "MODEL=late_books", *data)
        assert done.returncode == 0, done.stdout + done.stderr
        summary = json.loads((checkout / ".local" / "run-summary.json").read_text())
        assert (summary["dag_id"], summary["state"]) == ("train_late_books", "success")
        assert "late-books" in summary["model_package_arn"]
        assert all(gate["passed"] for gate in summary["gates"])
