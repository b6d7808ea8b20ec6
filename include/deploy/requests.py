"""Requests for a version's endpoints, for ``EndpointOperator``, and for the job that moves MLflow's alias."""

from __future__ import annotations

from include.deploy.serving_modes import at_stage, mode_of
from include.deploy.traffic import VARIANT
from include.models.config import ModelConfig, Strategy
from include.models.config.files import SHADOW_VARIANT
from include.platform.environment import MlEnvironment
from include.platform.request_parts import Request, Stage, endpoint_name, group_name, owner_tags, processing
from include.platform.run_folders import Run
from include.registry.requests import hosted_model
from include.registry.versions import RegisteredVersion


def staging_endpoint(model: ModelConfig, environment: MlEnvironment, version: RegisteredVersion) -> Request:
    """Model, configuration and endpoint of a version in staging."""
    return _endpoint(at_stage(model, "staging"), environment, "staging", version)


def production_endpoint(
    model: ModelConfig, environment: MlEnvironment, version: RegisteredVersion, *, strategy: Strategy | None = None
) -> Request:
    """The same in production, with its traffic shift, the alarms that watch over it, and its scaling.

    The configuration is the same for both stages: production gets exactly the one that staging was tested with, unless
    model.yaml makes staging serverless. (The Models of a serverless endpoint differ by where each stage captures its
    requests.)

    Raises:
        RequestError: the model's endpoint does not support the chosen strategy.
    """
    return {
        **_endpoint(model, environment, "production", version),
        **mode_of(model).promotion(model, environment, strategy),
    }


def replaced_endpoint(model: ModelConfig, environment: MlEnvironment, version: RegisteredVersion) -> Request:
    """Production with a previous version whose configuration was deleted: with a new configuration, at once and
    regardless of alarms."""
    return {
        **_endpoint(model, environment, "production", version),
        **mode_of(model).restoration(model, environment),
    }


def restored_endpoint(model: ModelConfig, environment: MlEnvironment, *, version: int, config_name: str) -> Request:
    """Production with a previous configuration, at once and regardless of alarms."""
    return {
        "endpoint": _name_and_tags(model, environment, "production", version),
        "config_name": config_name,
        **mode_of(model).restoration(model, environment),
    }


def shadowed_endpoint(
    model: ModelConfig, environment: MlEnvironment, candidate: RegisteredVersion, *, champion: int, live: Request
) -> Request:
    """Production with its own variant as it is, and a candidate as its shadow variant.

    All requests are captured meanwhile: two samples, one of each variant's, would have few requests in common.

    Args:
        champion: the version in production.
        live: the configuration that production serves with, as SageMaker describes it.
    """
    mode = mode_of(model)
    variant = {"VariantName": f"{SHADOW_VARIANT}{candidate.version}", "InitialVariantWeight": 1.0}
    kept = ("ProductionVariants", "KmsKeyId")
    return {
        "endpoint": _name_and_tags(model, environment, "production", champion),
        "model": hosted_model(model, environment, image=candidate.image, artifact=candidate.artifact),
        "config": {
            "EndpointConfigName": group_name(model),
            **{name: live[name] for name in kept if name in live},
            "ShadowProductionVariants": [{**variant, **mode.variant(model.serving)}],
            "DataCaptureConfig": {**live["DataCaptureConfig"], "InitialSamplingPercentage": 100},
            "Tags": owner_tags(model, environment),
        },
        **mode.promotion(model, environment, "all_at_once"),
    }


def endpoint_config(model: ModelConfig, environment: MlEnvironment) -> Request:
    """An endpoint configuration without its Model's name, and with only the prefix of its own."""
    mode = mode_of(model)
    return {
        "EndpointConfigName": group_name(model),
        "ProductionVariants": [{"VariantName": VARIANT, "InitialVariantWeight": 1.0, **mode.variant(model.serving)}],
        "Tags": owner_tags(model, environment),
        **mode.config_settings(model, environment),
    }


def move_champion_alias(model: ModelConfig, environment: MlEnvironment, run: Run, *, model_package_arn: str) -> Request:
    arguments = ["--model-package", model_package_arn]
    return processing(model, environment, run, "move_champion_alias", inputs={}, outputs={}, arguments=arguments)


def _endpoint(model: ModelConfig, environment: MlEnvironment, stage: Stage, version: RegisteredVersion) -> Request:
    hosted = hosted_model(model, environment, image=version.image, artifact=version.artifact)
    return {
        "endpoint": _name_and_tags(model, environment, stage, version.version),
        "model": mode_of(model).hosted_model(model, environment, stage, hosted),
        "config": endpoint_config(model, environment),
    }


def _name_and_tags(model: ModelConfig, environment: MlEnvironment, stage: Stage, version: int) -> Request:
    tags = owner_tags(model, environment, stage=stage, version=str(version))
    return {"EndpointName": endpoint_name(model, stage), "Tags": tags}
