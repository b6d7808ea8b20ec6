"""Reports, once a week, endpoints that cost money but get no requests."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import Context
from botocore.exceptions import ClientError

from include.deploy.serving_modes import at_stage, mode_of
from include.models.config import ModelConfig
from include.models.config.wording import counted
from include.platform.clients import cloudwatch_client, error_code, s3_client, sagemaker_client
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.notifications import notify
from include.platform.objects import read_json, write_text
from include.platform.request_parts import Stage, endpoint_name
from include.platform.storage import idle_told
from include.registry.history import now

if TYPE_CHECKING:
    from types_boto3_cloudwatch.client import CloudWatchClient
    from types_boto3_sagemaker.client import SageMakerClient

log = logging.getLogger(__name__)

IDLE_FOR = timedelta(days=7)  # also the interval between reports
PERIOD = 300  # seconds
PROBES = 3  # requests in a period that may come from health checks and the console
STAGES: tuple[Stage, ...] = ("production", "staging")


def name_idle_endpoints(models: Sequence[ModelConfig], context: Context) -> list[str]:
    """Reports the endpoints that had nothing but probes for a week; returns them."""
    environment = ml_environment()
    s3, told = s3_client(environment), idle_told(environment.bucket)
    last = read_json(s3, told)
    if last and now() - datetime.fromisoformat(last["told_at"]) < IDLE_FOR:
        log.info("last looked for idle endpoints on %s; next a week later", last["told_at"])
        return []
    sagemaker, cloudwatch = sagemaker_client(environment), cloudwatch_client(environment)
    idle = {
        name: _price(at_stage(model, stage), environment)
        for model in models
        for stage in STAGES
        for name in [endpoint_name(model, stage)]
        if _is_paid_for(sagemaker, name) and _is_idle(cloudwatch, name)
    }
    if idle:
        lines = "\n".join(f"- {name}{price}" for name, price in idle.items())
        notify(
            counted(len(idle), "idle endpoint"),
            f"For {IDLE_FOR.days} days, no five minutes had more than {PROBES} requests, as health checks send:\n"
            f"{lines}\n\nWhat to do: trigger the Dag retire for the model, or set serving.mode: serverless in its "
            "model.yaml and promote it again. This report comes once a week.",
        )
    write_text(s3, told, json.dumps({"told_at": now().isoformat(), "idle": list(idle)}))
    return list(idle)


def _is_paid_for(sagemaker: SageMakerClient, name: str) -> bool:
    """Whether the endpoint exists, runs on instances, and has been unchanged for long enough to tell."""
    try:
        found = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if error_code(error) == "ValidationException":
            return False
        raise
    serverless = any("CurrentServerlessConfig" in variant for variant in found.get("ProductionVariants", []))
    return not serverless and now() - found["LastModifiedTime"] > IDLE_FOR


def _is_idle(cloudwatch: CloudWatchClient, name: str) -> bool:
    dimensions = [{"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": "AllTraffic"}]
    metric = {"Namespace": "AWS/SageMaker", "MetricName": "Invocations", "Dimensions": dimensions}
    asked = {"Id": "requests", "MetricStat": {"Metric": metric, "Period": PERIOD, "Stat": "Sum"}}
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[asked],  # type: ignore[list-item] # its parts are typed one by one
        StartTime=now() - IDLE_FOR,
        EndTime=now(),
    )
    values = (value for page in pages for result in page["MetricDataResults"] for value in result["Values"])
    return max(values, default=0) <= PROBES


def _price(model: ModelConfig, environment: MlEnvironment) -> str:
    usd = mode_of(model).monthly_usd(model.serving, environment.region)
    return "" if usd is None else f", about {usd:.0f} USD a month"
