from __future__ import annotations

from typing import Any

import boto3
import pytest

from sagemaker_jobs.kinds import PROCESSING, TRAINING
from sagemaker_jobs.links import ConsoleLink, LogsLink, MlflowLink, ReportLink, file_page, job_pages


def client(region: str, endpoint: str | None = None) -> Any:
    return boto3.client(
        "sagemaker", region_name=region, endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x"
    )


def test_the_local_sagemaker_has_its_own_pages() -> None:
    local = client("us-east-1", "http://127.0.0.1:4566")
    page = "http://127.0.0.1:4566/_local/logs/training/job-1"
    assert job_pages(TRAINING, "job-1", local) == {"console": page, "logs": page}
    assert file_page("s3://b/a folder/r.html", local) == "http://127.0.0.1:4566/_local/s3/b/a%20folder/r.html"


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("eu-west-1", "https://eu-west-1.console.aws.amazon.com/"),
        ("us-gov-west-1", "https://console.amazonaws-us-gov.com/"),
        ("cn-north-1", "https://console.amazonaws.cn/"),
    ],
)
def test_every_partition_has_its_console(region: str, console: str) -> None:
    aws = client(region)
    pages = job_pages(PROCESSING, "job-1", aws)
    assert all(page.startswith(console) for page in [*pages.values(), file_page("s3://b/k", aws)])
    assert pages["console"].endswith("#/processing-jobs/job-1")
    assert pages["logs"].endswith("$252Faws$252Fsagemaker$252FProcessingJobs$3FlogStreamNameFilter$3Djob-1$252F")


def test_buttons_have_their_own_names() -> None:
    links = [ConsoleLink(), LogsLink(), ReportLink(), MlflowLink()]
    assert len({link.name for link in links}) == len({link.xcom_key for link in links}) == 4
