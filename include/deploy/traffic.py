"""How traffic moves to a new version on instances, the alarms that roll it back, and how instances scale."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from include.models.config import ModelConfig, Serving, Strategy
from include.models.config.serving import Deployment
from include.platform.borders import description
from include.platform.environment import MlEnvironment
from include.platform.request_parts import Request, Stage, endpoint_name, owner_tags

VARIANT = "AllTraffic"
# in both, SageMaker shifts at most half of the instances first:
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_TrafficRoutingConfig.html
IN_PARTS: tuple[Strategy, ...] = ("canary", "linear")
ALARM_SECONDS = 60  # SageMaker publishes endpoint metrics each minute
LONGEST_SHIFT = timedelta(hours=8)  # SageMaker then rolls back
QUICK_ALARM_SECONDS = 10  # if an environment speeds up traffic shifts, alarms must keep up


def strategy_of(serving: Serving, asked: Strategy | None) -> Strategy:
    """How traffic actually moves: a single instance cannot be halved, so it is replaced all at once, under the same
    alarms."""
    wanted = asked or serving.deployment.strategy
    return "all_at_once" if wanted in IN_PARTS and serving.instance_count == 1 else wanted


def deployment(model: ModelConfig, environment: MlEnvironment, strategy: Strategy | None) -> Request:
    """DeploymentConfig of UpdateEndpoint: blue/green, with auto-rollback by the alarms except for ``immediate``."""
    rule = model.serving.deployment
    chosen = strategy_of(model.serving, strategy)
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
            "MaximumExecutionTimeoutInSeconds": round(LONGEST_SHIFT.total_seconds()),
        },
        "AutoRollbackConfiguration": {
            "Alarms": [{"AlarmName": alarm["AlarmName"]} for alarm in alarms(model, environment)]
        },
    }


def longest_shift(rule: Deployment) -> timedelta:
    """How long traffic takes to move, at most: in steps, with a wait after each and one more at the end."""
    return min(timedelta(minutes=rule.wait_minutes) * (ceil(100 / rule.share_percent) + 1), LONGEST_SHIFT)


def alarms(model: ModelConfig, environment: MlEnvironment) -> list[Request]:
    """PutMetricAlarm for each alarm of the production endpoint. An endpoint without traffic raises no alarm."""
    name, rules = endpoint_name(model, "production"), model.serving.alarms
    variant = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": VARIANT}]
    common: Request = {
        "Period": ALARM_SECONDS if environment.traffic_step_seconds is None else QUICK_ALARM_SECONDS,
        "EvaluationPeriods": 1,
        "TreatMissingData": "notBreaching",
        "AlarmActions": [environment.sns_topic_arn] if environment.sns_topic_arn else [],
        "Tags": owner_tags(model, environment),
    }
    own: Request = {**common, "Namespace": "AWS/SageMaker", "Dimensions": variant}
    built: list[Request] = [
        {
            **own,
            "AlarmName": f"{name}-latency",
            "AlarmDescription": description(f"p99 of {name}'s ModelLatency is above {rules.p99_latency_ms} ms"),
            "MetricName": "ModelLatency",
            "ExtendedStatistic": "p99",
            "Threshold": rules.p99_latency_ms * 1000.0,  # the metric is in microseconds
            "ComparisonOperator": "GreaterThanThreshold",
        },
        {
            **own,
            "AlarmName": f"{name}-errors",
            "AlarmDescription": description(
                f"{name} answered more than {rules.errors_5xx} requests of a period with 5xx"
            ),
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
                "AlarmDescription": description(
                    f"{rule.statistic} of {rule.metric} is {'above' if upper else 'below'} its bound"
                ),
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
    """RegisterScalableTarget (``target``) and PutScalingPolicy (``policy``; none if the count is fixed)."""
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
