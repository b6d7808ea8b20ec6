"""What docker-compose.yaml's ``seed`` does once Airflow and the local SageMaker answer: publish and seed, as on a
laptop, for every model. What is already there is left alone."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import partial

from include.laptop.raw_data import RawDataError
from include.laptop.seed import SeedError, publish, seed
from include.laptop.settings import Settings
from include.models.config import ConfigError, model_names


@dataclass(frozen=True)
class ContainerSettings(Settings):
    """The stack as its containers see it: addresses are names of services, and there is no MLflow store in a file."""

    @property
    def airflow_url(self) -> str:
        return "http://airflow-api-server:8080"

    @property
    def sagemaker_url(self) -> str:
        return os.environ["AWS_ENDPOINT_URL"]

    @property
    def mlflow_uri(self) -> str | None:
        return os.environ.get("MLFLOW_TRACKING_URI")


def main() -> int:
    settings = ContainerSettings.from_environment()
    say = partial(print, flush=True)
    try:
        publish(settings)
        say(f"published the job code; MLflow: {settings.mlflow_uri or 'none'}")
        for model in model_names():
            seed(settings, model, None, say)
    except (ConfigError, RawDataError, SeedError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
