"""Jobs run as programs, with the code laid out as in a job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MODEL = "predictive_maintenance"
HYPERPARAMETERS = {"model": MODEL, "num_boost_round": "40", "num_leaves": "15"}


@dataclass(frozen=True)
class Jobs:
    """Runs ``python -m include.jobs.<name>`` from a folder that holds only jobs/ and models/."""

    code: Path

    def run(self, name: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return self._python(["-m", f"include.jobs.{name}", *map(str, arguments)], variables)

    def run_code(self, program: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """A program next to the jobs."""
        return self._python(["-c", program, *map(str, arguments)], variables)

    def _python(self, arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "SM_", "SAGEMAKER"))}
        return subprocess.run(
            [sys.executable, *arguments],
            env={**clean, "PYTHONPATH": str(self.code), **variables},
            cwd=self.code,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )


@dataclass(frozen=True)
class Trained:
    """train_model's results: the unpacked artifact, the folder with model.tar.gz, and the output."""

    model: Path
    packed: Path
    output: str
    tracking_uri: str

    @property
    def mlflow_run_id(self) -> str:
        """The content of training.json."""
        return str(json.loads((self.model.parent / "output" / "training.json").read_text())["mlflow_run_id"])
