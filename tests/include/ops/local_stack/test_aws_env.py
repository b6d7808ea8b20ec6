"""After sourcing one file, boto3, the AWS CLI and SageMaker's SDKs 2 and 3 talk to the local AWS as the jobs' role."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.ops.local_stack.aws_env import write_aws_env
from include.ops.local_stack.settings import Settings
from tests.include.local_sagemaker.local_server import ROOT, LocalSageMaker

ROLE = "arn:aws:iam::123456789012:role/ml-local-jobs"
IDENTITY = "arn:aws:sts::123456789012:assumed-role/ml-local-jobs/sdk"
BOTO3 = """
import boto3, json
sts = boto3.client("sts")
print(json.dumps([sts.get_caller_identity()["Arn"], boto3.client("sagemaker").list_models()["Models"]]))
"""
SDK_3 = """
import json
from sagemaker.core.helper.session_helper import Session, get_execution_role
session = Session()
print(json.dumps([session.default_bucket(), get_execution_role(session), session.account_id()]))
"""
SDK_2 = """
import json, sagemaker
session = sagemaker.Session()
print(json.dumps([session.default_bucket(), sagemaker.get_execution_role(session), session.account_id()]))
"""
SDK_SAYS = ["sagemaker-us-east-1-123456789012", ROLE, "123456789012"]


@pytest.fixture(scope="module")
def aws_env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("a home")
    server = LocalSageMaker(home / "sagemaker")
    server.start()
    yield write_aws_env(Settings(home, airflow_port=1, sagemaker_port=server.port))
    assert server.stop() == 0


def _run(aws_env: Path, *command: str) -> str:
    """In a shell that has its own profile and endpoint, and then sources the file."""
    shell = f'export AWS_PROFILE=theirs AWS_ENDPOINT_URL=http://127.0.0.1:1; . "{aws_env}"; exec "$@"'
    done = subprocess.run(
        ["bash", "-euc", shell, "bash", *command],
        env={"PATH": "/usr/bin:/bin", "HOME": str(aws_env.parent)},
        cwd=aws_env.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _python(environment: Path) -> str:
    return str(environment / "bin" / "python")


def test_boto3(aws_env: Path) -> None:
    said: list[Any] = json.loads(_run(aws_env, _python(ROOT / ".venv" / "airflow"), "-c", BOTO3))
    assert said == [IDENTITY, []]


def test_it_is_for_its_owner_alone(aws_env: Path) -> None:
    assert aws_env.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_sdk_3(aws_env: Path) -> None:
    assert json.loads(_run(aws_env, _python(ROOT / ".venv" / "jobs"), "-c", SDK_3).splitlines()[-1]) == SDK_SAYS


def test_the_aws_cli(aws_env: Path) -> None:
    cli = shutil.which("aws")
    if cli is None:
        pytest.skip("the AWS CLI is not installed: apt-get install awscli")
    # versions before 2.13, Debian's among them, do not read AWS_ENDPOINT_URL themselves
    aws = ["sh", "-c", 'exec "$0" --endpoint-url "$AWS_ENDPOINT_URL" "$@"', cli]
    assert json.loads(_run(aws_env, *aws, "sts", "get-caller-identity"))["Arn"] == IDENTITY
    assert json.loads(_run(aws_env, *aws, "sagemaker", "list-models")) == {"Models": []}


@pytest.mark.slow
def test_sdk_2(aws_env: Path, tmp_path: Path) -> None:
    """It is installed in none of the existing environments."""
    uv, own = str(ROOT / ".venv" / "tools" / "bin" / "uv"), tmp_path / "own"
    subprocess.run([uv, "venv", "--quiet", "--python", _python(ROOT / ".venv" / "jobs"), str(own)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", _python(own), "sagemaker==2.257.7"], check=True)
    assert json.loads(_run(aws_env, _python(own), "-c", SDK_2).splitlines()[-1]) == SDK_SAYS
