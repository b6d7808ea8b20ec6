"""Does once what every task would do first: Airflow imports this in the process that a laptop's tasks are forked from.

The first AWS client of a process costs a third of a second: imports, and Airflow's list of all providers.
"""

from __future__ import annotations

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook

for hook in (S3Hook, SageMakerHook):
    hook(aws_conn_id=None, region_name="us-east-1").conn  # noqa: B018 - made here, and thrown away
