"""The hooks of ``.pre-commit-config.yaml``, as ``git commit`` runs them: with the pinned tools, without a network.

``make lint`` runs the same hooks over the whole repository.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from include.ops.local_stack.settings import ROOT

OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
# in parts, or the hook would find them here too
SECRETS = {
    "include/settings.py": 'KEY = "AKIA' + 'Q3EGRUT5KZ2J7WXN"\n',
    "deploy.yaml": "token: ghp_" + "x9K2mQ7vLr4TzW8bNc" + "1Yd5Hf3Jg6Ps0AeUiO\n",
    "docs/how-to.md": "-----BEGIN RSA " + "PRIVATE KEY-----\n",
    "include/ops/mwaa/environments/dev.yaml": "password: " + "local-but-Not-public-91\n",
}


class Repository:
    """A repository with these hooks installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (".pre-commit-config.yaml", ".secrets.baseline", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        (folder / ".gitignore").write_text(".venv\n")
        self.run("git", "init", "--quiet")
        self.run(".venv/dev/bin/pre-commit", "install")

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        author = {f"GIT_{who}_{what}": "a@b.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**os.environ, **OFFLINE, **author, "PRE_COMMIT_HOME": str(self.folder.parent / "cache")}
        return subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=250,
            check=check,
        )

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> subprocess.CompletedProcess[str]:
        self.run("git", "add", "--all")
        return self.run("git", "commit", "--message", "x", check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    folder = tmp_path / "repository"
    folder.mkdir()
    return Repository(folder)


def notebook(outputs: list[dict[str, Any]]) -> str:
    cell = {
        "cell_type": "code",
        "execution_count": 7 if outputs else None,
        "id": "0",
        "metadata": {},
        "outputs": outputs,
        "source": ["rows.head()"],
    }
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


def test_a_commit_with_secrets_is_refused_and_names_each_file(repository: Repository) -> None:
    for name, text in SECRETS.items():
        repository.write(name, text)
    refused = repository.commit()
    assert refused.returncode != 0
    assert {name for name in SECRETS if f"{name}:1" in refused.stdout} == SECRETS.keys(), refused.stdout
    for name in SECRETS:
        repository.write(name, "")
    accepted = repository.commit()
    assert accepted.returncode == 0, accepted.stdout


def test_a_notebook_is_committed_without_its_output(repository: Repository) -> None:
    repository.write("rows.ipynb", notebook([{"output_type": "stream", "name": "stdout", "text": ["Ann, 1 High St"]}]))
    refused = repository.commit()
    assert refused.returncode != 0
    assert "files were modified by this hook" in refused.stdout
    assert json.loads((repository.folder / "rows.ipynb").read_text()) == json.loads(notebook([]))
    assert repository.commit().returncode == 0
