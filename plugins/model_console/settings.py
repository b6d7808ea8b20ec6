"""Where the console finds the models: section ``model_console`` of Airflow's configuration.

A laptop and the containers set it in the environment (``AIRFLOW__MODEL_CONSOLE__BUCKET``), on MWAA among the
environment's configuration options.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from airflow.configuration import conf

SECTION = "model_console"


@dataclass(frozen=True)
class Settings:
    """``bucket`` of the models' data, and its AWS ``region``; ``local_sagemaker``: the address of a local SageMaker
    that browsers can reach, empty on AWS."""

    bucket: str
    region: str
    local_sagemaker: str = ""


class NotConfiguredError(Exception):
    """The console does not know its bucket; the message says what to set."""


@cache
def settings() -> Settings:
    """Raises NotConfiguredError: the configuration has no bucket or no region."""
    bucket, region = conf.get(SECTION, "bucket", fallback=""), conf.get(SECTION, "region", fallback="")
    if not bucket or not region:
        raise NotConfiguredError(
            f"Airflow's configuration has no {SECTION}.bucket or {SECTION}.region, so the console cannot find the "
            "models. Set both: on MWAA they are configuration options of the environment (include/ops/infra/"
            f"environment.yaml), elsewhere AIRFLOW__{SECTION.upper()}__BUCKET and _REGION of the API server."
        )
    return Settings(bucket, region, conf.get(SECTION, "local_sagemaker", fallback=""))
