"""Checks of docker-compose.yaml and the Dockerfiles that need no container engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from include.ops.local_stack.settings import ROOT

FILE = ROOT / "docker-compose.yaml"
KEYS = {"POSTGRES_PASSWORD", "FERNET_KEY", "API_SECRET_KEY", "JWT_SECRET"}
BASE_IMAGES = {"python:3.12-slim-bookworm", "postgres:16"}
DOCKERFILES = [ROOT / "Dockerfile", ROOT / "include/jobs/Dockerfile", ROOT / "include/local_sagemaker/Dockerfile"]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
ONCE = {name for name, service in SERVICES.items() if service["restart"] == "no"}


def test_services_are_those_that_are_promised() -> None:
    airflow = {f"airflow-{name}" for name in ("init", "api-server", "scheduler", "dag-processor", "triggerer")}
    assert airflow | {"postgres", "local-sagemaker", "mlflow", "kafka", "online"} <= SERVICES.keys()
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "ml-jobs": ["build"],
        "online": ["online"],
        "mlflow": ["mlflow"],
        "kafka": ["kafka"],
        "kafka-topics": ["kafka"],
    }
    assert {"airflow-init", "ml-jobs", "raw-data", "seed", "kafka-topics"} == ONCE


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded_watched_and_has_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert not service.keys() & {"privileged", "network_mode", "pid", "ipc", "devices"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["options"]["max-size"]
    assert name in ONCE or (service["restart"] == "unless-stopped" and service["healthcheck"]["test"])
    if name == "postgres":  # its entrypoint changes the volume's owner to the server's user
        assert set(service["cap_add"]) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
    else:
        assert "cap_add" not in service
        assert service["user"] not in {"root", "0"}


def test_ports_are_published_to_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_servers_answer_to_their_own_names_alone() -> None:
    """Every additional name is one that a web page could use to reach them: see include/local_sagemaker/README.md."""
    hosts = SERVICES["airflow-api-server"]["environment"]["API_SERVER_ALLOWED_HOSTS"].split(",")
    assert set(hosts) == {"localhost", "127.0.0.1", "airflow-api-server"}
    command = SERVICES["local-sagemaker"]["command"]
    assert [command[place + 1] for place, word in enumerate(command) if word == "--allowed-host"] == ["local-sagemaker"]
    aliases = SERVICES["local-sagemaker"]["networks"]["default"]["aliases"]
    assert all(alias.endswith(".localhost") for alias in aliases)  # accepted without any option


def test_a_service_waits_for_what_it_needs() -> None:
    """Each has a condition that means ready: healthy, or completed."""
    waits = [wait for service in SERVICES.values() for wait in service.get("depends_on", {}).items()]
    assert waits
    for needed, wait in waits:
        done = needed in ONCE
        assert wait == {"condition": "service_completed_successfully" if done else "service_healthy"}, needed


def test_checkouts_are_mounted_for_reading_and_data_is_in_named_volumes() -> None:
    named = yaml.safe_load(FILE.read_text())["volumes"]
    used = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, _, rest = volume.partition(":")
            assert source in named or (source.startswith("./") and rest.endswith(":ro")), volume
            used.add(source)
    assert used >= named.keys(), "each named volume has a service that keeps its data there"


def test_the_database_takes_any_text() -> None:
    """Without a locale PostgreSQL creates SQL_ASCII databases, which cannot store a value with a dash."""
    assert SERVICES["postgres"]["environment"]["LANG"] == "C.UTF-8"


def test_no_image_needs_a_registry_but_the_named_ones() -> None:
    built = {service["image"] for service in SERVICES.values() if "build" in service}
    used = {service["image"] for service in SERVICES.values()}
    assert {image for image in used - built if not image.startswith("apache/kafka:")} <= BASE_IMAGES
    bases = set()
    for text in (file.read_text() for file in DOCKERFILES):
        given = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
        bases |= {Template(base).substitute(given) for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE)}
    assert bases <= BASE_IMAGES | built


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_dockerfiles_build_without_buildkit(file: Path) -> None:
    assert not re.search(r"^# *syntax|--mount=|--chmod=|--link|<<", file.read_text(), re.MULTILINE)


def test_the_airflow_image_holds_what_laptops_install() -> None:
    """Two files that cannot share the version of Airflow name the same one."""
    [pinned] = re.findall(
        r"^apache-airflow==(.+)$", (ROOT / "tests/requirements-airflow.txt").read_text(), re.MULTILINE
    )
    assert f"apache-airflow=={pinned}" in (ROOT / "Dockerfile").read_text()


def test_secrets_are_asked_for_and_made_on_the_machine(tmp_path: Path) -> None:
    text = FILE.read_text()
    assert set(re.findall(r"\$\{(\w+):\?", text)) == KEYS
    for key in KEYS:  # without a default, never spelled out
        assert set(re.findall(rf"\$\{{?{key}[^}}]*\}}?", text)) == {f"${{{key}:?is made by make compose-up}}"}
    tracked = subprocess.run(["git", "check-ignore", "--quiet", ".env"], cwd=ROOT, check=False)
    assert tracked.returncode == 0, ".env is not in .gitignore"
    made = [_keys(tmp_path / name) for name in ("one", "other")]
    assert all(first != second for first, second in zip(*(keys.values() for keys in made), strict=True))


def _keys(file: Path) -> dict[str, str]:
    subprocess.run(
        [ROOT / "include/ops/local_stack/compose.sh", "keys"], env={**os.environ, "ENV_FILE": str(file)}, check=True
    )
    assert file.stat().st_mode & 0o777 == 0o600
    lines = [line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#")]
    keys = {name: value for name, value in lines if name in KEYS}
    assert keys.keys() == KEYS
    assert all(len(value) >= 43 for value in keys.values())
    return keys


@pytest.mark.parametrize("command", [("docker", "compose"), ("docker-compose",)], ids=" ".join)
def test_compose_takes_the_file(command: tuple[str, ...], tmp_path: Path) -> None:
    there = shutil.which(command[0])
    if not there or subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
        pytest.skip(f"'{' '.join(command)}' is not installed")
    empty = tmp_path / "empty.env"
    empty.touch()
    profiles = [f"--profile={name}" for name in ("build", "mlflow", "kafka", "online")]
    read = [*command, f"--file={FILE}", f"--env-file={empty}", *profiles]
    bare = {name: value for name, value in os.environ.items() if name not in KEYS}
    done = _config(read, {**bare, **dict.fromkeys(KEYS, "x")})
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["services"].keys() == SERVICES.keys()
    refused = _config(read, bare)
    assert refused.returncode
    assert "is made by make compose-up" in refused.stderr


def _config(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*command, "config"], env=environment, capture_output=True, text=True, check=False)


def test_the_seed_finds_what_it_imports() -> None:
    """The service has only the part of the checkout that it mounts."""
    service = SERVICES["seed"]
    mounts = [volume.split(":") for volume in service["volumes"]]
    places = {target: str(ROOT / source) for source, target, *_ in mounts if source.startswith("./")}
    *_, module = service["entrypoint"]
    path = service["environment"]["PYTHONPATH"].split(":")
    with tempfile.TemporaryDirectory() as folder:
        for target, source in places.items():
            mounted = Path(folder + target)
            mounted.parent.mkdir(parents=True, exist_ok=True)
            mounted.symlink_to(source)
        environment = {"PYTHONPATH": os.pathsep.join(folder + place for place in path), "PATH": os.defpath}
        subprocess.run([sys.executable, "-P", "-c", f"import {module}"], cwd=folder, env=environment, check=True)
