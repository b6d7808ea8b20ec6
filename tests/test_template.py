"""A team's repository copied from this one at one version, changed, and updated to the next without losing anything."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODEL = Path("include/models/predictive_maintenance/model.yaml")
ANSWERS = {
    "name": "acme",
    "region": "us-east-1",
    "alert_email": "ml@acme.example",
    "environments": "[dev, prod]",
    "models": "[abalone_age, machine_downtime, tabular_classifier]",
}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def commit(folder: Path, message: str) -> None:
    run("git", "add", "-A", cwd=folder)
    run("git", "-c", "user.name=t", "-c", "user.email=t@t.example", "commit", "-qm", message, cwd=folder)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """The files of this checkout as a repository with a version tag."""
    folder = tmp_path / "template"
    folder.mkdir()
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file() and not (ROOT / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    run("git", "init", "-q", cwd=folder)
    commit(folder, "1.0.0")
    run("git", "tag", "1.0.0", cwd=folder)
    return folder


@pytest.mark.slow
def test_a_repository_is_made_changed_and_updated(template: Path, tmp_path: Path) -> None:
    copier = ROOT / ".venv" / "dev" / "bin" / "copier"
    mine = tmp_path / "mine"
    data = [f"--data={name}={value}" for name, value in ANSWERS.items()]
    run(copier, "copy", "--trust", "--defaults", "--quiet", *data, template, mine, cwd=tmp_path)
    prod = (mine / "include/ops/mwaa/environments/prod.yaml").read_text()
    assert "name: acme-prod" in prod
    assert "region: us-east-1" in prod
    assert not (mine / "include/ops/mwaa/environments/staging.yaml").exists()
    assert not (mine / "include/models/electricity").exists()
    assert "electricity" not in (mine / "docs/reference/dags.md").read_text()
    run("git", "init", "-q", cwd=mine)
    commit(mine, "from the template")
    text = (mine / MODEL).read_text()
    (mine / MODEL).write_text(text.replace("owner: ml-platform", "owner: acme-ml"))
    assert (mine / MODEL).read_text() != text
    commit(mine, "our own owner")

    (template / MODEL).write_text("# a comment of the next version\n" + (template / MODEL).read_text())
    (template / "docs" / "news.md").write_text("# News\n")
    commit(template, "1.1.0")
    run("git", "tag", "1.1.0", cwd=template)
    run(copier, "update", "--trust", "--defaults", "--quiet", cwd=mine)

    assert "_commit: 1.1.0" in (mine / ".copier-answers.yml").read_text()
    assert (mine / "docs" / "news.md").exists()
    now = (mine / MODEL).read_text()
    assert "# a comment of the next version" in now
    assert "owner: acme-ml" in now
    assert not list(mine.rglob("*.rej"))

    (mine / ".venv").symlink_to(ROOT / ".venv")
    python = ROOT / ".venv" / "airflow" / "bin" / "python"
    environment = ("env", f"PYTHONPATH={mine}:{mine / 'plugins'}")
    run(*environment, python, "-m", "pytest", "-q", "tests/include/train", "tests/include/registry", cwd=mine)
