"""A laptop stack to inject faults into: the proxy is in front of its SageMaker, test Dags are next to the real ones,
and Airflow's timeouts for dead processes are cut from minutes to seconds."""

from __future__ import annotations

import dataclasses
import json
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import httpx
import psutil
import psycopg2
from botocore.exceptions import ClientError

from include.ops.local_stack import stack
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.processes import Service
from include.ops.local_stack.seed import aws_client
from include.ops.local_stack.services import services
from include.ops.local_stack.settings import ROOT, Settings
from sagemaker_jobs.kinds import KINDS, PROCESSING, JobKind
from sagemaker_jobs.names import job_name
from tests.faults.proxy import Proxy
from tests.include.local_sagemaker.local_server import free_port

ACTIVE = ("InProgress", "Stopping")
FINISHED = ("success", "failed")
ROOMY = {
    "dag_processor": {"min_file_process_interval": "120"},  # Dags do not change here
    "core": {"parallelism": "16", "max_active_tasks_per_dag": "64", "max_active_runs_per_dag": "64"},
    "sagemaker_jobs": {"job_wait": "5"},  # waiting tasks are deferred, as on AWS, and struck while they are
}
IMPATIENT = {  # dead processes are noticed soon; on a busier machine, live ones might be taken for dead
    "scheduler": {
        "task_instance_heartbeat_timeout": "30",
        "task_instance_heartbeat_timeout_detection_interval": "3",
        "scheduler_health_check_threshold": "30",
        "scheduler_heartbeat_sec": "2",
        "orphaned_tasks_check_interval": "5",
    },
    "triggerer": {"triggerer_health_check_threshold": "20", "job_heartbeat_sec": "2"},
}
T = TypeVar("T")


class FaultsError(AssertionError):
    """An expected event did not happen in time; the message says which."""


@dataclass(frozen=True)
class FaultySettings(Settings):
    """A stack whose Airflow talks to SageMaker through the proxy."""

    proxy_url: str = ""
    impatient: bool = True

    def aws_environment(self) -> dict[str, str]:
        return {**super().aws_environment(), "AWS_ENDPOINT_URL": self.proxy_url}

    @property
    def markers(self) -> Path:
        return self.home / "markers"

    def airflow_environment(self) -> dict[str, str]:
        folders = {"dags-folder": ROOT / "dags", "faults": ROOT / "tests" / "faults" / "dags"}
        bundles = [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder), "refresh_interval": 30},
            }
            for name, folder in folders.items()
        ]
        options = ROOMY | IMPATIENT if self.impatient else ROOMY
        changed = {
            f"AIRFLOW__{section.upper()}__{key.upper()}": value
            for section, keys in options.items()
            for key, value in keys.items()
        }
        return {
            **super().airflow_environment(),
            **changed,
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "FAULTS_MARKERS": str(self.markers),
        }


@dataclass(frozen=True)
class Run:
    """A Dag run in which only the task ``run_job`` matters."""

    dag_id: str
    run_id: str
    kind: JobKind = PROCESSING
    task_id: str = "run_job"
    map_index: int = -1

    def job(self, generation: int = 1, attempt: int = 1) -> str:
        task_instance: Any = SimpleNamespace(**dataclasses.asdict(self))
        return job_name(self.kind, task_instance, generation, attempt)


@dataclass
class Lab:
    """The stack, its clients, and the ways to damage it. An impatient stack notices dead processes soon."""

    home: Path
    say: Callable[[str], None] = print
    impatient: bool = True
    settings: FaultySettings = field(init=False)
    proxy: Proxy = field(init=False)
    services: dict[str, Service] = field(init=False)
    abandoned: threading.Event = field(default_factory=threading.Event)  # once set, nothing is waited for any more
    _local: threading.local = field(default_factory=threading.local)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __enter__(self) -> Lab:
        airflow_port, sagemaker_port = free_port(), free_port()
        self.proxy = Proxy(f"http://127.0.0.1:{sagemaker_port}")
        self.proxy.start()
        self.settings = FaultySettings(
            self.home, airflow_port, sagemaker_port, proxy_url=self.proxy.url, impatient=self.impatient
        )
        self.settings.markers.mkdir(parents=True, exist_ok=True)
        self.services = {service.name: service for service in services(self.settings)}
        sagemaker = self.services["local-sagemaker"]
        # the first path that has the program wins
        at = list(sagemaker.command).index("--path")
        command = [*sagemaker.command[:at], "--path", str(ROOT / "tests" / "faults" / "bin"), *sagemaker.command[at:]]
        many = dataclasses.replace(sagemaker, command=[*command, "--max-jobs", "32"])
        self.services["local-sagemaker"] = many
        self.home.mkdir(parents=True, exist_ok=True)
        many.start()
        try:
            stack.up(self.settings, self.say)
            self.until(lambda: {"one_job", "many_jobs"} <= set(self.airflow.dag_ids()), "the test Dags", 120)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        stack.down(self.settings, self.say)
        self.proxy.stop()

    @property
    def airflow(self) -> AirflowApi:
        """A client per thread."""
        if not hasattr(self._local, "airflow"):
            self._local.airflow = AirflowApi(self.settings.airflow_url)
        client: AirflowApi = self._local.airflow
        return client

    @property
    def sagemaker(self) -> Any:
        """A client that bypasses the proxy and sees the real state."""
        if not hasattr(self._local, "sagemaker"):
            with self._lock:
                self._local.sagemaker = aws_client(self.settings, "sagemaker")
        return self._local.sagemaker

    # --- runs and their jobs

    def start_run(self, dag_id: str = "one_job", kind: str = "processing", **conf: Any) -> Run:
        run_id = self.until(lambda: self.airflow.trigger(dag_id, conf), f"a run of {dag_id}", 60)
        return Run(dag_id, run_id, KINDS[kind])

    def tasks(self, run: Run) -> list[dict[str, Any]]:
        """The run's task instances, from the database: asking the API server that often would itself be a fault."""
        columns = ("task_id", "map_index", "state", "pid", "try_number")
        query = f"SELECT {', '.join(columns)} FROM task_instance WHERE dag_id = %s AND run_id = %s"  # noqa: S608
        return [dict(zip(columns, row, strict=True)) for row in self.select(query, run.dag_id, run.run_id)]

    def task(self, run: Run) -> dict[str, Any]:
        return next((each for each in self.tasks(run) if each["task_id"] == run.task_id), {"state": None, "pid": None})

    def run_state(self, run: Run) -> str:
        query = "SELECT state FROM dag_run WHERE dag_id = %s AND run_id = %s"
        return next((row[0] for row in self.select(query, run.dag_id, run.run_id)), "")

    def select(self, query: str, *values: str) -> list[Any]:
        """Rows of Airflow's database."""
        folder = str(self.settings.postgres.socket_folder)
        with (
            closing(psycopg2.connect(host=folder, user="airflow", dbname="postgres")) as database,
            database.cursor() as cursor,
        ):
            cursor.execute(query, values)
            return list(cursor.fetchall())

    def jobs(self, run: Run) -> dict[str, dict[str, Any]]:
        """Descriptions of all jobs that the run's task ever started, of every generation, by name."""
        found = {}
        for generation in range(1, 4):
            for attempt in range(1, 6):
                name = run.job(generation, attempt)
                description = self.describe(run.kind, name)
                if description is not None:  # the first attempt may never have got this far
                    found[name] = description
        return found

    def describe(self, kind: JobKind, name: str) -> dict[str, Any] | None:
        try:
            description: dict[str, Any] = getattr(self.sagemaker, f"describe_{kind.api}")(**{kind.name_field: name})
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ValidationException", "ResourceNotFound"):
                return None
            raise
        return description

    def wait_run(self, run: Run, seconds: float = 300) -> str:
        return self.until(
            lambda: (state := self.run_state(run)) in FINISHED and state,
            f"{run.dag_id} {run.run_id} finishing",
            seconds,
        )

    def wait_task(self, run: Run, *states: str, seconds: float = 180) -> None:
        self.until(lambda: self.task(run)["state"] in states, f"{run.run_id} being {' or '.join(states)}", seconds)

    def wait_trigger(self, run: Run) -> None:
        """Wait until the task is deferred and its trigger runs."""
        self.wait_task(run, "deferred")
        query = """SELECT triggerer_id FROM trigger JOIN task_instance ON trigger.id = task_instance.trigger_id
            WHERE dag_id = %s AND run_id = %s AND triggerer_id IS NOT NULL"""
        self.until(lambda: self.select(query, run.dag_id, run.run_id), f"a triggerer for {run.run_id}", 60)
        time.sleep(3)

    def wait_job(self, run: Run, *statuses: str, attempt: int = 1, seconds: float = 180) -> None:
        def has_status() -> bool:
            description = self.describe(run.kind, run.job(1, attempt))
            return description is not None and run.kind.status(description) in statuses

        self.until(has_status, f"the job of {run.run_id} being {' or '.join(statuses)}", seconds)

    def end_job(self, run: Run) -> None:
        """Tell a job that was started with ``until_told`` to end."""
        (self.settings.markers / f"{run.run_id}.end").touch()

    def end_pause(self, run: Run, place: str) -> None:
        """Let a task that pauses at this place continue."""
        (self.settings.markers / f"{run.run_id}.{place}.over").touch()

    def wait_marker(self, run: Run, place: str, seconds: float = 180) -> None:
        marker = self.settings.markers / f"{run.run_id}.{place}"
        self.until(marker.exists, f"{run.run_id} coming to its {place}", seconds)

    def until(self, condition: Callable[[], T], what: str, seconds: float) -> T:
        """The condition's first true value; waits for an API server or SageMaker that is away meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.abandoned.is_set():
            try:
                if value := condition():
                    return value
            except (httpx.HTTPError, ClientError, OSError, psycopg2.OperationalError):
                pass
            time.sleep(0.25)
        raise FaultsError(f"waited {seconds:.0f} s for {what}")

    # --- what a person does

    def set_task_state(self, run: Run, state: str) -> None:
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{run.task_id}"
        self.airflow.call("PATCH", path, json={"new_state": state})

    def set_run_state(self, run: Run, state: str) -> None:
        self.airflow.call("PATCH", f"/dags/{run.dag_id}/dagRuns/{run.run_id}", json={"state": state})

    def clear_task(self, run: Run) -> None:
        body = {
            "dag_run_id": run.run_id,
            "task_ids": [run.task_id],
            "dry_run": False,
            "only_failed": False,
            "include_downstream": True,
            "reset_dag_runs": True,
        }
        self.airflow.call("POST", f"/dags/{run.dag_id}/clearTaskInstances", json=body)

    # --- what the night does

    def kill_worker(self, run: Run, how: signal.Signals) -> None:
        """Kill the worker and the task's process, as when their container ends: with SIGTERM first, or SIGKILL."""
        pid = self.until(lambda: self.task(run)["pid"], f"a process of {run.run_id}", 30)
        try:
            task = psutil.Process(pid)
            worker = task.parent()
        except psutil.NoSuchProcess as error:
            raise FaultsError(f"the process of {run.run_id} was gone before it could be killed") from error
        _end([process for process in (worker, task) if process], how, patience=3)

    def kill_service(self, name: str, how: signal.Signals) -> None:
        """Kill a component of Airflow with all its processes; it then restarts, as its container would."""
        with self._lock:
            service = self.services[name]
            process = service.process()
            if process is None:
                raise FaultsError(f"{name} was not running: {service.tail()}")
            children = process.children(recursive=True)
            if how == signal.SIGTERM:
                _end([process], how, patience=10)
                _end([child for child in children if child.is_running()], signal.SIGKILL)
            else:
                _end([process, *children], how)
            service.start()

    def away(self, name: str) -> Service:
        """Kill a component and leave it dead; its ``start`` brings it back."""
        service = self.services[name]
        process = service.process()
        if process:
            _end([process, *process.children(recursive=True)], signal.SIGKILL)
        return service


def _end(processes: list[psutil.Process], how: signal.Signals, patience: float = 0) -> None:
    for process in processes:
        try:
            process.send_signal(how)
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=patience or 5)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
