"""The protocol: bad requests get SageMaker's errors, and never an HTML page."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.model import Shape

from tests.include.local_sagemaker.job_requests import processing, training
from tests.include.local_sagemaker.local_server import LocalSageMaker, call


@pytest.fixture(scope="session")
def lenient(server: LocalSageMaker) -> Any:
    """boto3 without its own validation, so the server has to find errors."""
    session = boto3.session.Session("local", "local", region_name="us-east-1")
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    return session.client("sagemaker", endpoint_url=server.url, config=config)


PATTERN = "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"


@pytest.mark.parametrize(
    ("change", "where", "constraint"),
    [
        ({"TrainingJobName": "under_score"}, "'under_score' at 'trainingJobName'", PATTERN),
        ({"TrainingJobName": "x" * 64}, "at 'trainingJobName'", "Member must have length less than or equal to 63"),
        ({"RoleArn": None}, "null at 'roleArn'", "Member must not be null"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 0}},
            "'0' at 'stoppingCondition.maxRuntimeInSeconds'",
            "Member must have value greater than or equal to 1",
        ),
        (
            {"AlgorithmSpecification": {"TrainingImage": "x", "TrainingInputMode": "Fast"}},
            "'Fast' at 'algorithmSpecification.trainingInputMode'",
            "Member must satisfy enum value set: [",
        ),
        (
            {"HyperParameters": {"rounds": "1\n2"}},
            "'{rounds=1\n2}' at 'hyperParameters'",
            "Map value must satisfy constraint: [Member must have length less than or equal to 2500, "
            "Member must have length greater than or equal to 0, Member must satisfy regular expression pattern: .*]",
        ),
        (
            {"Tags": [{"Key": "", "Value": "v"}]},
            "'' at 'tags.1.member.key'",
            "Member must have length greater than or equal to 1",
        ),
    ],
)
def test_violations_are_worded_as_sagemaker_words_them(
    lenient: Any, change: dict[str, Any], where: str, constraint: str
) -> None:
    request = {key: value for key, value in {**training("job", ["true"]), **change}.items() if value is not None}
    with pytest.raises(ClientError) as error:
        lenient.create_training_job(**request)
    answer = error.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("ValidationException", 400)
    assert re.match(r"\d validation errors? detected: Value ", answer["Error"]["Message"])
    assert f"{where} failed to satisfy constraint: {constraint}" in answer["Error"]["Message"]


def test_all_violations_are_said_at_once(lenient: Any) -> None:
    request = {**training("-", ["true"]), "RoleArn": "x"}
    with pytest.raises(ClientError, match="3 validation errors detected: "):  # the role is too short, and not an ARN
        lenient.create_training_job(**request)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "SerializationException"),
        (b"[]", "SerializationException"),
        (b"\xff\xfe", "SerializationException"),
        (b"[" * 100_000, "SerializationException"),
        (b'{"TrainingJobName": "\\ud800"}', "SerializationException"),
        (b'{"MaxResults": NaN}', "SerializationException"),
        (b'{"TrainingJobName": 7}', "SerializationException"),
        (b'{"TrainingJobName": ["a"]}', "SerializationException"),
        (b"", "ValidationException"),
        (b'{"TrainingJobName": null}', "ValidationException"),
    ],
)
def test_broken_bodies(server: LocalSageMaker, body: bytes, code: str) -> None:
    status, answer = call(server, "DescribeTrainingJob", body)
    assert (status, answer["__type"]) == (400, code)


def test_members_that_the_api_does_not_know_are_ignored(server: LocalSageMaker) -> None:
    status, answer = call(server, "ListTrainingJobs", b'{"NoSuchMember": 1, "NameContains": "none-of-these"}')
    assert (status, list(answer)) == (200, ["TrainingJobSummaries"])


def test_an_operation_that_is_not_there_says_its_name(sagemaker: Any, server: LocalSageMaker) -> None:
    with pytest.raises(ClientError, match=r"UnknownOperationException.*ListApps"):
        sagemaker.list_apps()
    status, answer = call(server, "MakeCoffee", b"{}")
    assert status == 400
    assert "MakeCoffee" in answer["message"]


def test_times_travel_as_epoch_seconds(server: LocalSageMaker, sagemaker: Any, names: Callable[[str], str]) -> None:
    name = names("times")
    sagemaker.create_processing_job(**processing(name, ["true"]))
    _, answer = call(server, "DescribeProcessingJob", json.dumps({"ProcessingJobName": name}).encode())
    assert isinstance(answer["CreationTime"], float)


def test_regions_are_apart(server: LocalSageMaker, sagemaker: Any, names: Callable[[str], str]) -> None:
    name = names("region")
    sagemaker.create_processing_job(**processing(name, ["true"]))
    body = json.dumps({"ProcessingJobName": name}).encode()
    assert call(server, "DescribeProcessingJob", body, "eu-west-1")[0] == 400
    assert call(server, "DescribeProcessingJob", body)[0] == 200


def test_the_server_listens_on_this_machine_only(server: LocalSageMaker) -> None:
    psutil = pytest.importorskip("psutil", reason="psutil tells which address a server listens on")
    assert server.process is not None
    addresses = {
        connection.laddr.ip
        for connection in psutil.Process(server.process.pid).net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_tags(sagemaker: Any, names: Callable[[str], str]) -> None:
    name = names("tags")
    arn = sagemaker.create_training_job(**training(name, ["true"], Tags=[{"Key": "a", "Value": "1"}]))["TrainingJobArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "3"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "3"}, {"Key": "b", "Value": "2"}]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    with pytest.raises(ClientError, match="ValidationException"):
        sagemaker.list_tags(ResourceArn=f"{arn}-not")


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"aws:cloudformation:stack-name": "x"}, "ValidationException"),
        ({"AWS:x": "y"}, "ValidationException"),
        ({"comma,": "x"}, "ValidationException"),
        ({"key": "what's new!"}, "ValidationException"),
        ({f"key-{number}": "x" for number in range(51)}, "ResourceLimitExceeded"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
def test_tags_that_are_refused(sagemaker: Any, names: Callable[[str], str], tags: dict[str, str], code: str) -> None:
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    arn = sagemaker.create_training_job(**training(names("tagged"), ["true"]))["TrainingJobArn"]
    given = listed if code == "ValidationException" else listed[:50]  # a request may have at most 50
    if given != listed:
        sagemaker.add_tags(ResourceArn=arn, Tags=[listed[-1]])
    with pytest.raises(ClientError, match=code):
        sagemaker.add_tags(ResourceArn=arn, Tags=given)
    if given == listed:
        with pytest.raises(ClientError, match=code):
            sagemaker.create_training_job(**training(names("tagged"), ["true"], Tags=listed))


def test_a_tag_key_is_given_once(sagemaker: Any, names: Callable[[str], str]) -> None:
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    with pytest.raises(ClientError, match="Duplicate tag keys"):
        sagemaker.create_training_job(**training(names("tagged"), ["true"], Tags=twice))


WORDS = (
    "",
    "a",
    "s3://ml-local/x",
    "arn:aws:iam::123456789012:role/r",
    "x" * 300,
    "é\u0000",
    "-",
    "true",
    "1",
    "../..",
)


def _random_value(shape: Shape, dice: random.Random, depth: int = 0) -> Any:
    """Mostly of the right type, often outside the constraints, sometimes of another type."""
    if dice.random() < 0.03:
        return dice.choice([None, 1, "x", [], {}, True, 1.5])
    if "enum" in shape.metadata and dice.random() < 0.8:
        return dice.choice(shape.metadata["enum"])
    if shape.type_name == "structure":
        return {
            name: _random_value(member, dice, depth + 1)
            for name, member in shape.members.items()
            if depth < 6 and dice.random() < (0.9 if name in shape.required_members else 0.15)
        }
    if shape.type_name == "list":
        return [_random_value(shape.member, dice, depth + 1) for _ in range(dice.choice([0, 1, 1, 2]))]
    if shape.type_name == "map":
        return {dice.choice(WORDS): _random_value(shape.value, dice, depth + 1) for _ in range(dice.choice([0, 1, 2]))}
    return {
        "string": lambda: dice.choice(WORDS),
        "boolean": lambda: dice.random() < 0.5,
        "blob": lambda: "eA==",
    }.get(shape.type_name, lambda: dice.choice([0, 1, -1, 5, 10**12, 0.5]))()


def test_no_request_makes_the_server_fail(server: LocalSageMaker) -> None:
    """Random valid and invalid requests to every supported operation: an answer or an error, never a failure."""
    dice = random.Random(7)  # noqa: S311 - the same requests every time
    service = botocore.session.get_session().get_service_model("sagemaker")
    statuses: dict[int, int] = {}
    for operation in service.operation_names:
        probe = call(server, operation, b"{}")[1]
        if "UnknownOperation" in probe.get("__type", ""):
            continue
        shape = service.operation_model(operation).input_shape
        for _ in range(25):
            request = _random_value(shape, dice) if shape else {}
            status, answer = call(server, operation, json.dumps(request).encode())
            assert status in {200, 400}, (operation, request, answer)
            statuses[status] = statuses.get(status, 0) + 1
    assert statuses[400] > 200
    assert statuses[200] > 20
