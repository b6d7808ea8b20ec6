import os
import subprocess
from pathlib import Path

import pytest

from include.models.config import Kafka
from include.ops.local_stack.settings import ROOT, Settings, SettingsError
from include.platform.environment import MlEnvironment
from sagemaker_jobs import schedules

OURS = ("AIRFLOW_PORT", "SAGEMAKER_PORT", "LAPTOP_HOME")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as a user types it, with none of our variables set."""
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_nothing_needs_to_be_set() -> None:
    done = make("status")
    assert done.returncode == 0, done.stderr
    assert "airflow-scheduler" in done.stdout


def test_a_port_that_is_none_is_named() -> None:
    done = make("status", "AIRFLOW_PORT=http")
    assert done.returncode != 0
    assert "AIRFLOW_PORT is 'http'" in done.stderr


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "8080x"])
def test_ports_are_bounded(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAGEMAKER_PORT", port)
    with pytest.raises(SettingsError, match="SAGEMAKER_PORT"):
        Settings.from_environment()


@pytest.mark.parametrize("name", ["$HOME", "$", "${x}", 'say "hi"', "two\nlines"])
def test_a_home_that_would_be_read_differently_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAPTOP_HOME", str(tmp_path / name))
    with pytest.raises(SettingsError, match="LAPTOP_HOME"):
        Settings.from_environment()


def test_brokers_are_none_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA", raising=False)
    settings = Settings.from_environment()
    assert settings.ml_environment("0" * 12)["kafka"] is None
    monkeypatch.setenv("KAFKA", "localhost:9094")
    facts = settings.ml_environment("0" * 12)
    assert facts["kafka"] == {"bootstrap_servers": "localhost:9094", "security_protocol": "PLAINTEXT"}
    assert MlEnvironment.model_validate(facts).kafka == Kafka.model_validate(facts["kafka"])
    monkeypatch.setenv("KAFKA", "localhost")
    with pytest.raises(SettingsError, match="KAFKA is 'localhost'"):
        settings.ml_environment("0" * 12)


@pytest.mark.parametrize(("system", "proxies"), [("darwin", "*"), ("linux", None)])
def test_airflow_forks_safely_on_macos(system: str, proxies: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)
    variables = Settings.from_environment().airflow_environment()
    assert variables.get("NO_PROXY") == proxies
    assert ("OBJC_DISABLE_INITIALIZE_FORK_SAFETY" in variables) == (system == "darwin")


@pytest.mark.parametrize(
    ("given", "are_off"),
    [(None, True), ("", True), ("0", True), ("No", True), ("off", True), ("1", False), ("on", False)],
)
def test_schedules_are_off_on_a_laptop_unless_asked_for(
    given: str | None, are_off: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCHEDULES", raising=False)
    if given is not None:
        monkeypatch.setenv("SCHEDULES", given)
    monkeypatch.setenv(schedules.VARIABLE, Settings.from_environment().airflow_environment()[schedules.VARIABLE])
    assert schedules.schedules_are_off() == are_off
