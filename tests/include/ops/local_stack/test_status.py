"""What ``make status`` says, according to the stack's services."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from include.ops.local_stack import services, status
from include.ops.local_stack.processes import Service
from include.ops.local_stack.settings import BUCKET, ROOT, Settings

MODEL = "predictive_maintenance"
NOW = datetime.now(UTC)
RUN = {"dag_id": f"train_{MODEL}", "state": "failed", "end_date": (NOW - timedelta(hours=3)).isoformat()}
QUESTION = {
    "subject": "Version 3 into production?",
    "task_instance": {"dag_id": f"deploy_{MODEL}", "dag_run_id": "manual__1", "task_id": "approve_production"},
}
VERSION = {"ModelPackageVersion": 3, "ModelApprovalStatus": "PendingManualApproval"}
ENTRIES = [
    {"version": 1, "from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"},
    {"version": 2, "from": "2026-02-01T00:00:00Z", "to": None},
]
ANSWERS: dict[str, Any] = {
    "/auth/token": {"access_token": "t"},
    "/api/v2/dags/~/dagRuns": {"dag_runs": [RUN, {**RUN, "state": "success"}]},
    "/api/v2/dags/~/dagRuns/~/hitlDetails": {"hitl_details": [QUESTION]},
    "/api/v2/dags": {"dags": [{"dag_id": "score_x", "timetable_summary": "off", "next_dagrun_run_after": None}]},
    f"/_local/s3/{BUCKET}/production/{MODEL}/history.json": {"entries": ENTRIES},
}


class Answering(BaseHTTPRequestHandler):
    """Airflow and the local SageMaker in one."""

    def do_GET(self) -> None:
        self._answer(ANSWERS.get(self.path.partition("?")[0]))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = asked["ModelPackageGroupName"] == MODEL.replace("_", "-")
        self._answer({"ModelPackageSummaryList": [VERSION]} if known else None, absent=400)

    def _answer(self, body: Any, absent: int = 404) -> None:
        content = json.dumps(body or {}).encode()
        self.send_response(200 if body is not None else absent)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class Server(ThreadingHTTPServer):
    request_queue_size = 64  # all requests come at the same time; the retry of a dropped connection would come too late


@pytest.fixture
def port() -> Iterator[int]:
    server = Server(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def shown(settings: Settings, *processes: Service) -> str:
    screen = io.StringIO()
    status.show(settings, list(processes), Console(file=screen, width=200))
    return screen.getvalue()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Service]:
    service = Service("airflow-scheduler", [sys.executable, "-c", "import time; time.sleep(60)"], {}, tmp_path)
    service.start()
    yield service
    service.stop()


def test_models_last_runs_and_what_waits(
    port: int, running: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_PORT", raising=False)
    said = shown(Settings(tmp_path, port, port), running, Service("supervisor", ["true"], {}, tmp_path))
    (row,) = [line for line in said.splitlines() if f" {MODEL} " in line]
    assert "2 since 2026-02-01" in row
    assert "3 PendingManualApproval" in row
    assert "failed 3 h ago" in row, "the newest run"
    assert "stopped: supervisor" in said
    form = f"http://127.0.0.1:{port}/dags/deploy_{MODEL}/runs/manual__1/tasks/approve_production/required_actions"
    assert f"waits for you: Version 3 into production? {form}" in said
    assert f"http://127.0.0.1:{port}/_local/" in said
    assert "'make down up SCHEDULES=1'" in said
    assert "MLflow           http://127.0.0.1:5001   (once started with: make mlflow)" in said


def test_mlflows_pages_are_where_they_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_PORT", "5999")
    pages = services.mlflow(Settings(tmp_path, 1, 1))
    assert [*pages.command[-4:]] == ["--port", "5999", "--backend-store-uri", f"sqlite:///{tmp_path}/mlflow/mlflow.db"]
    stub = Service(pages.name, [sys.executable, "-c", "import time; time.sleep(60)"], {}, tmp_path)
    stub.start()
    try:
        assert dict(services.addresses(Settings(tmp_path, 1, 1)))["MLflow"] == "http://127.0.0.1:5999"
    finally:
        stub.stop()


def test_what_starts_without_being_asked_is_named_with_its_time() -> None:
    due = {"timetable_summary": "0 3 * * 1", "next_dagrun_run_after": "2026-11-30T03:00:00Z"}
    asleep = {"dag_id": "deploy_x", "timetable_summary": "Asset", "next_dagrun_run_after": None}
    assert status.next_runs([asleep, {"dag_id": "train_x", **due}]) == [
        "runs on its own: train_x, next 2026-11-30 03:00 UTC"
    ]


def test_what_does_not_answer_is_named(running: Service, tmp_path: Path) -> None:
    said = shown(Settings(tmp_path, 1, 1), running)
    assert "Airflow (" in said
    assert "the local SageMaker (" in said
    assert "nothing waits" not in said
    (row,) = [line for line in said.splitlines() if f" {MODEL} " in line]
    assert row.count("?") == 6, "unknown is not none"


def test_nothing_runs(tmp_path: Path) -> None:
    assert "nothing runs. next: make up" in shown(Settings(tmp_path, 1, 1), Service("one", ["true"], {}, tmp_path))


def test_it_needs_none_of_the_slow_libraries() -> None:
    program = (
        "import sys; import include.ops.local_stack.status; print({'airflow', 'boto3', 'pandas'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("since", "words"),
    [(timedelta(minutes=5), "5 min ago"), (timedelta(hours=47), "47 h ago"), (timedelta(days=3), "3 d ago")],
)
def test_ages(since: timedelta, words: str) -> None:
    assert status.age(since) == words
