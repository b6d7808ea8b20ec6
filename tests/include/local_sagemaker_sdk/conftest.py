"""The SageMaker SDK 3.x cannot be installed beside Airflow: these tests run in the environment of the jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.include.local_sagemaker.hosting import hosting_server
from tests.include.local_sagemaker.local_server import LocalSageMaker


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    """The environment points at it, as the SDK creates sessions when it is imported."""
    running = hosting_server(tmp_path_factory.mktemp("local-sagemaker"))
    running.start()
    before = dict(os.environ)
    os.environ.update(running.environment)
    yield running
    os.environ.clear()
    os.environ.update(before)
    assert running.stop() == 0
    assert "Traceback" not in running.log, running.log
