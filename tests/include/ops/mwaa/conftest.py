"""A local AWS for the tests of infrastructure and deploys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.include.local_sagemaker.conftest import Client, client_of
from tests.include.local_sagemaker.local_server import LocalSageMaker


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """boto3 clients of a local AWS, as its administrator."""
    running = LocalSageMaker(tmp_path_factory.mktemp("aws") / "state")
    running.start()
    yield client_of(running)
    assert running.stop() == 0
