"""A team's repository copied from this one at one version, changed, and updated to the next without losing anything."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import botocore.session
import pytest
import yaml

from tests.run import FAST

ROOT = Path(__file__).resolve().parents[1]
MODEL = Path("include/models/predictive_maintenance/model.yaml")
ANSWERS = {
    "name": "acme",
    "region": "us-east-1",
    "alert_email": "ml@acme.example",
    "environments": "[dev, prod]",
    "models": "[abalone_age, machine_downtime, tabular_classifier]",
}
COPIER = ROOT / ".venv" / "dev" / "bin" / "copier"
pytestmark = pytest.mark.skipif(not (ROOT / "copier.yml").is_file(), reason="a copy is not a template")


def run(*command: str | Path, cwd: Path, refused: bool = False) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) is refused, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def copy(template: Path, folder: Path, *, refused: bool = False, **answers: str) -> str:
    data = [f"--data={name}={value}" for name, value in {**ANSWERS, **answers}.items()]
    return run(
        COPIER, "copy", "--trust", "--defaults", "--quiet", *data, template, folder, cwd=folder.parent, refused=refused
    )


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
    mine = tmp_path / "mine"
    copy(template, mine)
    prod = (mine / "include/ops/mwaa/environments/prod.yaml").read_text()
    assert "name: acme-prod" in prod
    assert "region: us-east-1" in prod
    assert not (mine / "include/ops/mwaa/environments/staging.yaml").exists()
    workflows = {path.stem: path.read_text() for path in (mine / ".github/workflows").glob("*.yaml")}
    assert "  prod:\n    needs: [image, dev]\n" in workflows["deploy-dags"]
    assert "  staging:" not in workflows["deploy-dags"]
    assert "options: [dev, prod]" in workflows["deploy-infra"]
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
    run(COPIER, "update", "--trust", "--defaults", "--quiet", cwd=mine)

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


@pytest.mark.slow
def test_every_test_of_a_copy_without_examples_finds_what_it_imports(template: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    copy(template, mine, environments="[dev]", models="[]")
    given = set(run("git", "ls-files", cwd=template).split("\n"))
    lost = {name for name in given if name and not (mine / name).exists() and not name.startswith((".copier/", "{{"))}
    assert {name.split("/models/")[0] for name in lost if "/models/" in name} <= {"include", "tests/include"}
    assert {name for name in lost if "/models/" not in name} == {
        "copier.yml", "include/ops/mwaa/environments/prod.yaml", "include/ops/mwaa/environments/staging.yaml"
    }  # fmt: skip
    (mine / ".venv").symlink_to(ROOT / ".venv")
    environment = ("env", f"PYTHONPATH={mine}:{mine / 'plugins'}")
    python = ROOT / ".venv" / "airflow" / "bin" / "python"
    folders = [folder for folder in FAST[0].paths if "*" not in folder]
    run(*environment, python, "-m", "pytest", "-q", "--collect-only", *folders, cwd=mine)


@pytest.mark.parametrize(
    ("question", "answer", "message"),
    [
        ("name", "my team", "2 to 17 lower-case letters"),
        (
            "name",
            "eighteen-letters-x",
            "2 to 17 lower-case letters",
        ),  # too long with -staging
        ("name", "acme-", "2 to 17 lower-case letters"),
        ("region", "eu-nowhere-9", "Invalid choice"),
        ("alert_email", "a\\1: #b", "a mail address"),
        ("environments", "[dev, production-1]", "Invalid choice"),
        ("environments", "[prod]", "dev is needed"),
        ("models", "[churn]", "Invalid choice"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused(tmp_path: Path, question: str, answer: str, message: str) -> None:
    questions = tmp_path / "template"
    questions.mkdir()
    shutil.copy(ROOT / "copier.yml", questions)
    assert message in copy(questions, tmp_path / "mine", refused=True, **{question: answer})
    assert not (tmp_path / "mine").exists()


def test_every_region_with_mwaa_can_be_chosen() -> None:
    choices = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))["region"]["choices"]
    assert choices == botocore.session.get_session().get_available_regions("mwaa")
