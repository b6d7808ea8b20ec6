"""The jobs that a run started, as the local SageMaker describes them."""

from __future__ import annotations

import json
from typing import Any

import boto3

JOB_LISTS = (
    ("list_processing_jobs", "ProcessingJobSummaries", "describe_processing_job", "ProcessingJobName", "Processing"),
    ("list_training_jobs", "TrainingJobSummaries", "describe_training_job", "TrainingJobName", "Training"),
)


def seconds_of_jobs(url: str, run_folder: str) -> list[float]:
    """Seconds from start to end of each of the run's jobs."""
    sagemaker: Any = boto3.client(
        "sagemaker", endpoint_url=url, region_name="us-east-1", aws_access_key_id="local", aws_secret_access_key="local"
    )
    found = []
    for list_jobs, summaries, describe, name, kind in JOB_LISTS:
        for summary in getattr(sagemaker, list_jobs)(MaxResults=100)[summaries]:
            job = getattr(sagemaker, describe)(**{name: summary[name]})
            if run_folder in json.dumps(job, default=str):
                found.append((job[f"{kind}EndTime"] - job[f"{kind}StartTime"]).total_seconds())
    return found
