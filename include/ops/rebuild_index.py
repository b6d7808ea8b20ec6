"""Rebuilds the console's index objects from their sources: registry, production history, scores, drift.

    PYTHONPATH=.:plugins .venv/airflow/bin/python -m include.ops.rebuild_index \\
      --bucket my-ml-bucket --region eu-west-1 [--model churn]

Needed if an index is lost or in doubt, and once after an upgrade from a version without a console. It only
reads, except for ``index/<model>.json``.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import boto3

from include.models.config import load_model, model_names
from include.models.config.files import PERFORMANCE, SCORES_MANIFEST, day_of_folder
from include.platform.storage import DRIFT, model_index, monitoring_prefix, performance_prefix, scores_prefix
from include.registry.model_index import index_drift, index_performance, index_scores, index_versions

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker.client import SageMakerClient


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--model", choices=model_names(), help="this one only")
    asked = parser.parse_args(argv)
    s3 = boto3.client("s3", region_name=asked.region)
    sagemaker = boto3.client("sagemaker", region_name=asked.region)
    for name in [asked.model] if asked.model else model_names():
        print(f"{name}: {rebuild(s3, sagemaker, asked.bucket, name)} scored days")


def rebuild(s3: S3Client, sagemaker: SageMakerClient, bucket: str, name: str) -> int:
    """Writes a model's index from scratch.

    Returns:
        The number of scored days.
    """
    model = load_model(name)
    s3.delete_object(Bucket=bucket, Key=model_index(name))
    index_versions(s3, sagemaker, bucket, model)
    scored = _days(s3, bucket, scores_prefix(name), SCORES_MANIFEST)
    index_scores(s3, bucket, model, scored)
    index_drift(s3, bucket, model, _days(s3, bucket, monitoring_prefix(name), DRIFT))
    index_performance(s3, bucket, model, _days(s3, bucket, performance_prefix(name), PERFORMANCE))
    return len(scored)


def _days(s3: S3Client, bucket: str, prefix: str, file: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    days = {day_of_folder(key.rpartition("/")[0]) for key in keys if key.endswith(f"/{file}")}
    return sorted(day for day in days if day)


if __name__ == "__main__":
    main()
