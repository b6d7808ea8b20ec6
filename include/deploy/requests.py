"""Endpoints: their configurations, how traffic moves to a new one, the alarms that take it back, and autoscaling."""

from __future__ import annotations

from typing import Any, Literal

from include.models.config import ModelConfig, Strategy
from include.platform.environment import MlEnvironment
from include.platform.request_parts import Request, RequestError, group_name, processing, tag_list
from include.platform.storage import Run, captured, data_capture
from include.registry.requests import hosted_model

Stage = Literal["staging", "production"]
VARIANT = "AllTraffic"
ALARM_SECONDS = 60  # SageMaker publishes endpoint metrics each minute
QUICK_ALARM_SECONDS = 10  # where an environment hurries through traffic shifts, alarms have to keep up


def endpoint_name(model: ModelConfig, stage: Stage) -> str:
    return f"{group_name(model)}-{stage}"


def endpoint(
    model: ModelConfig,
    environment: MlEnvironment,
    stage: Stage,
    *,
    version: int,
    image: str,
    artifact: str,
    strategy: Strategy | None = None,
) -> dict[str, Any]:
    """All that ``EndpointOperator`` makes of one version: model, configuration, endpoint, and for production how its
    traffic moves, with the alarms that watch over that, and its scaling.

    The configuration is the same for both stages: production gets the very one that staging was tested with. (Of a
    serverless endpoint the Models differ by where each stage keeps its requests.)

    Raises:
        RequestError: a strategy was asked for that the model's endpoint does not know.
    """
    if strategy and model.serving.mode == "serverless":
        raise RequestError(f"{model.name} is served serverless, which has no traffic shifting; leave strategy empty")
    wanted = {
        "endpoint": _endpoint(model, environment, stage, version),
        "model": _model(model, environment, stage, image=image, artifact=artifact),
        "config": endpoint_config(model, environment),
    }
    if stage == "staging" or model.serving.mode == "serverless":
        return wanted
    return {
        **wanted,
        "deployment": deployment(model, environment, strategy),
        "alarms": alarms(model, environment),
        "scaling": scaling(model, stage),
    }


def _model(model: ModelConfig, environment: MlEnvironment, stage: Stage, *, image: str, artifact: str) -> Request:
    """The Model behind an endpoint; a serverless one takes no VPC, and its program keeps requests itself."""
    request = hosted_model(model, environment, image=image, artifact=artifact)
    if model.serving.mode == "provisioned":
        return request
    without_vpc = {key: value for key, value in request.items() if key != "VpcConfig"}
    if not model.serving.data_capture_percent:
        return without_vpc
    kept = {
        "REQUEST_LOG_S3_URI": captured(environment.bucket, endpoint_name(model, stage), VARIANT),
        "REQUEST_LOG_PERCENT": str(model.serving.data_capture_percent),
    }
    return {**without_vpc, "PrimaryContainer": {**request["PrimaryContainer"], "Environment": kept}}


def returning(model: ModelConfig, environment: MlEnvironment, *, version: int, config_name: str) -> dict[str, Any]:
    """Production with a configuration that it had before, at once and whatever the alarms say."""
    wanted = {"endpoint": _endpoint(model, environment, "production", version), "config_name": config_name}
    if model.serving.mode == "serverless":
        return wanted
    return {
        **wanted,
        "deployment": deployment(model, environment, "immediate"),
        "scaling": scaling(model, "production"),
    }


def endpoint_config(model: ModelConfig, environment: MlEnvironment) -> Request:
    """An endpoint configuration without the name of its Model, and with only the beginning of its own."""
    serving = model.serving
    variant: Request = {"VariantName": VARIANT, "InitialVariantWeight": 1.0}
    if serving.mode == "serverless":
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": serving.serverless.memory_mb,
            "MaxConcurrency": serving.serverless.max_concurrency,
        }
    else:
        variant |= {"InstanceType": serving.instance_type, "InitialInstanceCount": serving.instance_count}
    request: Request = {
        "EndpointConfigName": group_name(model),
        "ProductionVariants": [variant],
        "Tags": tag_list({**environment.tags, "model": model.name, "owner": model.owner}),
    }
    if environment.kms_key_id and serving.mode == "provisioned":
        request["KmsKeyId"] = environment.kms_key_id
    if serving.data_capture_percent and serving.mode == "provisioned":
        request["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": serving.data_capture_percent,
            "DestinationS3Uri": data_capture(environment.bucket),
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {
                "CsvContentTypes": ["text/csv"],
                "JsonContentTypes": ["application/json", "application/jsonlines"],
            },
            **({"KmsKeyId": environment.kms_key_id} if environment.kms_key_id else {}),
        }
    return request


def deployment(model: ModelConfig, environment: MlEnvironment, strategy: Strategy | None) -> Request:
    """DeploymentConfig of UpdateEndpoint: blue/green, with auto-rollback by the alarms but for ``immediate``."""
    rule = model.serving.deployment
    chosen = strategy or rule.strategy
    if chosen == "immediate":
        return {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
                "TerminationWaitInSeconds": 0,
            }
        }
    hurried = environment.traffic_step_seconds
    seconds = rule.wait_minutes * 60 if hurried is None else hurried
    routing: Request = {"Type": chosen.upper(), "WaitIntervalInSeconds": seconds}
    if chosen != "all_at_once":
        size = {"Type": "CAPACITY_PERCENT", "Value": rule.share_percent}
        routing["CanarySize" if chosen == "canary" else "LinearStepSize"] = size
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": seconds,
            "MaximumExecutionTimeoutInSeconds": 8 * 60 * 60,
        },
        "AutoRollbackConfiguration": {
            "Alarms": [{"AlarmName": alarm["AlarmName"]} for alarm in alarms(model, environment)]
        },
    }


def alarms(model: ModelConfig, environment: MlEnvironment) -> list[Request]:
    """PutMetricAlarm for each alarm of the production endpoint. No traffic is no alarm."""
    name, rules = endpoint_name(model, "production"), model.serving.alarms
    variant = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": VARIANT}]
    common: Request = {
        "Period": ALARM_SECONDS if environment.traffic_step_seconds is None else QUICK_ALARM_SECONDS,
        "EvaluationPeriods": 1,
        "TreatMissingData": "notBreaching",
        "AlarmActions": [environment.sns_topic_arn] if environment.sns_topic_arn else [],
        "Tags": tag_list({**environment.tags, "model": model.name, "owner": model.owner}),
    }
    own: Request = {**common, "Namespace": "AWS/SageMaker", "Dimensions": variant}
    built: list[Request] = [
        {
            **own,
            "AlarmName": f"{name}-latency",
            "AlarmDescription": f"p99 of {name}'s ModelLatency is above {rules.p99_latency_ms} ms",
            "MetricName": "ModelLatency",
            "ExtendedStatistic": "p99",
            "Threshold": rules.p99_latency_ms * 1000.0,  # the metric is in microseconds
            "ComparisonOperator": "GreaterThanThreshold",
        },
        {
            **own,
            "AlarmName": f"{name}-errors",
            "AlarmDescription": f"{name} answered more than {rules.errors_5xx} requests of a period with 5xx",
            "MetricName": "Invocation5XXErrors",
            "Statistic": "Sum",
            "Threshold": float(rules.errors_5xx),
            "ComparisonOperator": "GreaterThanThreshold",
        },
    ]
    for rule in rules.custom:
        upper = rule.max is not None
        built.append(
            {
                **common,
                "AlarmName": f"{name}-{rule.name}",
                "AlarmDescription": f"{rule.statistic} of {rule.metric} is {'above' if upper else 'below'} its bound",
                "Namespace": rule.namespace,
                "MetricName": rule.metric,
                "Dimensions": variant[:1],
                "Statistic": rule.statistic,
                "Threshold": rule.max if upper else rule.min,
                "ComparisonOperator": "GreaterThanThreshold" if upper else "LessThanThreshold",
            }
        )
    return built


def scaling(model: ModelConfig, stage: Stage) -> Request:
    """RegisterScalableTarget (``target``) and PutScalingPolicy (``policy``; none where the count is fixed)."""
    serving = model.serving
    resource = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint_name(model, stage)}/variant/{VARIANT}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    if serving.autoscaling is None:
        return {"target": resource, "policy": None}
    return {
        "target": {
            **resource,
            "MinCapacity": serving.instance_count,
            "MaxCapacity": serving.autoscaling.max_instances,
        },
        "policy": {
            **resource,
            "PolicyName": "invocations-per-instance",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": float(serving.autoscaling.invocations_per_instance),
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance",
                },
                "ScaleInCooldown": 300,
                "ScaleOutCooldown": 60,
            },
        },
    }


def move_champion_alias(model: ModelConfig, environment: MlEnvironment, run: Run, *, model_package_arn: str) -> Request:
    arguments = ["--model-package", model_package_arn]
    return processing(model, environment, run, "move_champion_alias", inputs={}, outputs={}, arguments=arguments)


def _endpoint(model: ModelConfig, environment: MlEnvironment, stage: Stage, version: int) -> Request:
    tags = {"model": model.name, "owner": model.owner, "stage": stage, "version": str(version)}
    return {"EndpointName": endpoint_name(model, stage), "Tags": tag_list({**environment.tags, **tags})}
