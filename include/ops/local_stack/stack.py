"""Starts and stops the stack: ``python -m include.ops.local_stack.stack up|mlflow|down``.

Six processes: the local SageMaker, PostgreSQL, and Airflow's api-server, scheduler, dag-processor and triggerer; and a
supervisor that restarts dead ones. MLflow's pages are a process of their own, started on demand.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from include.ops.local_stack import supervisor
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.aws_env import write_aws_env
from include.ops.local_stack.command import under_way
from include.ops.local_stack.folders import make_folder
from include.ops.local_stack.processes import ProcessError, Service, wait_until
from include.ops.local_stack.seed import publish
from include.ops.local_stack.services import addresses, mlflow, services
from include.ops.local_stack.settings import Settings, SettingsError


def up(settings: Settings, say: Callable[[str], None]) -> None:
    """Starts what does not run yet, waits until everything is healthy, and publishes the current job code.

    Raises:
        ProcessError: a port is taken, or a process ended or did not become healthy.
    """
    all_services = services(settings)
    sagemaker, postgres, api_server = all_services[:3]
    for service, port, variable in (
        (sagemaker, settings.sagemaker_port, "SAGEMAKER_PORT"),
        (api_server, settings.airflow_port, "AIRFLOW_PORT"),
    ):
        if not service.process():
            require_port(port, f"make up {variable}=<port>")
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_folder(settings.home / "mlflow")
    if not all(service.process() for service in all_services):
        say("preparing Airflow's database")
        with under_way("preparing Airflow's database", say):
            _prepare_database(settings, postgres)
    started = [service for service in all_services if service.start()]
    if started:
        say(f"starting {', '.join(service.name for service in started)}")
    with under_way("waiting for Airflow", say):
        wait_until(
            lambda: answers(f"{settings.sagemaker_url}/_local/health"), "the local SageMaker answering", 30, [sagemaker]
        )
        wait_until(
            AirflowApi(settings.airflow_url, settings.login).is_healthy, "Airflow becoming healthy", 180, all_services
        )
    if settings.is_supervised:
        supervisor.service(settings).start()
        supervisor.announce(settings, say)
    publish(settings)
    write_aws_env(settings)


def show_mlflow(settings: Settings) -> None:
    """Serves the pages of the runs that jobs have tracked.

    Raises:
        ProcessError: the port is taken, or MLflow did not start.
    """
    pages = mlflow(settings)
    if not pages.process():
        require_port(settings.mlflow_port, "make mlflow MLFLOW_PORT=<port>")
    make_folder(settings.home / "mlflow")
    pages.start()
    wait_until(lambda: answers(f"{settings.mlflow_url}/health"), "MLflow answering", 120, [pages])


def down(settings: Settings, say: Callable[[str], None]) -> None:
    """Stops everything, Airflow first, so that no task loses SageMaker or the database while it runs."""
    sagemaker, postgres, *airflow = services(settings)
    supervisor.service(settings).stop()
    with ThreadPoolExecutor(len(airflow)) as pool:  # each takes seconds to end
        last = [postgres, sagemaker, mlflow(settings)]
        ended = [*pool.map(Service.stop, airflow), *map(Service.stop, last)]
    names = (service.name for service in (*airflow, *last))
    stopped = [name for name, had_run in zip(names, ended, strict=True) if had_run]
    say(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


def clear(settings: Settings) -> None:
    """Empties the home, for a test from scratch; generated data and builds are kept."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in settings.home.iterdir():
        if path.is_dir() and path.name not in ("data", "dist"):
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def _prepare_database(settings: Settings, postgres: Service) -> None:
    settings.postgres.initialise()
    postgres.start()
    wait_until(settings.postgres.is_ready, "PostgreSQL answering", 60, [postgres])
    log = settings.home / "logs" / "airflow-db-migrate.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": "/usr/bin:/bin", **settings.airflow_environment()}
    with log.open("wb") as output:
        for command in settings.database_commands():
            done = subprocess.run(
                command, env=environment, cwd=settings.home, stdout=output, stderr=subprocess.STDOUT, check=False
            )
            if done.returncode:
                raise ProcessError(
                    f"preparing Airflow's database failed (exit code {done.returncode}). The output is in {log}"
                )


def require_port(port: int, advice: str) -> None:
    """Raises ProcessError: another program listens there."""
    if _is_taken(port):
        raise ProcessError(f"port {port} is taken by another program. Choose one: {advice}")


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["up", "down", "mlflow"])
    action = parser.parse_args(argv).action
    try:
        settings = Settings.from_environment()
        if action == "up":
            began = time.monotonic()
            if os.environ.get("SCHEDULES") and all(service.process() for service in services(settings)):
                print("SCHEDULES is read when Airflow starts, and it runs already: make down up SCHEDULES=1")
            up(settings, print)
            for name, address in addresses(settings):
                print(f"{name:17}{address}")
            print(f"ready after {time.monotonic() - began:.0f} s; stop with: make down")
        elif action == "mlflow":
            with under_way("MLflow is starting", print):
                show_mlflow(settings)
            print(f"MLflow           {settings.mlflow_url}   (stopped with everything else by: make down)")
        else:
            down(settings, print)
    except (SettingsError, ProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
