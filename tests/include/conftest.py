"""A local AWS that answers like AWS, shared by all tests of a session that use S3 or the registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.include.local_sagemaker.local_server import LocalSageMaker

if TYPE_CHECKING:
    from tests.include.local_aws import LocalS3
    from tests.include.local_sagemaker.conftest import Client


@pytest.fixture(scope="session")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    running = LocalSageMaker(tmp_path_factory.mktemp("aws") / "state")
    running.start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def aws(local_aws: LocalSageMaker) -> Client:
    """boto3 clients of a local AWS, as its administrator."""
    from tests.include.local_sagemaker.conftest import client_of

    return client_of(local_aws)


@pytest.fixture
def aws_environment(local_aws: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """For Airflow's hooks, which make clients of their own."""
    for key, value in local_aws.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")


@pytest.fixture
def ml_bucket(local_aws: LocalSageMaker) -> Iterator[LocalS3]:
    """An S3 with the bucket that the example of ``ml_environment`` names, empty."""
    from include.platform.environment import EXAMPLE
    from tests.include.local_aws import LocalS3

    made = LocalS3(local_aws, json.loads(EXAMPLE)["bucket"])
    yield made
    made.objects.clear()


@pytest.fixture
def s3(local_aws: LocalSageMaker) -> Iterator[LocalS3]:
    """An S3 with the empty bucket ``bucket``."""
    from tests.include.local_aws import LocalS3

    made = LocalS3(local_aws, "bucket")
    yield made
    made.objects.clear()
