"""Tuning jobs: what happens to their best training job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from botocore.stub import Stubber

from sagemaker_jobs.kinds import TUNING
from sagemaker_jobs.names import job_name
from sagemaker_jobs.training import TuningJobOperator

from .conftest import FakeTaskInstance, expect_job


def expect_completed(sagemaker: Stubber, ti: FakeTaskInstance, **fields: Any) -> str:
    """The job is already Completed, without a second attempt; its name."""
    name = job_name(TUNING, ti, 1)
    counters = {"Completed": 0, "InProgress": 0, "RetryableError": 0, "NonRetryableError": 0, "Stopped": 0}
    limits = {"MaxNumberOfTrainingJobs": 8, "MaxParallelTrainingJobs": 2}
    answer = {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobArn": f"arn:aws:sagemaker:eu-west-1:123456789012:hyper-parameter-tuning-job/{name}",
        "HyperParameterTuningJobConfig": {"Strategy": "Random", "ResourceLimits": limits},
        "HyperParameterTuningJobStatus": "Completed",
        "CreationTime": datetime.now(UTC),
        "TrainingJobStatusCounters": counters,
        "ObjectiveStatusCounters": {"Succeeded": 0, "Pending": 0, "Failed": 0},
        **fields,
    }
    operation, field = "describe_hyper_parameter_tuning_job", "HyperParameterTuningJobName"
    sagemaker.add_response(operation, answer, {field: name})
    sagemaker.add_client_error(operation, "ResourceNotFound", expected_params={field: job_name(TUNING, ti, 1, 2)})
    return name


@pytest.fixture
def tune(prepare: Callable[..., Any]) -> TuningJobOperator:
    operator: TuningJobOperator = prepare(
        TuningJobOperator(task_id="tune_model", retries=2, request=lambda context: {})
    )
    return operator


def test_tuning_hands_on_its_best_model(tune: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    best = {
        "TrainingJobName": "tune-003",
        "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/tune-003",
        "CreationTime": datetime.now(UTC),
        "TrainingJobStatus": "Completed",
        "TunedHyperParameters": {"learning_rate": "0.1"},
    }
    name = expect_completed(sagemaker, ti, BestTrainingJob=best)
    metrics = [{"MetricName": "validation:macro_f1", "Value": 0.5}]
    used = {"learning_rate": "0.1", "seed": "7"}
    expect_job(sagemaker, "tune-003", "Completed")  # its artifact is looked up
    expect_job(sagemaker, "tune-003", "Completed", HyperParameters=used, FinalMetricDataList=metrics)
    result = tune.execute({"ti": ti})
    assert (result["name"], result["kind"]) == (name, "tuning")
    assert result["best_training_job"] == "tune-003"
    assert result["artifact"].endswith("/tune-003/output/model.tar.gz")
    assert result["hyperparameters"] == used, "all of them, including the tuned ones"
    assert result["metrics"] == {"validation:macro_f1": pytest.approx(0.5)}


def test_tuning_of_which_nothing_came_fails_at_once(tune: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    name = expect_completed(sagemaker, ti)
    with pytest.raises(AirflowFailException, match=f"tuning job {name} completed, but none of its training jobs did"):
        tune.execute({"ti": ti})
