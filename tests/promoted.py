"""A version in production without a deployment, for tests and benchmarks of something else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from include.registry.history import Entry, record_promotion


def enter_into_production(
    s3: Any, sagemaker: Any, bucket: str, model: str, model_package_arn: str, since: datetime
) -> Entry:
    """Enter a registered version into the production history, as a deployment does at its end."""
    package = sagemaker.describe_model_package(ModelPackageName=model_package_arn)
    entry = Entry(
        version=package["ModelPackageVersion"],
        model_package_arn=model_package_arn,
        artifact=package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"],
        since=since,
        endpoint_config="none",
        dag_id="test",
        run_id="test",
    )
    record_promotion(s3, bucket, model, entry)
    return entry
