"""The jobs that score a day, validated against botocore's model of the API, with what they read and write."""

from __future__ import annotations

from typing import Any

import botocore.loaders
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from include.models.config import load_model
from include.platform.environment import MlEnvironment
from include.platform.request_parts import Request
from include.platform.run_folders import Run
from include.score import requests
from tests.include.train.test_requests import ARTIFACT, ENVIRONMENTS, NAMES, problems

MODEL = load_model("predictive_maintenance")
BARE, FULL = ENVIRONMENTS
DAY = "2015-08-01"
RUN = Run("my-ml-bucket", "score_predictive_maintenance", "scheduled__1").of_day("d1", DAY)


def built(environment: MlEnvironment) -> dict[str, Request]:
    return {
        "score_day": requests.score_day(MODEL, environment, RUN, day=DAY, artifact=ARTIFACT),
        "validate_input": requests.validate_input(MODEL, environment, RUN, day=DAY),
        "build_features": requests.build_features(MODEL, environment, RUN, day=DAY, artifact=ARTIFACT, chunks=9),
        "score": requests.score(MODEL, environment, RUN, shards=9),
        "validate_scores": requests.validate_scores(MODEL, environment, RUN, rows=True),
    }


@pytest.fixture(scope="module")
def api() -> ServiceModel:
    return ServiceModel(botocore.loaders.Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=["bare", "everything set"])
def test_they_are_what_the_api_takes(api: ServiceModel, environment: MlEnvironment) -> None:
    for task_id, request in built(environment).items():
        operation = "CreateTransformJob" if task_id == "score" else "CreateProcessingJob"
        named = {"ModelName": "a-model", "TransformJobName": "a-name"} if task_id == "score" else {}
        named = named or {NAMES[operation]: "a-name"}
        assert not request.keys() & named.keys(), "names are the operators' to choose"
        shape = api.operation_model(operation).input_shape
        report = ParamValidator().validate({**request, **named}, shape)
        assert not report.has_errors(), f"{task_id}: {report.generate_report()}"
        assert list(problems(shape, {**request, **named})) == [], task_id
        assert {"Key": "cost-center", "Value": "42"} in request["Tags"] or environment is BARE


def files_of(request: Request) -> tuple[dict[str, Any], dict[str, str]]:
    """A processing job's inputs, their input modes and its outputs, below the run's folder."""
    read = {each["InputName"]: each["S3Input"] for each in request["ProcessingInputs"] if each["InputName"] != "code"}
    written = {each["OutputName"]: each["S3Output"]["S3Uri"] for each in request["ProcessingOutputConfig"]["Outputs"]}
    ways = {
        name: (each["S3Uri"].removeprefix(RUN.folder), each["S3DataType"], each.get("S3DataDistributionType"))
        for name, each in read.items()
    }
    return ways, {name: uri.removeprefix(RUN.folder) for name, uri in written.items()}


def test_each_job_reads_what_the_one_before_it_wrote() -> None:
    made = built(BARE)
    whole, sharded = "FullyReplicated", "ShardedByS3Key"
    read, written = files_of(made["score_day"])
    assert read == {
        "partitions": ("/plan_day/d1/inputs.manifest", "ManifestFile", whole),
        "artifact": (ARTIFACT, "S3Prefix", whole),
        "earlier": (RUN.checks, "S3Prefix", whole),
    }
    assert written == {"scores": "/score_day/d1/scores", "report": "/score_day/d1/report", "checks": RUN.checks}
    read, written = files_of(made["validate_input"])
    assert read == {
        "partitions": ("/plan_day/d1/inputs.manifest", "ManifestFile", whole),
        "earlier": (RUN.checks, "S3Prefix", whole),
    }
    assert written.pop("checks") == RUN.checks
    assert written == {"validated": "/validate_input/d1/validated", "report": "/validate_input/d1/report"}
    read, written = files_of(made["build_features"])
    assert read == {
        "validated": ("/validate_input/d1/validated", "S3Prefix", sharded),
        "artifact": (ARTIFACT, "S3Prefix", whole),
    }
    assert written == {"features": "/build_features/d1/features"}
    transform = made["score"]
    source = transform["TransformInput"]["DataSource"]["S3DataSource"]
    assert source == {"S3DataType": "S3Prefix", "S3Uri": f"{RUN.folder}/build_features/d1/features/rows/"}
    assert transform["TransformOutput"]["S3OutputPath"] == f"{RUN.folder}/score/d1/predictions"
    read, written = files_of(made["validate_scores"])
    assert read == {
        "shards": ("/build_features/d1/features/shards/", "S3Prefix", whole),
        "predictions": ("/score/d1/predictions/", "S3Prefix", whole),
    }
    assert written == {"scores": "/validate_scores/d1/scores", "report": "/validate_scores/d1/report"}


@pytest.mark.parametrize("task_id", ["score_day", "validate_input", "build_features"])
def test_the_day_reaches_the_program(task_id: str) -> None:
    asked = built(BARE)[task_id]["AppSpecification"]
    assert asked["ContainerEntrypoint"][-1].endswith(f".{task_id}")
    arguments = asked["ContainerArguments"]
    assert arguments[arguments.index("--day") + 1] == DAY


def test_every_job_says_which_day_it_is_about() -> None:
    for task_id, request in built(BARE).items():
        assert {"Key": "day", "Value": DAY} in request["Tags"], task_id


def test_a_day_without_rows_has_no_predictions_to_read() -> None:
    read, _ = files_of(requests.validate_scores(MODEL, BARE, RUN, rows=False))
    assert read.keys() == {"shards"}


def test_a_candidate_and_a_reference_are_read_if_there_are_some() -> None:
    alone = requests.score_day(MODEL, BARE, RUN, day=DAY, artifact=ARTIFACT)
    more = requests.score_day(
        MODEL, BARE, RUN, day=DAY, artifact=ARTIFACT, reference="s3://my-ml-bucket/r.json", challenger=ARTIFACT
    )
    (read, written), (also_read, also_written) = files_of(alone), files_of(more)
    assert also_read.keys() - read.keys() == {"reference", "challenger"}
    assert also_written.keys() - written.keys() == {"beside"}


def test_a_transform_gives_reasons_where_the_model_does() -> None:
    assert MODEL.explain
    silent = MODEL.model_copy(update={"explain": None})
    assert requests.score(MODEL, BARE, RUN, shards=1)["Environment"]["EXPLAIN"] == "true"
    assert "EXPLAIN" not in requests.score(silent, BARE, RUN, shards=1)["Environment"]


def test_no_more_instances_than_there_are_parts() -> None:
    def count(request: Request) -> int:
        resources = request.get("TransformResources") or request["ProcessingResources"]["ClusterConfig"]
        found: int = resources["InstanceCount"]
        return found

    made = built(BARE)
    assert MODEL.scoring is not None
    assert {name: count(request) for name, request in made.items()} == {
        "score_day": 1,
        "validate_input": 1,
        "build_features": MODEL.scoring.instance_count,
        "score": MODEL.scoring.instance_count,
        "validate_scores": 1,
    }
    few = requests.build_features(MODEL, BARE, RUN, day=DAY, artifact=ARTIFACT, chunks=1)
    assert count(few) == count(requests.score(MODEL, BARE, RUN, shards=1)) == 1


@pytest.mark.parametrize(
    ("model", "key", "kept"),
    [
        ("predictive_maintenance", "$[2:]", "$[0,1,-7,-6,-5,-4,-3,-2,-1]"),  # the class, five probabilities, reasons
        ("abalone_age", "$[1:]", "$[0,-2,-1]"),  # the number, reasons
    ],
)
def test_the_model_gets_what_comes_after_the_key_and_the_key_stays_with_the_answer(
    model: str, key: str, kept: str
) -> None:
    request = requests.score(load_model(model), BARE, RUN, shards=1)
    assert request["DataProcessing"] == {"InputFilter": key, "JoinSource": "Input", "OutputFilter": kept}
    assert request["TransformInput"]["SplitType"] == "Line"
    assert request["TransformOutput"]["Accept"] == request["TransformInput"]["ContentType"] == "text/csv"
    assert request["TransformOutput"]["AssembleWith"] == "Line"
    assert request["BatchStrategy"] == "MultiRecord"


def test_requests_at_once_stay_within_sagemakers_hundred_megabytes() -> None:
    assert MODEL.scoring is not None
    large = MODEL.model_copy(update={"scoring": MODEL.scoring.model_copy(update={"max_payload_mb": 40})})
    request = requests.score(large, BARE, RUN, shards=1)
    assert (request["MaxPayloadInMB"], request["MaxConcurrentTransforms"]) == (40, 2)
    assert requests.score(MODEL, BARE, RUN, shards=1)["MaxConcurrentTransforms"] == 4


def test_the_environments_key_and_instances_are_used() -> None:
    request = requests.score(MODEL, FULL, RUN, shards=1)
    assert request["TransformResources"]["InstanceType"] == FULL.instance_types["processing"]
    assert request["TransformResources"]["VolumeKmsKeyId"] == request["TransformOutput"]["KmsKeyId"] == FULL.kms_key_id
    bare = requests.score(MODEL, BARE, RUN, shards=1)
    assert "KmsKeyId" not in bare["TransformOutput"]
    assert "VolumeKmsKeyId" not in bare["TransformResources"]
