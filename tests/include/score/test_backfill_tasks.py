"""A backfill from its plan to its report, with S3 and the registry of a local AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from include.models.config import load_model
from include.models.config.files import DAY_RESULT, DAYS, PARTS, REPORT, SCORES
from include.platform.environment import EXAMPLE, MlEnvironment
from include.platform.errors import PermanentError
from include.platform.storage import Run, daily_partition, production_history, scores_manifest, split_uri
from include.registry.history import Entry, History, promote
from include.score import backfill_tasks as tasks
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3, registered_versions
from tests.include.local_sagemaker.local_server import LocalSageMaker

MODEL, GROUP = load_model("tabular_classifier"), "tabular-classifier"
ENVIRONMENT = MlEnvironment.model_validate_json(EXAMPLE)
DAYS_THERE = ["2026-01-05", "2026-01-06", "2026-01-07"]
RUN = Run(ENVIRONMENT.bucket, "backfill", "manual__1")


@pytest.fixture(scope="module")
def registry(local_aws: LocalSageMaker) -> Iterator[Any]:
    with registered_versions(local_aws, GROUP, 1) as sagemaker:
        yield sagemaker


@pytest.fixture(autouse=True)
def s3(ml_bucket: LocalS3, registry: Any, monkeypatch: pytest.MonkeyPatch) -> LocalS3:
    """Three days of raw data, and version 1 in production."""
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
    answer_from(monkeypatch, s3=ml_bucket, sagemaker=registry)
    entry = Entry(
        version=1,
        model_package_arn=f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{GROUP}/1",
        artifact="s3://bucket/1/model.tar.gz",
        since=datetime(2026, 1, 1, tzinfo=UTC),
        endpoint_config="config",
        dag_id="deploy",
        run_id="run",
    )
    history = promote(History(), entry).model_dump_json(by_alias=True)
    ml_bucket.objects[split_uri(production_history(ENVIRONMENT.bucket, MODEL.name))[1]] = history.encode()
    file = MODEL.data.tables[MODEL.daily_scoring.tables[0]].file
    for day in DAYS_THERE:
        ml_bucket.objects[f"{daily_partition(MODEL.name, day)}{file}"] = b"rows"
    return ml_bucket


def context(**params: Any) -> Any:
    pushed: dict[str, Any] = {}
    asked = {
        "model": MODEL.name,
        "from": DAYS_THERE[0],
        "to": DAYS_THERE[-1],
        "model_version": "champion_at",
        "force": False,
        "budget_usd": 1000,
        **params,
    }
    instance = SimpleNamespace(
        dag_id=RUN.dag_id, run_id=RUN.run_id, pushed=pushed, xcom_push=lambda key, value: pushed.__setitem__(key, value)
    )
    return {"params": asked, "ti": instance}


def stage(s3: LocalS3, day: str, *, passed: bool = True) -> None:
    """What the batch's job leaves of a day."""
    run = RUN.of_batch(0)
    result = {
        "passed": passed,
        "summary": f"said of {day}",
        "rows": 7,
        "tables": {"rows": {"rejected": 2}},
        "seconds": {},
    }
    s3.objects[f"{split_uri(run.of(day, REPORT))[1]}/{DAY_RESULT}"] = json.dumps(result).encode()
    if passed:
        scores = split_uri(run.of(day, SCORES))[1]
        s3.objects[f"{scores}/shard-0.parquet"] = b"scores"
        part = {"name": "shard-0.parquet", "rows": 7, "bytes": 6, "sha256": "0" * 64}
        s3.objects[f"{scores}/{PARTS}"] = json.dumps({"parts": [part]}).encode()


def planned() -> list[tasks.BatchRef]:
    assert tasks.plan_days(context()) == "choose_batches"
    return tasks.choose_batches(context(), answer=None)


def job(**more: Any) -> Any:
    costs = {"instance_type": "ml.m5.large", "instance_count": 1, "billable_seconds": 60, "cost_usd": 0.002}
    return {"name": "job", **costs, **more}


def manifest(s3: LocalS3, day: str) -> dict[str, Any] | None:
    key = scores_manifest(MODEL.name, day)
    return json.loads(s3.objects[key]) if key in s3.objects else None


def test_a_batch_that_is_tried_again_scores_what_is_not_staged(s3: LocalS3) -> None:
    [batch] = planned()
    assert (batch["days"], batch["first"], batch["last"]) == (3, DAYS_THERE[0], DAYS_THERE[-1])
    request = tasks.score_batch(context(), batch=batch)
    files = f"{split_uri(RUN.of_batch(0).batch_files)[1]}/{DAYS}"
    assert list(json.loads(s3.objects[files])) == DAYS_THERE
    outputs = request["ProcessingOutputConfig"]["Outputs"]
    assert [each["S3Output"]["S3UploadMode"] for each in outputs] == ["Continuous"]
    stage(s3, DAYS_THERE[0])
    stage(s3, DAYS_THERE[1])
    s3.objects[f"{split_uri(RUN.of_batch(0).of(DAYS_THERE[1], SCORES))[1]}/shard-0.parquet"] = b"half"
    tasks.score_batch(context(), batch=batch)
    assert list(json.loads(s3.objects[files])) == DAYS_THERE[1:], "a day of which a file is not whole is not staged"


def test_one_bad_day_fails_as_one_day(s3: LocalS3) -> None:
    [batch] = planned()
    for day, passed in zip(DAYS_THERE, (True, False, True), strict=True):
        stage(s3, day, passed=passed)
    published = tasks.publish_batch(context(), batch=batch, scored=job())
    assert list(published["failed"]) == [DAYS_THERE[1]]
    assert "said of" in published["failed"][DAYS_THERE[1]]
    first = manifest(s3, DAYS_THERE[0])
    assert first is not None
    assert first["quarantined"] == {"rows": 2}
    assert first["jobs"] == [
        {"task": "score_batch", "instance_type": "ml.m5.large", "instance_count": 1, "billable_seconds": 20}
    ]
    assert manifest(s3, DAYS_THERE[1]) is None
    asked = context()
    with pytest.raises(PermanentError, match=rf"1 of 3 days have no new scores: {DAYS_THERE[1]}"):
        tasks.report_days(asked, batches=[batch])
    summary = asked["ti"].pushed["summary"]
    assert (summary["scored"], summary["failed"], summary["rows"], summary["jobs"]) == (2, 1, 14, 1)
    assert summary["actual_usd"] == 0.002
    assert summary["versions"] == {"1": 2}


def test_no_day_is_published_twice_and_a_job_that_failed_loses_none(s3: LocalS3) -> None:
    [batch] = planned()
    stage(s3, DAYS_THERE[0])
    failed = tasks.publish_batch(context(), batch=batch, scored=None)["failed"]
    assert list(failed) == DAYS_THERE[1:], "what the job had staged is published"
    before = manifest(s3, DAYS_THERE[0])
    s3.log.clear()
    for day in DAYS_THERE:
        stage(s3, day)
    assert tasks.publish_batch(context(), batch=batch, scored=job())["failed"] == {}
    assert manifest(s3, DAYS_THERE[0]) == before
    puts = [key for what, key in s3.log if what == "put" and key.endswith("_SUCCESS.json")]
    assert puts == [scores_manifest(MODEL.name, day) for day in DAYS_THERE[1:]]
    assert tasks.report_days(context(), batches=[batch])["failed"] == 0


def test_what_is_done_is_found_done_by_the_next_backfill(s3: LocalS3) -> None:
    [batch] = planned()
    for day in DAYS_THERE:
        stage(s3, day)
    tasks.publish_batch(context(), batch=batch, scored=job())
    assert planned() == []
    assert len(tasks.choose_batches(context(), answer=None)) == 0


def test_above_the_budget_a_person_is_asked(s3: LocalS3) -> None:
    asked = context(budget_usd=0)
    assert tasks.plan_days(asked) == "approve_cost"
    question = asked["ti"].pushed["question"]
    assert "Score 3 days of tabular_classifier? 1 job" in question["subject"]
    assert "asked above 0 USD" in question["body"]
    assert tasks.choose_batches(context(), answer={"chosen_options": [tasks.NO]}) == []
    refused = tasks.report_days(context(), batches=[])
    assert refused.get("refused")
    assert refused["failed"] == 3
    assert len(tasks.choose_batches(context(), answer={"chosen_options": [tasks.YES]})) == 1


def test_raw_data_that_changed_meanwhile_is_not_published(s3: LocalS3) -> None:
    [batch] = planned()
    for day in DAYS_THERE:
        stage(s3, day)
    file = MODEL.data.tables[MODEL.daily_scoring.tables[0]].file
    s3.objects[f"{daily_partition(MODEL.name, DAYS_THERE[2])}{file}"] = b"other rows"
    failed = tasks.publish_batch(context(), batch=batch, scored=job())["failed"]
    assert list(failed) == [DAYS_THERE[2]]
    assert "changed while it was being scored" in failed[DAYS_THERE[2]]
