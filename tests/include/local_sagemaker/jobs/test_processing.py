"""Processing jobs through boto3 really run, and fail like SageMaker's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.job_requests import (
    finished_processing,
    keys,
    log_lines,
    processing,
    run_processing,
)
from tests.include.local_sagemaker.local_server import ROLE

Names = Callable[[str], str]
GROUP = "/aws/sagemaker/ProcessingJobs"


def test_inputs_and_outputs_travel_through_s3(sagemaker: Any, s3: Any, names: Names) -> None:
    name = names("copy")
    s3.put_object(Bucket="ml-local", Key=f"{name}/raw/a.csv", Body=b"1,2\n")
    s3.put_object(Bucket="ml-local", Key=f"{name}/raw/deep/b.bin", Body=bytes(range(256)))
    command = ["sh", "-c", "cp -r /opt/ml/processing/input/raw/. /opt/ml/processing/output/copy"]
    request = processing(
        name, command, inputs={"raw": f"s3://ml-local/{name}/raw"}, outputs={"copy": f"s3://ml-local/{name}/copy"}
    )
    job = run_processing(sagemaker, request)
    assert job["ProcessingJobStatus"] == "Completed"
    assert keys(s3, f"{name}/copy") == [f"{name}/copy/a.csv", f"{name}/copy/deep/b.bin"]
    copied = s3.get_object(Bucket="ml-local", Key=f"{name}/copy/deep/b.bin")["Body"].read()
    assert copied == bytes(range(256))


def test_describe_gives_back_the_request(sagemaker: Any, names: Names) -> None:
    request = processing(
        names("describe"), ["true"], Environment={"A": "1"}, StoppingCondition={"MaxRuntimeInSeconds": 9}
    )
    job = run_processing(sagemaker, request)
    assert {key: job[key] for key in request} == request
    assert job["CreationTime"] <= job["ProcessingStartTime"] <= job["ProcessingEndTime"] <= job["LastModifiedTime"]
    assert (
        job["ProcessingJobArn"] == f"arn:aws:sagemaker:us-east-1:123456789012:processing-job/{job['ProcessingJobName']}"
    )


def test_the_container_sees_its_configuration_and_environment(sagemaker: Any, client: Any, names: Names) -> None:
    name = names("config")
    script = "cat /opt/ml/config/processingjobconfig.json; echo; cat /opt/ml/config/resourceconfig.json; echo; env"
    run_processing(sagemaker, processing(name, ["sh", "-c", script], Environment={"COLOUR": "red"}))
    config, resources, *environment = log_lines(client("logs"), GROUP, name)
    assert json.loads(config)["ProcessingJobName"] == name
    assert json.loads(config)["Environment"] == {"COLOUR": "red"}
    assert json.loads(resources)["hosts"] == ["algo-1"]
    assert {"COLOUR=red", "AWS_REGION=us-east-1"} <= set(environment)


def test_programs_run_in_the_environment_of_their_image_and_reach_the_endpoint(
    sagemaker: Any, s3: Any, names: Names
) -> None:
    name = names("boto3")
    script = f"import boto3, sklearn; boto3.client('s3').put_object(Bucket='ml-local', Key='{name}/here', Body=b'x')"
    job = run_processing(sagemaker, processing(name, ["python", "-c", script]))
    assert job["ProcessingJobStatus"] == "Completed"
    assert keys(s3, name) == [f"{name}/here"]


def test_programs_can_have_sockets_in_their_temporary_directory(sagemaker: Any, names: Names) -> None:
    """As multiprocessing uses; its path may have at most 107 bytes."""
    script = "from multiprocessing import Manager; print(Manager().list([1]))"
    job = run_processing(sagemaker, processing(names("s" * 58), ["python", "-c", script]))
    assert job["ProcessingJobStatus"] == "Completed"


def test_a_failed_program_says_its_exit_message(sagemaker: Any, s3: Any, names: Names) -> None:
    name = names("message")
    script = "echo 'column volt is missing' > /opt/ml/output/message; touch /opt/ml/processing/output/o/f; exit 3"
    job = run_processing(sagemaker, processing(name, ["sh", "-c", script], outputs={"o": f"s3://ml-local/{name}"}))
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["ExitMessage"] == "column volt is missing"
    assert job["FailureReason"].startswith("AlgorithmError: See job logs for more information")
    assert keys(s3, name) == []


def test_a_command_that_is_not_there_fails_and_says_so_in_the_log(sagemaker: Any, client: Any, names: Names) -> None:
    name = names("nothing")
    job = run_processing(sagemaker, processing(name, ["no-such-program"]))
    assert job["ProcessingJobStatus"] == "Failed"
    assert any("no-such-program" in line for line in log_lines(client("logs"), GROUP, name))


def test_a_missing_input_fails_the_job(sagemaker: Any, s3: Any, names: Names) -> None:
    name = names("absent")
    job = run_processing(sagemaker, processing(name, ["true"], inputs={"raw": f"s3://ml-local/{name}/nowhere"}))
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith(
        f'ClientError: Data download failed:No S3 objects found under S3 URL "s3://ml-local/{name}/nowhere"'
    )
    assert ROLE in job["FailureReason"]


def test_an_unknown_image_fails_the_job(sagemaker: Any, names: Names) -> None:
    job = run_processing(sagemaker, processing(names("image"), ["true"], image="someone/else:1"))
    assert job["ProcessingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Cannot pull algorithm container.")


def test_a_job_over_its_time_is_ended(sagemaker: Any, names: Names) -> None:
    request = processing(names("slow"), ["sleep", "50"], StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = run_processing(sagemaker, request)
    assert job["ProcessingJobStatus"] == "Failed"
    assert "MaxRuntimeInSeconds" in job["FailureReason"]


def test_a_stopped_job_can_say_goodbye(sagemaker: Any, client: Any, names: Names) -> None:
    name = names("stop")
    script = "trap 'echo bye; exit 0' TERM; echo ready; sleep 60 & wait"
    sagemaker.create_processing_job(**processing(name, ["sh", "-c", script]))
    _wait_for_line(client("logs"), name, "ready")
    sagemaker.stop_processing_job(ProcessingJobName=name)
    assert finished_processing(sagemaker, name)["ProcessingJobStatus"] == "Stopped"
    assert log_lines(client("logs"), GROUP, name) == ["ready", "bye"]


def test_a_job_that_ignores_sigterm_is_killed_after_the_grace(sagemaker: Any, client: Any, names: Names) -> None:
    name = names("deaf")
    sagemaker.create_processing_job(**processing(name, ["sh", "-c", "trap '' TERM; echo ready; sleep 60"]))
    _wait_for_line(client("logs"), name, "ready")
    began = time.monotonic()
    sagemaker.stop_processing_job(ProcessingJobName=name)
    assert sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"] == "Stopping"
    assert finished_processing(sagemaker, name)["ProcessingJobStatus"] == "Stopped"
    assert 1.5 < time.monotonic() - began < 50  # the server under test runs with a grace of 2 s, the job sleeps for 60


def test_stopping_what_has_ended_is_refused(sagemaker: Any, names: Names) -> None:
    name = names("over")
    run_processing(sagemaker, processing(name, ["true"]))
    with pytest.raises(ClientError, match=r"ValidationException.*in status Completed"):
        sagemaker.stop_processing_job(ProcessingJobName=name)


def test_a_name_is_taken_once(sagemaker: Any, names: Names) -> None:
    request = processing(names("twice"), ["true"])
    sagemaker.create_processing_job(**request)
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="already exists"):
        sagemaker.create_processing_job(**request)


def test_continuous_outputs_arrive_while_the_program_runs(sagemaker: Any, s3: Any, names: Names) -> None:
    name = names("continuous")
    script = "echo 1 > /opt/ml/processing/output/o/first; sleep 60"
    request = processing(name, ["sh", "-c", script], outputs={"o": f"s3://ml-local/{name}"}, upload="Continuous")
    sagemaker.create_processing_job(**request)
    deadline = time.monotonic() + 15
    while not keys(s3, name):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"] == "InProgress"
    sagemaker.stop_processing_job(ProcessingJobName=name)


def test_sharded_inputs_are_dealt_out_over_real_hosts(sagemaker: Any, s3: Any, client: Any, names: Names) -> None:
    name = names("shards")
    for number in range(5):
        s3.put_object(Bucket="ml-local", Key=f"{name}/in/{number}", Body=b"x")
    script = "ls /opt/ml/processing/input/raw | while read f; do echo $f; done"
    request = processing(
        name,
        ["sh", "-c", script],
        inputs={"raw": f"s3://ml-local/{name}/in/"},
        instances=2,
        distribution="ShardedByS3Key",
    )
    assert run_processing(sagemaker, request)["ProcessingJobStatus"] == "Completed"
    streams = client("logs").describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")["logStreams"]
    assert [stream["logStreamName"].split("/")[1].rsplit("-", 1)[0] for stream in streams] == ["algo-1", "algo-2"]
    assert sorted(log_lines(client("logs"), GROUP, name)) == ["0", "1", "2", "3", "4"]


def test_one_failing_host_ends_the_job(sagemaker: Any, names: Names) -> None:
    script = 'grep -q \'"current_host": "algo-2"\' /opt/ml/config/resourceconfig.json && exit 5; sleep 60'
    job = run_processing(sagemaker, processing(names("hosts"), ["sh", "-c", script], instances=2))
    assert job["ProcessingJobStatus"] == "Failed"


def test_paths_outside_of_processing_are_refused(sagemaker: Any, names: Names) -> None:
    request = processing(names("path"), ["true"], outputs={"o": "s3://ml-local/x"})
    request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["LocalPath"] = "/opt/ml/processing/../model"
    with pytest.raises(ClientError, match=r"ValidationException.*LocalPath"):
        sagemaker.create_processing_job(**request)


def test_a_path_may_be_left_to_the_program_alone(sagemaker: Any, names: Names) -> None:
    request = processing(names("path"), ["true"], inputs={"i": "s3://ml-local/x"}, outputs={"o": "s3://ml-local/x"})
    for item in (request["ProcessingOutputConfig"]["Outputs"][0], request["ProcessingInputs"][0]):
        del (item.get("S3Output") or item["S3Input"])["LocalPath"]
        with pytest.raises(ClientError, match=r"ValidationException.*LocalPath of [io] is required"):
            sagemaker.create_processing_job(**request)
        item["AppManaged"] = True
    assert run_processing(sagemaker, request)["ProcessingJobStatus"] == "Completed"


def _wait_for_line(logs: Any, name: str, line: str) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            if line in log_lines(logs, GROUP, name):
                return
        except logs.exceptions.ResourceNotFoundException:  # the first job creates the group
            pass
        assert time.monotonic() < deadline, f"{line!r} never came"
        time.sleep(0.05)
