"""One stack for all end-to-end tests: real scheduler, triggerer, API server and local SageMaker, on free ports and in
its own home, so that it does not touch a stack that the user keeps running."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from include.ops.local_stack import stack
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.settings import ROOT, Settings
from sagemaker_jobs.waiting import JOB_WAIT_VARIABLE
from tests.browser import launch
from tests.include.local_sagemaker.local_server import free_port

SIMULATE = "include.models.predictive_maintenance.simulate"
os.environ[JOB_WAIT_VARIABLE] = "2"  # shorter than any job: waiting tasks are deferred, as on AWS


@dataclass(frozen=True)
class RunResult:
    """The results of a make target: its exit status, its output and its summary file."""

    status: int
    output: str
    summary: dict[str, Any]


@dataclass(frozen=True)
class Stack:
    """A stack's addresses, and make in its checkout."""

    settings: Settings
    checkout: Path = ROOT

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "LAPTOP_HOME": str(self.settings.home),
            "AIRFLOW_PORT": str(self.settings.airflow_port),
            "SAGEMAKER_PORT": str(self.settings.sagemaker_port),
        }

    @property
    def airflow(self) -> AirflowApi:
        return AirflowApi(self.settings.airflow_url)

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.settings.sagemaker_url,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def run(self, data: Path) -> RunResult:
        return self.make("run", f"DATA={data}")

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """The state of each task of a run, by its id."""
        return {task["task_id"]: task["state"] for task in self.airflow.task_instances(dag_id, run_id)}

    def make(self, target: str, *variables: str) -> RunResult:
        """Run a target as a user types it; it may write ``<target>-summary.json``."""
        summary = self.settings.home / f"{target}-summary.json"
        summary.unlink(missing_ok=True)
        done = subprocess.run(
            ["make", "--no-print-directory", target, *variables],
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )
        content = json.loads(summary.read_text()) if summary.exists() else {}
        return RunResult(done.returncode, done.stdout + done.stderr, content)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(tmp_path_factory.mktemp("stack"), airflow_port=free_port(), sagemaker_port=free_port())
    try:
        stack.up(settings, print)
        yield Stack(settings)
    finally:
        stack.down(settings, print)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of a small fleet's raw data: enough failures to learn from, quick to train on."""
    folder = tmp_path_factory.mktemp("fleet")
    command = [
        str(ROOT / ".venv" / "jobs" / "bin" / "python"),
        "-m",
        SIMULATE,
        "--out",
        str(folder),
        "--machines",
        "30",
    ]
    subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": ".", "PATH": os.environ["PATH"]}, check=True)
    return folder


@pytest.fixture(scope="session")
def trained(running: Stack, fleet: Path) -> RunResult:
    """The first run on good data, from trigger to registration."""
    return running.run(fleet)


@pytest.fixture
def broken_fleet(fleet: Path, tmp_path: Path) -> Path:
    """A copy of the good data, to be broken by a test."""
    return Path(shutil.copytree(fleet, tmp_path / "fleet"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests, as Playwright cannot be started twice in a process."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page(browser: Browser) -> Page:
    return browser.new_page(viewport={"width": 1400, "height": 1000})
