"""One local SageMaker for all tests of a session, with clients that point at it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.include.local_sagemaker.local_server import REGION, LocalSageMaker

Client = Callable[[str], Any]
BUCKET = "ml-local"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    running = LocalSageMaker(tmp_path_factory.mktemp("local-sagemaker") / "state", ("--stop-grace-seconds", "2"))
    running.start()
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log, running.log


@pytest.fixture(scope="session")
def client(server: LocalSageMaker) -> Client:
    """`client("sagemaker")`: boto3 without retries, so that a server error shows immediately."""
    return client_of(server)


def client_of(server: LocalSageMaker, region: str = REGION) -> Client:
    session = boto3.session.Session("local", "local", region_name=region)
    config = Config(retries={"total_max_attempts": 1}, read_timeout=30)
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = session.client(service, endpoint_url=server.url, config=config)
        return made[service]

    return client


@pytest.fixture(scope="session")
def s3(client: Client) -> Any:
    made = client("s3")
    made.create_bucket(Bucket=BUCKET)
    return made


@pytest.fixture(scope="session")
def sagemaker(client: Client, s3: Any) -> Any:
    return client("sagemaker")


@pytest.fixture(scope="session")
def names() -> Callable[[str], str]:
    """`names("train")`: a name that no other test of this session has."""
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}-{next(numbers)}"


@pytest.fixture
def aws_environment(server: LocalSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """For clients that create their own sessions, such as the provider's hooks."""
    for key, value in server.environment.items():
        monkeypatch.setenv(key, value)


@pytest.fixture(scope="session")
def hosting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A `Hosting`: a separate local SageMaker for models, endpoints, transform and tuning."""
    from tests.include.local_sagemaker.hosting import Hosting, hosting_server

    running = hosting_server(tmp_path_factory.mktemp("hosting"))
    running.start()
    hosting = Hosting(running)
    hosting.upload_artifact()
    yield hosting
    assert running.stop() == 0
    assert "Traceback" not in running.log, running.log
