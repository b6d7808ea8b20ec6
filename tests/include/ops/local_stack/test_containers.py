"""How docker-compose.yaml's seed learns about the other containers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from include.ops.local_stack import containers
from include.ops.local_stack.containers import ContainerSettings, answers
from include.ops.local_stack.seed import SeedError

SETTINGS = ContainerSettings(Path("/nowhere"), airflow_port=8080, sagemaker_port=4566)


def test_a_service_without_a_container_has_no_name() -> None:
    assert not answers("kafka.invalid", 9092)


def test_a_service_that_listens_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert answers("127.0.0.1", server.getsockname()[1])


def test_a_container_that_never_answers_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # without listening
        with pytest.raises(SeedError, match=r"does not answer after 0 s.*docker compose logs 127\.0\.0\.1"):
            answers("127.0.0.1", taken.getsockname()[1], patience=0)


@pytest.mark.parametrize("running", [set(), {"mlflow"}, {"kafka"}, {"mlflow", "kafka"}], ids=str)
def test_jobs_are_told_of_what_runs(running: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "answers", lambda service, port: service in running)
    facts = SETTINGS.ml_environment("0123456789ab")
    assert facts["mlflow_tracking_uri"] == ("http://mlflow:5000" if "mlflow" in running else None)
    assert bool(facts["kafka"]) == ("kafka" in running)
