"""docker-compose.yaml's ``seed``, once Airflow and the local SageMaker answer: publishes and seeds, as on a laptop, for
every model. What already exists is left alone. Jobs get the addresses of MLflow and Kafka if those run too."""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass
from functools import partial

from include.models.config import ConfigError, load_model, model_names
from include.ops import Json
from include.ops.local_stack.raw_data import RawDataError, daily_raw_data
from include.ops.local_stack.seed import SeedError, publish, seed, upload_days
from include.ops.local_stack.settings import Settings

PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class ContainerSettings(Settings):
    """The stack as its containers see it: host names are names of services."""

    @property
    def airflow_url(self) -> str:
        return "http://airflow-api-server:8080"

    @property
    def sagemaker_url(self) -> str:
        return os.environ["AWS_ENDPOINT_URL"]

    @property
    def mlflow_uri(self) -> str | None:
        return "http://mlflow:5000" if answers("mlflow", 5000) else None

    @property
    def kafka(self) -> dict[str, str] | None:
        there = answers("kafka", 9092)
        return {"bootstrap_servers": "kafka:9092", "security_protocol": "PLAINTEXT"} if there else None

    def ml_environment(self, code_hash: str) -> Json:
        facts = super().ml_environment(code_hash)
        print(f"MLflow: {facts['mlflow_tracking_uri'] or 'none'}; Kafka: {facts['kafka'] or 'none'}", flush=True)
        return {**facts, "publish_from": None}  # an image is published as a whole


def answers(service: str, port: int, patience: float = PATIENCE_SECONDS) -> bool:
    """Whether the service runs: only then does Docker know its name. Waits for one that is starting.

    Raises:
        SeedError: it runs but does not answer.
    """
    try:
        socket.getaddrinfo(service, port)
    except socket.gaierror:
        return False
    deadline = time.monotonic() + patience
    while True:
        try:
            socket.create_connection((service, port), timeout=5).close()
        except OSError as error:
            if time.monotonic() > deadline:
                reason = f"{service} runs, but port {port} does not answer after {patience:.0f} s: {error}"
                raise SeedError(f"{reason}. See: docker compose logs {service}") from error
            time.sleep(1)
        else:
            return True


def main() -> int:
    settings = ContainerSettings.from_environment()
    say = partial(print, flush=True)
    try:
        publish(settings)
        for model in model_names():
            seed(settings, model, None, say)
            if load_model(model).scoring:
                upload_days(settings, model, daily_raw_data(settings.python("jobs"), settings.home, model, say), say)
    except (ConfigError, RawDataError, SeedError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
