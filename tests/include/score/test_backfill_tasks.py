"""A backfill from its plan to its report, with S3 and the registry of a local AWS."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.models.config.files import DAY_RESULT, DAYS, PARTS, REPORT, SCORES
from include.platform.dag_settings import scores_asset
from include.platform.environment import EXAMPLE
from include.platform.errors import PermanentError
from include.platform.run_folders import Run
from include.platform.storage import scores_manifest, split_uri
from include.score import backfill_tasks as tasks
from include.score import tasks as score
from tests.include.local_aws import LocalS3
from tests.include.score.tabular_classifier_days import BUCKET, DAYS_THERE, MODEL, raw_key

RUN = Run(BUCKET, "backfill", "manual__1")


@pytest.fixture(autouse=True)
def s3(in_production: LocalS3) -> LocalS3:
    return in_production


def context(told: list[str] | None = None, **params: Any) -> Any:
    """``told`` collects the days announced to the scores' Asset."""
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
    event = SimpleNamespace(add_partitions=([] if told is None else told).extend)
    every = [scores_asset("another"), scores_asset(MODEL.name)]
    events = {scores_asset(MODEL.name): event}
    return {"params": asked, "ti": instance, "task": SimpleNamespace(outlets=every), "outlet_events": events}


def stage(s3: LocalS3, day: str, *, passed: bool = True) -> None:
    """Write what the batch's job leaves for a day."""
    run = RUN.of_batch(MODEL.name, 0)
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
    files = f"{split_uri(RUN.of_batch(MODEL.name, 0).batch_files)[1]}/{DAYS}"
    assert list(json.loads(s3.objects[files])) == DAYS_THERE
    outputs = request["ProcessingOutputConfig"]["Outputs"]
    assert [each["S3Output"]["S3UploadMode"] for each in outputs] == ["Continuous"]
    stage(s3, DAYS_THERE[0])
    stage(s3, DAYS_THERE[1])
    s3.objects[f"{split_uri(RUN.of_batch(MODEL.name, 0).of(DAYS_THERE[1], SCORES))[1]}/shard-0.parquet"] = b"half"
    tasks.score_batch(context(), batch=batch)
    assert list(json.loads(s3.objects[files])) == DAYS_THERE[1:], "a day with an incomplete file is not staged"


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
    assert list(failed) == DAYS_THERE[1:], "what the job staged is published"
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
    assert "above the budget of 0 USD" in question["body"]
    assert tasks.choose_batches(context(), answer={"chosen_options": [tasks.NO]}) == []
    refused = tasks.report_days(context(), batches=[])
    assert refused.get("refused")
    assert refused["failed"] == 3
    assert len(tasks.choose_batches(context(), answer={"chosen_options": [tasks.YES]})) == 1


def test_raw_data_that_changed_meanwhile_is_not_published(s3: LocalS3) -> None:
    [batch] = planned()
    for day in DAYS_THERE:
        stage(s3, day)
    s3.objects[raw_key(DAYS_THERE[2])] = b"other rows"
    failed = tasks.publish_batch(context(), batch=batch, scored=job())["failed"]
    assert list(failed) == [DAYS_THERE[2]]
    assert "changed while it was being scored" in failed[DAYS_THERE[2]]


def test_each_published_day_is_told_as_a_partition_of_the_models_asset_alone(s3: LocalS3) -> None:
    [batch] = planned()
    for day, passed in zip(DAYS_THERE, (True, False, True), strict=True):
        stage(s3, day, passed=passed)
    for _ in range(2):  # what an earlier try published was not announced, as that try failed
        told: list[str] = []
        asked = context(told)
        tasks.publish_batch(asked, batch=batch, scored=job())
        assert told == [DAYS_THERE[0], DAYS_THERE[2]]
        assert asked["task"].outlets == [scores_asset(MODEL.name)]


def test_where_nothing_is_published_nobody_is_told(s3: LocalS3) -> None:
    [batch] = planned()
    told: list[str] = []
    asked = context(told)
    tasks.publish_batch(asked, batch=batch, scored=None)
    assert (told, asked["task"].outlets) == ([], [])


def test_a_day_that_score_published_meanwhile_is_done_and_not_published_again(s3: LocalS3) -> None:
    [batch] = planned()
    for day in DAYS_THERE:
        stage(s3, day)
    other = {**context(), "ti": SimpleNamespace(dag_id=f"score_{MODEL.name}", run_id="scheduled__1")}
    other["params"] = {"day": DAYS_THERE[1], "model_version": "champion_at", "force": False, "several_jobs": False}
    score.plan_day(MODEL, other)
    _, folder, _ = score.planned_day(other)
    key = split_uri(folder.staged_scores("score_day"))[1]
    s3.objects[f"{key}/shard-0.parquet"] = b"scores"
    part = {"name": "shard-0.parquet", "rows": 7, "bytes": 6, "sha256": "0" * 64}
    s3.objects[f"{key}/{PARTS}"] = json.dumps({"parts": [part]}).encode()
    score.publish_scores(MODEL, other, jobs={"score_day": job(result={"tables": {}})})
    before = manifest(s3, DAYS_THERE[1])
    told: list[str] = []
    published = tasks.publish_batch(context(told), batch=batch, scored=job())
    assert (published["failed"], list(published["elsewhere"])) == ({}, [DAYS_THERE[1]])
    assert told == [DAYS_THERE[0], DAYS_THERE[2]], "score_ has announced its day"
    assert manifest(s3, DAYS_THERE[1]) == before
    summary = tasks.report_days(context(), batches=[batch])
    assert (summary["scored"], summary["skipped_unchanged"], summary["failed"]) == (2, 1, 0)


def test_published_days_are_sent_to_a_sink_that_there_is(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    [batch] = planned()
    stage(s3, DAYS_THERE[0])
    stage(s3, DAYS_THERE[2])
    tasks.publish_batch(context(), batch=batch, scored=job())
    with pytest.raises(AirflowSkipException, match="or ml_environment has no kafka"):
        tasks.send_scores("kafka", context(), batch=batch)
    facts = {**json.loads(EXAMPLE), "kafka": {"bootstrap_servers": "b:1"}}
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", json.dumps(facts))
    request = tasks.send_scores("kafka", context(), batch=batch)
    assert request["AppSpecification"]["ContainerArguments"][-2:] == ["--sink", "kafka"]
    [place] = [each["S3Input"] for each in request["ProcessingInputs"] if each["InputName"] == "scores"]
    assert place["S3DataType"] == "ManifestFile"
    prefix, *names = json.loads(s3.objects[split_uri(place["S3Uri"])[1]])
    keys = {f"{prefix['prefix']}{name}".removeprefix(f"s3://{BUCKET}/") for name in names}
    days = [found for day in DAYS_THERE if (found := manifest(s3, day))]
    assert keys == {scores_manifest(MODEL.name, day["date"]) for day in days} | {
        file["key"] for day in days for file in day["files"]
    }
    assert keys <= set(s3.objects)
    silent = MODEL.sinks.model_copy(update={"kafka": MODEL.sinks.kafka.model_copy(update={"backfilled_days": False})})
    monkeypatch.setattr(tasks, "model_of", lambda context: MODEL.model_copy(update={"sinks": silent}))
    with pytest.raises(AirflowSkipException, match="backfilled_days: false"):
        tasks.send_scores("kafka", context(), batch=batch)
