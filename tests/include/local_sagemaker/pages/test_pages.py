"""The pages for people."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.include.local_sagemaker.job_requests import processing, run_processing
from tests.include.local_sagemaker.local_server import LocalSageMaker


def _read(server: LocalSageMaker, path: str) -> str:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=10) as response:  # noqa: S310 - our own address
        return str(response.read().decode())


def test_a_jobs_log_and_reason_are_shown(server: LocalSageMaker, sagemaker: Any, names: Callable[[str], str]) -> None:
    name = names("page")
    run_processing(sagemaker, processing(name, ["sh", "-c", "echo '<b>bold</b>'; exit 1"]))
    page = _read(server, f"/_local/logs/processing/{name}")
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "AlgorithmError" in page
    overview = _read(server, "/_local/")
    assert f'href="/_local/logs/processing/{name}?region=us-east-1"' in overview
    assert "Failed" in overview


def test_health(server: LocalSageMaker) -> None:
    assert _read(server, "/_local/health") == '{"status": "ok"}'


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("processing/absent", "There is no processing-job named absent."),
        ("coffee/x", "not of coffee."),
        ("training/..", "There is no training-job named ..."),
    ],
)
def test_what_is_not_there_is_a_404_that_says_so(server: LocalSageMaker, path: str, said: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        _read(server, f"/_local/logs/{path}")
    assert error.value.code == 404
    assert said in error.value.read().decode()
