"""MLflow's server and the jobs that track in it, killed in the middle: no run is left running, and what is lost is
reported."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from include.ops.local_stack.processes import free_ports
from include.ops.local_stack.settings import ROOT
from tests.faults.rows import Row

MODEL, ROWS, PATIENCE = "tracked", 400, 240.0
PYTHON = ROOT / ".venv" / "jobs" / "bin" / "python"


class _Lab:
    """A model of a made-up file, whose classes MLflow accepts in no name, its features, and a server."""

    def __init__(self, folder: Path) -> None:
        self.folder, (self.port,) = folder, free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        shutil.copytree(ROOT / "include", folder / "include", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "raw").mkdir()
        values = [row * 7919 % 97 for row in range(ROWS)]
        rows = [f'{x},{x % 5},"{("<=50K", "Fail, hard")[x > 60]}"' for x in values]
        (folder / "raw" / "rows.csv").write_text("\n".join(["x,n,y", *rows]) + "\n", encoding="utf-8")
        command = ("--name", MODEL, "--kind", "binary", "--data", "raw/rows.csv")
        self.finish(self.program("include.models.tabular.new_model", *command))
        model = ("--model", MODEL)
        self.finish(self.job("validate_raw_data", *model, "--raw", "raw", "--validated", "clean", "--report", "report"))
        self.finish(self.job("build_features", *model, "--validated", "clean", "--features", "features"))
        self.server = self.start_server()

    def program(self, name: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "SM_", "SAGEMAKER"))}
        return subprocess.Popen(
            [str(PYTHON), "-m", name, *arguments],
            cwd=self.folder,
            env={**clean, "PYTHONPATH": str(self.folder), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def job(self, name: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return self.program(f"include.jobs.{name}", *arguments, MLFLOW_TRACKING_URI=self.url, **variables)

    def finish(self, started: subprocess.Popen[str]) -> str:
        output, _ = started.communicate(timeout=PATIENCE)
        assert started.returncode == 0, output[-2000:]
        return output

    def start_server(self) -> subprocess.Popen[str]:
        store = f"sqlite:///{self.folder}/mlflow.db"
        places = ("--port", str(self.port), "--backend-store-uri", store, "--artifacts-destination", "artifacts")
        server = self.program("mlflow", "server", "--workers", "1", *places, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
        self.wait_until(lambda: httpx.get(f"{self.url}/health").is_success, "MLflow answering")
        return server

    def stop_server(self) -> None:
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()

    def train(self) -> subprocess.Popen[str]:
        places = {f"SM_CHANNEL_{name.upper()}": f"features/{name}" for name in ("train", "validation")}
        places |= {"SM_MODEL_DIR": "model", "SM_OUTPUT_DATA_DIR": "output", "SM_HPS": json.dumps({"model": MODEL})}
        return self.job("train_model", **places)

    def evaluate(self) -> dict[str, object]:
        """The content of metrics.json."""
        for name in ("model", "output"):
            with tarfile.open(self.folder / f"{name}.tar.gz", "w:gz") as archive:
                archive.add(self.folder / name, ".")
        places = ("--artifact", ".", "--features", "features", "--validated", "clean", "--training", ".")
        self.finish(self.job("evaluate_model", "--model", MODEL, *places, "--evaluation", "evaluation"))
        found: dict[str, object] = json.loads((self.folder / "evaluation" / "metrics.json").read_text())
        return found

    def runs(self) -> dict[str, str]:
        """The status of each run."""
        api, found = f"{self.url}/api/2.0/mlflow", dict[str, str]()
        experiment = httpx.get(f"{api}/experiments/get-by-name", params={"experiment_name": MODEL})
        if experiment.is_success:
            asked = {"experiment_ids": [experiment.json()["experiment"]["experiment_id"]]}
            for run in httpx.post(f"{api}/runs/search", json=asked).json().get("runs", []):
                found[run["info"]["run_id"]] = run["info"]["status"]
        return found

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                if holds():
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"no {what} within {PATIENCE:.0f} s")


def tracked(folder: Path, say: Callable[[str], None]) -> Row:
    """The runs of trainings that are killed, and of those whose server is."""
    row = Row("MLflow's server or the job killed in the middle of a tracked training", injected=3)
    lab = _Lab(folder)
    try:
        for strike in (_job_killed, _server_killed, _nothing_killed):
            say(f"        {strike.__name__.strip('_').replace('_', ' ')}")
            strike(lab)
            row.completed += 1
    except AssertionError as error:
        row.failures.append(str(error))
    finally:
        lab.stop_server()
    return row


def _job_killed(lab: _Lab) -> None:
    job = lab.train()
    lab.wait_until(lambda: bool(lab.runs()), "run in MLflow")
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert job.returncode == -signal.SIGKILL, "the job ended before it was killed"
    assert set(lab.runs().values()) == {"FAILED"}, lab.runs()


def _server_killed(lab: _Lab) -> None:
    before = lab.runs()
    job = lab.train()
    lab.wait_until(lambda: len(lab.runs()) > len(before), "second run in MLflow")
    lab.stop_server()
    assert "WARNING: MLflow tracking" in lab.finish(job), "the training job's log does not say what MLflow lacks"
    assert lab.evaluate().get("tracking"), "without a server, metrics.json does not say what MLflow lacks"
    lab.server = lab.start_server()
    assert lab.evaluate().get("tracking"), "with a new server, metrics.json does not say what MLflow lacks"
    assert set(lab.runs().values()) == {"FAILED"}, lab.runs()


def _nothing_killed(lab: _Lab) -> None:
    before = lab.runs()
    lab.finish(lab.train())
    assert not lab.evaluate().get("tracking"), "something was lost"
    assert {run: status for run, status in lab.runs().items() if run not in before}.popitem()[1] == "FINISHED"
