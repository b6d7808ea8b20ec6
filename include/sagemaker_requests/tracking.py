"""Jobs that keep MLflow's model versions beside SageMaker's registry."""

from __future__ import annotations

from include.config import MlEnvironment
from include.models.config import ModelConfig
from include.sagemaker_requests.common import Request
from include.sagemaker_requests.processing import processing
from include.storage import Run


def track_model_version(
    model: ModelConfig, environment: MlEnvironment, run: Run, *, mlflow_run_id: str, model_package_arn: str
) -> Request:
    arguments = ["--run-id", mlflow_run_id, "--model-package", model_package_arn]
    return processing(model, environment, run, "track_model_version", inputs={}, outputs={}, arguments=arguments)


def move_champion_alias(model: ModelConfig, environment: MlEnvironment, run: Run, *, model_package_arn: str) -> Request:
    arguments = ["--model-package", model_package_arn]
    return processing(model, environment, run, "move_champion_alias", inputs={}, outputs={}, arguments=arguments)
