"""A bundle unpacked as MWAA unpacks it, and Airflow's processes over it: as close to MWAA as one machine gets.

Like MWAA's: the layout of AIRFLOW_HOME, the packages and their versions, Python's path, the fixed configuration with
FabAuthManager, CeleryExecutor and new interpreters for tasks, the environment of the components, the startup script.
Substitutes: files for Celery's queue (MWAA: SQS), one machine for all components, key and secret for the role of the
environment, the local SageMaker for AWS.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from include.ops.local_stack.settings import BUCKET, REGION, Settings
from include.ops.mwaa.bundle import Bundle
from include.ops.mwaa.templates import configuration_options

STARTUP_SECONDS = 300  # MWAA gives up on a startup script after five minutes


class StartupError(RuntimeError):
    """startup.sh failed; the message has what it printed."""


@dataclass(frozen=True)
class MwaaHome(Settings):
    """Settings of a stack that runs a bundle. ``unpack`` comes first."""

    bundle: Bundle

    @property
    def environment_name(self) -> str:
        return "bundle-check"

    @property
    def airflow_home(self) -> Path:
        return self.home / "usr" / "local" / "airflow"

    @property
    def login(self) -> tuple[str, str]:
        return "check", self._secret("login")

    @property
    def code_root(self) -> Path:
        return self.bundle.path("code")

    def unpack(self) -> None:
        """An empty AIRFLOW_HOME laid out as on MWAA, with the artifacts in their places."""
        shutil.rmtree(self.airflow_home, ignore_errors=True)
        shutil.copytree(self.bundle.path("dags"), self.airflow_home / "dags")
        with zipfile.ZipFile(self.bundle.path("plugins")) as archive:
            archive.extractall(self.airflow_home / "plugins")
        for artifact, target in (("requirements", "requirements/requirements.txt"), ("startup", "startup/startup.sh")):
            (self.airflow_home / target).parent.mkdir()
            shutil.copyfile(self.bundle.path(artifact), self.airflow_home / target)
        (self.airflow_home / "config").mkdir()

    def airflow_command(self, *arguments: str) -> list[str]:
        return [self.python("mwaa"), "-P", "-m", "airflow", *arguments]

    def airflow_processes(self) -> dict[str, list[str]]:
        worker = ("celery", "worker", "--skip-serve-logs", "--concurrency", "4", "--without-gossip", "--without-mingle")
        return {**super().airflow_processes(), "airflow-worker": self.airflow_command(*worker)}

    def database_commands(self) -> list[list[str]]:
        user, password = self.login
        names = ("--firstname", "Bundle", "--lastname", "Check", "--email", "check@example.com")
        create = ("users", "create", "--username", user, "--password", password, "--role", "Admin", *names)
        return [*super().database_commands(), self.airflow_command(*create)]

    def airflow_environment(self) -> dict[str, str]:
        """Of every Airflow process. Neither the user's own environment nor this checkout is on Python's path."""
        configured = {
            f"AIRFLOW__{key.replace('.', '__').upper()}": value for key, value in self._configuration().items()
        }
        ports = {
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.airflow_port),
            "AIRFLOW__API__BASE_URL": self.airflow_url,
            "AIRFLOW__API__WORKERS": "1",
        }
        return {
            **configured,
            **ports,
            **self.startup_exports,
            **self._component(),
            **self.aws_environment(),
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            "AIRFLOW_HOME": str(self.airflow_home),
            "PYTHONPATH": "",
            "PYTHONSAFEPATH": "1",  # -P, for the processes that Airflow starts itself
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    @cached_property
    def startup_exports(self) -> dict[str, str]:
        """The variables that startup.sh exports to every process.

        Raises:
            StartupError: it failed, or took longer than MWAA waits.
        """
        environment = {"PATH": os.environ["PATH"], **self._component()}
        script = 'set -e; startup=$1; shift; source "$startup" >&2; env -0'
        try:
            done = subprocess.run(
                ["bash", "-c", script, "bash", str(self.bundle.path("startup"))],
                env=environment,
                capture_output=True,
                text=True,
                timeout=STARTUP_SECONDS,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise StartupError(f"startup.sh ended with {error.returncode}: {error.stderr.strip()[-500:]}") from error
        except subprocess.TimeoutExpired as error:
            raise StartupError(
                f"startup.sh took more than {STARTUP_SECONDS} s, which is all that MWAA gives"
            ) from error
        after = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
        shell = {"_", "PWD", "OLDPWD", "SHLVL"}
        return {key: value for key, value in after.items() if key not in {*environment, *shell}}

    def _component(self) -> dict[str, str]:
        return {
            "MWAA_AIRFLOW_COMPONENT": "worker",
            "AIRFLOW_ENV_NAME": self.environment_name,
            "AWS_EXECUTION_ENV": "Amazon_MWAA_3_3_1",
            "AWS_REGION": self.aws_environment()["AWS_REGION"],
        }

    def _configuration(self) -> dict[str, str]:
        """As "section.key": the template's own options, what MWAA fixes, and what this machine needs."""
        fixed = {
            "core.executor": "CeleryExecutor",
            "core.auth_manager": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "core.load_examples": "False",
            "core.multi_team": "False",
            "core.execute_tasks_new_python_interpreter": "True",
            "scheduler.standalone_dag_processor": "True",
            "scheduler.schedule_after_task_execution": "False",
            "scheduler.task_queued_timeout": "1800",
            "triggerer.queues_enabled": "False",
            "execution_api.jwt_expiration_time": "86400",
            "celery.worker_enable_remote_control": "False",
            "api.server_type": "gunicorn",
        }
        queue = self.home / "queue"
        queue.mkdir(parents=True, exist_ok=True)
        machine = {
            "core.dags_folder": str(self.airflow_home / "dags"),
            "core.plugins_folder": str(self.airflow_home / "plugins"),
            "core.execution_api_server_url": f"{self.airflow_url}/execution/",
            "core.fernet_key": "",
            "database.sql_alchemy_conn": self.postgres.url,
            "api.secret_key": self._secret("api_secret_key"),
            "api_auth.jwt_secret": self._secret("jwt_secret"),
            "celery.broker_url": "filesystem://",
            "celery.result_backend": f"db+{self.postgres.url}",
            "celery_broker_transport_options.data_folder_in": str(queue),
            "celery_broker_transport_options.data_folder_out": str(queue),
            "logging.base_log_folder": str(self.home / "airflow" / "logs"),
            "scheduler.enable_health_check": "False",
            "usage_data_collection.enabled": "False",
            "model_console.bucket": BUCKET,
            "model_console.region": REGION,
        }
        return {**configuration_options(), **fixed, **machine}
