"""The project's clients: aiobotocore, the AWS CLI, and the Airflow provider's operators in both modes."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session
from airflow.providers.amazon.aws.hooks.sagemaker import LogState, SageMakerHook
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerProcessingOperator, SageMakerTrainingOperator
from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerTrainingSensor
from airflow.providers.common.compat.sdk import AirflowException, TaskDeferred

from tests.include.local_sagemaker.job_requests import finished_training, processing, training
from tests.include.local_sagemaker.local_server import CREDENTIALS, LocalSageMaker

Names = Callable[[str], str]
CONNECTION: dict[str, Any] = {"aws_conn_id": None, "region_name": "us-east-1"}


def test_aiobotocore(server: LocalSageMaker, sagemaker: Any, names: Names) -> None:
    name = names("aio")
    sagemaker.create_training_job(**training(name, ["sleep", "1"]))

    async def wait() -> str:
        keys = {key: CREDENTIALS[key.upper()] for key in ("aws_access_key_id", "aws_secret_access_key")}
        async with get_session().create_client(
            "sagemaker", region_name="us-east-1", endpoint_url=server.url, **keys
        ) as client:
            waiter = client.get_waiter("training_job_completed_or_stopped")
            await waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
            return str((await client.describe_training_job(TrainingJobName=name))["TrainingJobStatus"])

    assert asyncio.run(wait()) == "Completed"


class TestAwsCli:
    @pytest.fixture
    def aws(self, server: LocalSageMaker) -> Callable[..., subprocess.CompletedProcess[str]]:
        program = shutil.which("aws")
        if program is None:
            pytest.skip("the AWS CLI is not installed: apt-get install awscli")

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            environment = {**os.environ, **server.environment, "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1"}
            return subprocess.run(
                [program, "--endpoint-url", server.url, *words],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )

        return run

    @pytest.mark.usefixtures("s3")
    def test_create_wait_and_describe(self, aws: Any, names: Names) -> None:
        name = names("cli")
        request = json.dumps(processing(name, ["echo", "hello"]))
        created = json.loads(aws("sagemaker", "create-processing-job", "--cli-input-json", request).stdout)
        assert created["ProcessingJobArn"].endswith(f":processing-job/{name}")
        assert (
            aws("sagemaker", "wait", "processing-job-completed-or-stopped", "--processing-job-name", name).returncode
            == 0
        )
        described = aws(
            "sagemaker", "describe-processing-job", "--processing-job-name", name,
            "--query", "ProcessingJobStatus", "--output", "text",
        )  # fmt: skip
        assert described.stdout.strip() == "Completed"

    def test_errors_are_said_as_aws_says_them(self, aws: Any) -> None:
        answer = aws("sagemaker", "describe-training-job", "--training-job-name", "absent")
        assert answer.returncode != 0
        assert "An error occurred (ValidationException) when calling the DescribeTrainingJob" in answer.stderr
        assert answer.stderr.strip().endswith(": Requested resource not found.")

    def test_the_other_services_answer_too(self, aws: Any) -> None:
        assert json.loads(aws("sts", "get-caller-identity").stdout)["Account"] == "123456789012"
        assert aws("s3", "ls").returncode == 0


def _until_told(told: Path, exit_code: int = 0) -> list[str]:
    """A program that ends once the file exists, so that no operator finds its job finished before it defers."""
    return ["sh", "-c", f"until [ -e '{told}' ]; do sleep 0.1; done; exit {exit_code}"]


def _deferred(operator: Any, told: Path) -> dict[str, Any]:
    """The operator's result in deferrable mode: its trigger runs here as in the triggerer."""
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute({})
    told.touch()

    async def first_event() -> Any:
        async for event in deferral.value.trigger.run():
            return event.payload
        return None

    event = asyncio.run(first_event())
    result: dict[str, Any] = getattr(operator, deferral.value.method_name)({}, event=event)
    return result


@pytest.mark.usefixtures("aws_environment", "s3")
class TestProviderOperators:
    def test_processing(self, names: Names) -> None:
        operator = SageMakerProcessingOperator(
            task_id="processing", config=processing(names("op"), ["true"]), check_interval=1, **CONNECTION
        )
        result = operator.execute({})
        assert result["Processing"]["ProcessingJobStatus"] == "Completed"

    def test_processing_that_fails_says_why(self, names: Names) -> None:
        request = processing(names("op"), ["sh", "-c", "exit 2"])
        operator = SageMakerProcessingOperator(task_id="processing", config=request, check_interval=1, **CONNECTION)
        with pytest.raises(AirflowException, match="See job logs for more information"):
            operator.execute({})

    def test_processing_deferred(self, names: Names, tmp_path: Path) -> None:
        operator = SageMakerProcessingOperator(
            task_id="processing",
            config=processing(names("op"), _until_told(tmp_path / "told")),
            check_interval=1,
            deferrable=True,
            **CONNECTION,
        )
        assert _deferred(operator, tmp_path / "told")["Processing"]["ProcessingJobStatus"] == "Completed"

    def test_training_deferred(self, names: Names, tmp_path: Path) -> None:
        operator = SageMakerTrainingOperator(
            task_id="training",
            config=training(names("op"), _until_told(tmp_path / "told")),
            check_interval=1,
            deferrable=True,
            **CONNECTION,
        )
        assert _deferred(operator, tmp_path / "told")["Training"]["TrainingJobStatus"] == "Completed"

    def test_training_deferred_that_fails(self, names: Names, tmp_path: Path) -> None:
        operator = SageMakerTrainingOperator(
            task_id="training",
            config=training(names("op"), _until_told(tmp_path / "told", exit_code=1)),
            check_interval=1,
            deferrable=True,
            **CONNECTION,
        )
        with pytest.raises(AirflowException, match="Error while waiting for Training job: Failed"):
            _deferred(operator, tmp_path / "told")

    def test_a_taken_name_gets_a_timestamp(self, names: Names, sagemaker: Any) -> None:
        name = names("op")
        for _ in range(2):
            operator = SageMakerTrainingOperator(
                task_id="training",
                config=training(name, ["true"]),
                wait_for_completion=False,
                print_log=False,
                **CONNECTION,
            )
            operator.execute({})
        found = sagemaker.list_training_jobs(NameContains=name)["TrainingJobSummaries"]
        assert len(found) == 2

    def test_the_hook_prints_the_log_and_the_statuses(self, names: Names, capsys: pytest.CaptureFixture[str]) -> None:
        name = names("op")
        hook = SageMakerHook(aws_conn_id=None, region_name="us-east-1")
        hook.conn.create_training_job(**training(name, ["echo", "one line of the log"]))
        description = finished_training(hook.conn, name)
        positions: dict[str, Any] = {}
        state, _, _ = hook.describe_training_job_with_log(name, positions, [], 1, LogState.COMPLETE, description, 0.0)
        assert state == LogState.COMPLETE
        assert [stream.rpartition("-")[0] for stream in positions] == [f"{name}/algo-1"]
        assert "one line of the log" in capsys.readouterr().out

    def test_sensor(self, names: Names, sagemaker: Any) -> None:
        name = names("op")
        sagemaker.create_training_job(**training(name, ["true"]))
        finished_training(sagemaker, name)
        sensor = SageMakerTrainingSensor(task_id="sensor", job_name=name, print_log=False, **CONNECTION)
        assert sensor.poke({})
