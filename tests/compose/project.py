"""One Compose project under test: its commands, its containers, and the APIs of its two services."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import boto3
import httpx

from include.ops.local_stack.airflow_api import AirflowApi

LABEL = "com.docker.compose.project"
T = TypeVar("T")


class PromiseBrokenError(AssertionError):
    """What was observed instead of what was promised."""


@dataclass
class Project:
    """A stack of docker-compose.yaml, including MLflow and the online service, made from a copy of the checkout."""

    checkout: Path
    name: str
    model: str
    airflow_port: int
    sagemaker_port: int
    mlflow_port: int
    online_port: int
    log: Path
    facts: dict[str, Any] = field(default_factory=dict)  # what one promise learns and a later one needs

    @cached_property
    def airflow(self) -> AirflowApi:
        return AirflowApi(f"http://127.0.0.1:{self.airflow_port}")

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self.sagemaker_port}",
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def up(self) -> None:
        self._make("compose-up")

    def down(self) -> None:
        self._make("compose-down", "VOLUMES=1")

    def containers(self) -> dict[str, str]:
        """Container ids by service, of running and ended ones."""
        listed = self.docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}={self.name}").split()
        described = self.inspect(*listed) if listed else []
        return {item["Config"]["Labels"]["com.docker.compose.service"]: item["Id"] for item in described}

    def inspect(self, *containers: str) -> list[dict[str, Any]]:
        described: list[dict[str, Any]] = json.loads(self.docker("inspect", *containers))
        return described

    def health(self, service: str) -> str:
        """healthy, starting, unhealthy, or the container's state if it does not run."""
        [container] = self.inspect(self.containers()[service])
        state = container["State"]
        return str(state["Health"]["Status"] if state["Running"] else state["Status"])

    def log_of(self, service: str) -> str:
        """The end of the log."""
        command = ["docker", "logs", "--tail", "30", self.containers()[service]]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout

    def left_behind(self) -> list[str]:
        by_label = ("--quiet", "--filter", f"label={LABEL}={self.name}")
        return [
            f"{kind} {name}"
            for kind, command in (
                ("container", ("ps", "--all", *by_label)),
                ("volume", ("volume", "ls", *by_label)),
                ("network", ("network", "ls", *by_label)),
            )
            for name in self.docker(*command).split()
        ]

    @staticmethod
    def docker(*arguments: str) -> str:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise PromiseBrokenError(f"docker {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def _make(self, *arguments: str) -> None:
        """Run make as a user types it; its output goes to the log, the end of it into the error."""
        environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.name,
            "AIRFLOW_PORT": str(self.airflow_port),
            "SAGEMAKER_PORT": str(self.sagemaker_port),
            "MLFLOW_PORT": str(self.mlflow_port),
            "ONLINE_PORT": str(self.online_port),
            "MODEL": self.model,
            "PROFILES": "mlflow online",
        }
        self.log.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["make", "--no-print-directory", *arguments],
            cwd=self.checkout,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        with self.log.open("a", encoding="utf-8") as file:
            file.write(done.stdout)
        if done.returncode:
            tail = "\n".join(done.stdout.splitlines()[-20:])
            raise PromiseBrokenError(f"make {' '.join(arguments)} failed ({self.log} has all of it):\n{tail}")


def patiently[T](ask: Callable[[], T], seconds: float = 120) -> T:
    """The answer of a service that may be restarting."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (httpx.TransportError, httpx.HTTPStatusError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def until(condition: Callable[[], bool], what: str, seconds: float) -> float:
    """Wait for it; the seconds that it took.

    Raises:
        PromiseBrokenError: it did not happen in time.
    """
    began = time.monotonic()
    while not patiently(condition):
        if time.monotonic() - began > seconds:
            raise PromiseBrokenError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.5)
    return time.monotonic() - began
