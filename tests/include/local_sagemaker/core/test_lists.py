"""List operations: newest first, status filters after paging, and no page repeats or loses anything."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.job_requests import finished_training, training
from tests.include.local_sagemaker.local_server import LocalSageMaker, call

NAMES = [f"lists-{letter}" for letter in "dacbe"]


@pytest.fixture(scope="module")
def jobs(sagemaker: Any) -> list[dict[str, Any]]:
    """Five jobs in order of creation; the second fails."""
    for number, name in enumerate(NAMES):
        sagemaker.create_training_job(**training(name, ["false" if number == 1 else "true"]))
        time.sleep(0.02)
    return [finished_training(sagemaker, name) for name in NAMES]


def _names(sagemaker: Any, **parameters: Any) -> list[str]:
    pages = sagemaker.get_paginator("list_training_jobs").paginate(NameContains="lists-", **parameters)
    return [item["TrainingJobName"] for page in pages for item in page["TrainingJobSummaries"]]


@pytest.mark.usefixtures("jobs")
def test_orders(sagemaker: Any) -> None:
    assert _names(sagemaker) == NAMES[::-1]
    assert _names(sagemaker, SortBy="CreationTime", SortOrder="Ascending") == NAMES
    assert _names(sagemaker, SortBy="Name", SortOrder="Ascending") == sorted(NAMES)
    assert _names(sagemaker, SortBy="Name", SortOrder="Descending") == sorted(NAMES, reverse=True)
    assert _names(sagemaker, SortBy="Status", SortOrder="Descending")[0] == NAMES[1]


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_pages(sagemaker: Any, size: int) -> None:
    assert _names(sagemaker, PaginationConfig={"PageSize": size}) == NAMES[::-1]
    assert _names(sagemaker, SortBy="Status", PaginationConfig={"PageSize": size})[0] == NAMES[1]


@pytest.mark.usefixtures("jobs")
def test_a_status_is_looked_at_after_a_page_was_taken(sagemaker: Any) -> None:
    page = sagemaker.list_training_jobs(NameContains="lists-", StatusEquals="Failed", MaxResults=3)
    assert page["TrainingJobSummaries"] == []
    page = sagemaker.list_training_jobs(
        NameContains="lists-", StatusEquals="Failed", MaxResults=3, NextToken=page["NextToken"]
    )
    assert [item["TrainingJobName"] for item in page["TrainingJobSummaries"]] == [NAMES[1]]
    assert "NextToken" not in page
    assert _names(sagemaker, StatusEquals="Failed", PaginationConfig={"PageSize": 1}) == [NAMES[1]]


def test_filters_by_time(server: LocalSageMaker, sagemaker: Any, jobs: list[dict[str, Any]]) -> None:
    def listed(**parameters: float) -> list[str]:
        # boto3 sends whole seconds; the protocol has fractions
        body = json.dumps({"NameContains": "lists-", **parameters}).encode()
        return [item["TrainingJobName"] for item in call(server, "ListTrainingJobs", body)[1]["TrainingJobSummaries"]]

    between = (jobs[1]["CreationTime"].timestamp() + jobs[2]["CreationTime"].timestamp()) / 2
    assert listed(CreationTimeAfter=between) == NAMES[:1:-1]
    assert listed(CreationTimeBefore=between) == NAMES[1::-1]
    assert listed(LastModifiedTimeBefore=jobs[0]["CreationTime"].timestamp() - 0.01) == []
    assert _names(sagemaker, CreationTimeAfter=jobs[0]["CreationTime"] - timedelta(seconds=2)) == NAMES[::-1]


def test_summaries_hold_what_clients_read(sagemaker: Any, jobs: list[dict[str, Any]]) -> None:
    [summary] = sagemaker.list_training_jobs(NameContains=NAMES[0])["TrainingJobSummaries"]
    for key in (
        "TrainingJobName",
        "TrainingJobArn",
        "CreationTime",
        "TrainingEndTime",
        "LastModifiedTime",
        "TrainingJobStatus",
    ):
        assert summary[key] == jobs[0][key]
    assert "AlgorithmSpecification" not in summary


@pytest.mark.usefixtures("jobs")
def test_a_page_goes_on_where_it_stopped_when_jobs_are_added(sagemaker: Any) -> None:
    first = sagemaker.list_training_jobs(NameContains="lists-", SortOrder="Descending", MaxResults=2)
    sagemaker.create_training_job(**training("lists-late", ["true"]))
    second = sagemaker.list_training_jobs(
        NameContains="lists-", SortOrder="Descending", MaxResults=2, NextToken=first["NextToken"]
    )
    shown = [item["TrainingJobName"] for page in (first, second) for item in page["TrainingJobSummaries"]]
    assert shown == NAMES[:0:-1]


@pytest.mark.parametrize("token", ["nonsense", "bm9uc2Vuc2U=", "WzFd"])
def test_tokens_of_others_are_refused(sagemaker: Any, token: str) -> None:
    with pytest.raises(ClientError, match="ValidationException"):
        sagemaker.list_training_jobs(NextToken=token)


def test_the_default_page_has_ten(sagemaker: Any) -> None:
    for number in range(11):
        sagemaker.create_training_job(**training(f"ten-{number}", ["true"]))
    page = sagemaker.list_training_jobs(NameContains="ten-")
    assert len(page["TrainingJobSummaries"]) == 10
    assert page["NextToken"]
