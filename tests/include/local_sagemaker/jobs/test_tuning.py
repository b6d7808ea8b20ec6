"""Tuning jobs: random and grid search over real training jobs."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import Hosting, hosting_server
from tests.include.local_sagemaker.local_server import IMAGE, ROLE, until

# the parabola's maximum is at x = 0.3, n = 5
PROGRAM = """
import json, sys, time
given = json.load(open("/opt/ml/input/config/hyperparameters.json"))
if given.get("mode") == "fail":
    sys.exit("cannot train")
time.sleep(float(given.get("seconds", 0)))
if given.get("mode") != "silent":
    print("objective=%f;" % -((float(given["x"]) - 0.3) ** 2 + abs(int(given["n"]) - 5)))
"""
# a worse x takes longer, leaving time to stop it
IN_ROUNDS = """
import json, time
x = float(json.load(open("/opt/ml/input/config/hyperparameters.json"))["x"])
for number in range(1, 4):
    print("objective=%f;" % -(abs(x - 0.3) + 1 / number), flush=True)
    time.sleep(2 if x > 0.5 else 0)
"""
RANGES = {
    "ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}],
    "IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "9"}],
}
GRID = {
    "CategoricalParameterRanges": [{"Name": "x", "Values": ["0.1", "0.3"]}, {"Name": "n", "Values": ["4", "5", "6"]}]
}


def tuning_request(
    name: str, ranges: dict[str, Any], strategy: str = "Random", static: dict[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    limits = {"MaxParallelTrainingJobs": more.pop("parallel", 3)}
    if strategy == "Random":
        limits["MaxNumberOfTrainingJobs"] = more.pop("most", 6)
    definition = {
        "StaticHyperParameters": static or {},
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "objective", "Regex": r"objective=([-0-9.]+);"}],
        },
        "Environment": {"TRAIN": more.pop("program", PROGRAM)},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/tuned"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    config = {
        "Strategy": strategy,
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "objective"},
        "ResourceLimits": limits,
        "ParameterRanges": ranges,
        **more,
    }
    return {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": config,
        "TrainingJobDefinition": definition,
    }


def _finished(hosting: Hosting, name: str, seconds: float = 60) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        found: dict[str, Any] = hosting.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if found["HyperParameterTuningJobStatus"] not in {"InProgress", "Stopping"}:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def _tune(hosting: Hosting, ranges: dict[str, Any], *arguments: Any, **more: Any) -> dict[str, Any]:
    name = hosting.name("tune")
    hosting.sagemaker.create_hyper_parameter_tuning_job(**tuning_request(name, ranges, *arguments, **more))
    return _finished(hosting, name)


def _children(hosting: Hosting, name: str, **filters: Any) -> list[dict[str, Any]]:
    pages = hosting.sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, PaginationConfig={"PageSize": 2}, **filters
    )
    return [one for page in pages for one in page["TrainingJobSummaries"]]


def test_random_search_finds_the_best_of_its_jobs(hosting: Hosting) -> None:
    described = _tune(hosting, RANGES, most=7, RandomSeed=11)
    name = described["HyperParameterTuningJobName"]
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["TrainingJobStatusCounters"]["Completed"] == 7
    assert described["ObjectiveStatusCounters"] == {"Succeeded": 7, "Pending": 0, "Failed": 0}
    by_value = _children(hosting, name, SortBy="FinalObjectiveMetricValue", SortOrder="Descending")
    values = [one["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for one in by_value]
    assert values == sorted(values, reverse=True)
    assert len(values) == 7
    best = described["BestTrainingJob"]
    assert best["TrainingJobName"] == by_value[0]["TrainingJobName"]
    x, n = float(best["TunedHyperParameters"]["x"]), int(best["TunedHyperParameters"]["n"])
    assert values[0] == pytest.approx(-((x - 0.3) ** 2 + abs(n - 5)), abs=1e-6)
    names = [one["TrainingJobName"] for one in _children(hosting, name)]
    assert [one.removeprefix(f"{name}-")[:4] for one in names] == [f"{number:03d}-" for number in range(1, 8)]
    job = hosting.sagemaker.describe_training_job(TrainingJobName=best["TrainingJobName"])
    assert job["TuningJobArn"] == described["HyperParameterTuningJobArn"]
    assert job["HyperParameters"]["_tuning_objective_metric"] == "objective"
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("/output/model.tar.gz")


def test_the_seed_repeats_the_search(hosting: Hosting) -> None:
    first, second, other = (_tune(hosting, RANGES, most=3, RandomSeed=seed) for seed in (5, 5, 6))
    tried = [
        [one["TunedHyperParameters"] for one in _children(hosting, described["HyperParameterTuningJobName"])]
        for described in (first, second, other)
    ]
    assert tried[0] == tried[1] != tried[2]


def test_no_more_at_once_than_allowed(hosting: Hosting) -> None:
    name = hosting.name("tune")
    request = tuning_request(name, RANGES, static={"seconds": "0.5"}, most=5, parallel=2)
    hosting.sagemaker.create_hyper_parameter_tuning_job(**request)
    most = 0
    while True:
        found = hosting.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if found["HyperParameterTuningJobStatus"] != "InProgress":
            break
        most = max(most, found["TrainingJobStatusCounters"]["InProgress"])
        time.sleep(0.05)
    assert most == 2
    assert found["TrainingJobStatusCounters"]["Completed"] == 5


def test_a_job_that_is_worse_than_those_before_were_is_stopped_early(hosting: Hosting) -> None:
    grid = {"CategoricalParameterRanges": [{"Name": "x", "Values": ["0.3", "0.9"]}]}
    outcomes = {}
    for stopping in ("Auto", "Off"):
        more = {"program": IN_ROUNDS, "parallel": 1, "TrainingJobEarlyStoppingType": stopping}
        described = _tune(hosting, grid, "Grid", **more)
        children = _children(hosting, described["HyperParameterTuningJobName"])
        outcomes[stopping] = {one["TunedHyperParameters"]["x"]: one["TrainingJobStatus"] for one in children}
        assert described["HyperParameterTuningJobStatus"] == "Completed"
        assert described["BestTrainingJob"]["TunedHyperParameters"] == {"x": "0.3"}
    assert outcomes["Off"] == {"0.3": "Completed", "0.9": "Completed"}
    assert outcomes["Auto"] == {"0.3": "Completed", "0.9": "Stopped"}


def test_grid_tries_every_combination(hosting: Hosting) -> None:
    described = _tune(hosting, GRID, "Grid")
    tried = [
        (one["TunedHyperParameters"]["x"], one["TunedHyperParameters"]["n"])
        for one in _children(hosting, described["HyperParameterTuningJobName"])
    ]
    assert sorted(tried) == [(x, n) for x in ("0.1", "0.3") for n in ("4", "5", "6")]
    assert described["BestTrainingJob"]["TunedHyperParameters"] == {"x": "0.3", "n": "5"}


def test_minimize(hosting: Hosting) -> None:
    objective = {"Type": "Minimize", "MetricName": "objective"}
    described = _tune(hosting, GRID, "Grid", HyperParameterTuningJobObjective=objective)
    assert described["BestTrainingJob"]["TunedHyperParameters"]["x"] == "0.1"
    assert described["BestTrainingJob"]["TunedHyperParameters"]["n"] in ("4", "6")


def test_a_target_ends_the_search_early(hosting: Hosting) -> None:
    criteria = {"TargetObjectiveMetricValue": -100.0}
    described = _tune(hosting, RANGES, most=20, parallel=1, TuningJobCompletionCriteria=criteria)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["TrainingJobStatusCounters"]["Completed"] < 5


@pytest.mark.parametrize(
    ("mode", "message"),
    [("fail", "All training jobs failed"), ("silent", "No objective metrics found after running 2")],
)
def test_searches_without_a_result_fail(hosting: Hosting, mode: str, message: str) -> None:
    described = _tune(hosting, RANGES, static={"mode": mode}, most=2, parallel=2)
    assert described["HyperParameterTuningJobStatus"] == "Failed"
    assert described["FailureReason"].startswith(message)
    assert "BestTrainingJob" not in described
    assert described["ObjectiveStatusCounters"]["Failed"] == 2


def test_stopping_stops_the_training_jobs(hosting: Hosting) -> None:
    name = hosting.name("tune")
    request = tuning_request(name, RANGES, static={"seconds": "60"}, most=5, parallel=2)
    hosting.sagemaker.create_hyper_parameter_tuning_job(**request)
    until(lambda: len(_children(hosting, name)) == 2)
    hosting.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    described = _finished(hosting, name, 20)
    assert described["HyperParameterTuningJobStatus"] == "Stopped"
    assert {one["TrainingJobStatus"] for one in _children(hosting, name)} == {"Stopped"}
    with pytest.raises(ClientError, match="in status Stopped"):
        hosting.sagemaker.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def test_bad_requests(hosting: Hosting) -> None:
    taken = _tune(hosting, GRID, "Grid")["HyperParameterTuningJobName"]
    reverse = {"IntegerParameterRanges": [{"Name": "n", "MinValue": "9", "MaxValue": "1"}]}
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("ResourceInUse", "already exists", tuning_request(taken, RANGES)),
        ("ValidationException", "greater than its maximum", tuning_request("x", reverse)),
        ("ValidationException", "only categorical parameters", tuning_request("x", RANGES, "Grid")),
        ("ValidationException", "MaxNumberOfTrainingJobs is required", tuning_request("x", RANGES, "Bayesian")),
        ("ValidationException", "both static and tuned: x", tuning_request("x", RANGES, static={"x": "1"})),
        ("ValidationException", "must not be greater than", tuning_request("x", RANGES, most=2, parallel=3)),
        ("ValidationException", "hyperParameterTuningJobName", tuning_request("x" * 33, RANGES)),
    ]
    for code, message, request in cases:
        with pytest.raises(ClientError, match=rf"\({code}\).*{message}"):
            hosting.sagemaker.create_hyper_parameter_tuning_job(**request)
    with pytest.raises(ClientError, match=r"\(ResourceNotFound\).*can't find a tuning job"):
        hosting.sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="nowhere")


def test_a_tuning_job_goes_on_after_a_crash_of_the_server(tmp_path: Path) -> None:
    server = hosting_server(tmp_path)
    server.start()
    hosting = Hosting(server)
    hosting.upload_artifact()
    request = tuning_request("survivor", RANGES, static={"seconds": "1"}, most=4, parallel=2, RandomSeed=3)
    hosting.sagemaker.create_hyper_parameter_tuning_job(**request)
    until(lambda: _children(hosting, "survivor", StatusEquals="Completed"))
    server.stop(signal.SIGKILL)
    server.start()
    described = _finished(Hosting(server), "survivor")
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["TrainingJobStatusCounters"]["Completed"] == 4
    assert len({one["TrainingJobName"] for one in _children(hosting, "survivor")}) == 4
    assert server.stop() == 0
