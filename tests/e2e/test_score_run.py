"""Scoring under the real scheduler: a backfill, a day on its own, the endpoint, late data, missing days, drift."""

from __future__ import annotations

import gzip
import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from include.models.config.files import CHALLENGER
from include.ops.local_stack.settings import BUCKET
from include.platform.run_folders import Run
from include.platform.storage import (
    challenger_folder,
    daily_partition,
    drift_of,
    scores_manifest,
    scores_symlink,
    split_uri,
)
from include.registry.history import read_history
from include.score.published import read_published
from tests.promoted import enter_into_production

from .conftest import RunResult, Stack
from .test_deploy_run import Deployments

pytestmark = pytest.mark.timeout(900)

MODEL, DAG = "predictive_maintenance", "score_predictive_maintenance"
WATCH, TRAIN = "monitor_predictive_maintenance", "train_predictive_maintenance"
FIRST, LAST, DAYS = "2015-06-01", "2015-06-03", ["2015-06-01", "2015-06-02", "2015-06-03"]
DAY_BEFORE = "2015-05-31"  # its raw data exists, since the first day looks back to it; no backfill has scored it
ROWS = 30 * 8  # a row per machine every three hours


@pytest.fixture(scope="module")
def in_production(running: Stack, trained: RunResult) -> int:
    """The number of the version that scores past days: the first one ever in production, which is the trained one
    unless another test has already promoted one."""
    assert trained.status == 0, trained.output
    s3 = running.client("s3")
    arn = trained.summary["model_package_arn"]
    if entries := read_history(s3, BUCKET, MODEL).entries:
        return entries[0].version
    since = datetime(2015, 6, 2, 12, tzinfo=UTC)
    return enter_into_production(s3, running.client("sagemaker"), BUCKET, MODEL, arn, since).version


def backfill(running: Stack, *more: str) -> RunResult:
    """``make backfill`` over the days, as a user types it."""
    return running.make("backfill", f"FROM={FIRST}", f"TO={LAST}", *more)


@pytest.fixture(scope="module")
def backfilled(running: Stack, in_production: int) -> RunResult:
    running.airflow.unpause(DAG)  # for the days scored separately
    return backfill(running)


def published(running: Stack, day: str) -> dict[str, Any]:
    found = read_published(running.client("s3"), BUCKET, MODEL, day)
    assert found is not None
    return found


def ended(running: Stack, dag_id: str, run_id: str) -> str:
    deadline = time.monotonic() + 400
    while (state := running.airflow.run_state(dag_id, run_id)) not in ("success", "failed"):
        assert time.monotonic() < deadline, running.airflow.task_instances(dag_id, run_id)
        time.sleep(1)
    return state


def started_by_scores(running: Stack) -> Counter[str]:
    """How many runs of monitor_ each day's publication has started."""
    runs = running.airflow.call("GET", f"/dags/{WATCH}/dagRuns", params={"limit": 100})["dag_runs"]
    return Counter(run["partition_key"] for run in runs if run["run_type"] == "asset_triggered")


def require_watched(running: Stack, before: Counter[str], days: Iterable[str]) -> None:
    """Monitoring has started once for each of these days, and for no other."""
    deadline, expected = time.monotonic() + 60, before + Counter(days)
    while (found := started_by_scores(running)) != expected:
        assert time.monotonic() < deadline, (found, expected)
        time.sleep(0.5)


def test_a_backfill_scores_every_day_once(backfilled: RunResult, running: Stack, in_production: int) -> None:
    assert backfilled.status == 0, backfilled.output
    summary = backfilled.summary
    assert (summary["days"], summary["scored"], summary["skipped_unchanged"], summary["failed"]) == (3, 3, 0, 0)
    assert [partition["date"] for partition in summary["partitions"]] == DAYS
    assert all(partition["rows"] == ROWS for partition in summary["partitions"])
    assert "instance-hours" in backfilled.output, "the preview"
    assert summary["jobs"] == 1
    assert summary["actual_usd"] > 0 < summary["estimated_usd"]
    s3 = running.client("s3")
    for day in DAYS:
        manifest = published(running, day)
        assert manifest["model_version"] == in_production
        assert manifest["code_hash"]
        for file in manifest["files"]:
            body = s3.get_object(Bucket=BUCKET, Key=file["key"])["Body"].read()
            assert body[:4] == body[-4:] == b"PAR1"
            assert len(body) == file["bytes"]
        links = s3.get_object(Bucket=BUCKET, Key=scores_symlink(MODEL, day))["Body"].read().decode().split()
        assert links == [f"s3://{BUCKET}/{file['key']}" for file in manifest["files"]]


def test_a_second_backfill_scores_nothing(backfilled: RunResult, running: Stack) -> None:
    before = [published(running, day) for day in DAYS]
    again = backfill(running)
    assert again.status == 0, again.output
    assert (again.summary["scored"], again.summary["skipped_unchanged"]) == (0, 3)
    assert [published(running, day) for day in DAYS] == before


def test_a_dry_run_starts_nothing(backfilled: RunResult, running: Stack) -> None:
    dry = backfill(running, "DRY_RUN=1", "FORCE=1")
    assert dry.status == 0, dry.output
    assert "3 to score" in dry.output
    assert "nothing was started" in dry.output
    assert dry.summary == {}


def test_a_day_on_its_own_has_the_backfills_scores_bit_for_bit_whoever_scores_it_beside(
    backfilled: RunResult, running: Stack, trained: RunResult
) -> None:
    day, versions = DAYS[1], Deployments(running, trained.summary)
    candidate = versions.register()["ModelPackageVersion"]
    before = published(running, day)
    unforced = running.airflow.trigger(DAG, conf={"day": day})
    assert ended(running, DAG, unforced) == "success"
    assert published(running, day) == before, "an unchanged day is not scored again"
    forced = running.airflow.trigger(DAG, conf={"day": day, "force": True, "challenger": candidate})
    assert ended(running, DAG, forced) == "success"
    after = published(running, day)
    assert after["run_id"] == forced
    assert after["sha256"] == before["sha256"]
    assert [job["task"] for job in after["jobs"]] == ["score_day"], "a day is one job"
    key = f"{challenger_folder(MODEL, day, candidate)}{CHALLENGER}"
    beside = json.loads(running.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())
    assert (beside["rows"], beside["agreed"], beside["changes"]) == (ROWS, 1.0, []), "a copy of the same model"
    versions.reject_all_but_the_first()


def test_several_jobs_and_the_endpoint_give_the_same_answers_bit_for_bit(backfilled: RunResult, running: Stack) -> None:
    before = published(running, DAYS[0])
    large = running.airflow.trigger(DAG, conf={"day": DAYS[0], "force": True, "several_jobs": True})
    assert ended(running, DAG, large) == "success"
    states = running.states(DAG, large)
    assert (states["score_day"], states["score"]) == ("skipped", "success")
    manifest = published(running, DAYS[0])
    assert manifest["run_id"] == large
    assert manifest["sha256"] == before["sha256"]
    assert [job["task"] for job in before["jobs"]] == ["score_batch"], "of a backfill"
    run = Run(BUCKET, DAG, manifest["run_id"]).of_day(manifest["digest"], manifest["date"])
    s3, sagemaker = running.client("s3"), running.client("sagemaker")

    def lines(uri: str) -> list[str]:
        bucket, key = split_uri(uri)
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode().splitlines()

    rows = lines(f"{run.day_features}/rows/shard-00000.csv")
    # without the key and the reasons, which an endpoint returns only on request
    scored = [line.split(",", 2)[2].rpartition(",")[0] for line in lines(f"{run.predictions}/shard-00000.csv.out")]
    job = next(job for job in sagemaker.list_transform_jobs()["TransformJobSummaries"])
    model = sagemaker.describe_transform_job(TransformJobName=job["TransformJobName"])["ModelName"]
    variant = {"VariantName": "one", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="scored-rows", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="scored-rows", EndpointConfigName="scored-rows")
    try:
        waiter = sagemaker.get_waiter("endpoint_in_service")
        waiter.wait(EndpointName="scored-rows", WaiterConfig={"Delay": 1, "MaxAttempts": 120})
        body = "\n".join(row.split(",", 2)[2] for row in rows).encode()
        answer = running.client("sagemaker-runtime").invoke_endpoint(
            EndpointName="scored-rows", ContentType="text/csv", Body=body
        )
        assert answer["Body"].read().decode().splitlines() == scored
    finally:
        sagemaker.delete_endpoint(EndpointName="scored-rows")


def test_late_data_is_swept_up(backfilled: RunResult, running: Stack) -> None:
    s3 = running.client("s3")
    before = {day: published(running, day) for day in DAYS}
    prefix = daily_partition(MODEL, DAYS[1])
    key = next(
        item["Key"]
        for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
        if "PdM_errors" in item["Key"]
    )
    s3.delete_object(Bucket=BUCKET, Key=key)
    text = f"datetime,machineID,errorID\n{DAYS[1]} 05:00:00,1,error1\n{DAYS[1]} 06:00:00,2,error2\n"
    s3.put_object(Bucket=BUCKET, Key=key.removesuffix(".gz"), Body=text.encode())
    running.airflow.unpause(WATCH)
    known = started_by_scores(running)
    run_id = running.airflow.trigger(WATCH, conf={"day": LAST})
    assert ended(running, WATCH, run_id) == "success"
    late = [run for run in running.airflow.run_ids(DAG) if run.startswith("late__")]
    found = sorted(run.split("__")[1] for run in late)
    assert found == [DAY_BEFORE, *DAYS[1:]], "the day, the one that looks back to it, and one never scored"
    assert {ended(running, DAG, run) for run in late} == {"success"}
    after = {day: published(running, day) for day in DAYS}
    assert after[DAYS[0]] == before[DAYS[0]]
    for day in DAYS[1:]:
        assert after[day]["run_id"].startswith(f"late__{day}")
        assert len(after[day]["files"]) == 1
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"scores/{MODEL}/date={day}/")["Contents"]
        named = {after[day]["files"][0]["key"], after[day]["profile"], after[day]["shown"]}
        manifest = scores_manifest(MODEL, day)
        assert {one["Key"] for one in listed} == {*named, manifest}, "no other version is left"
    require_watched(running, known, found)


def test_a_day_that_is_not_there_fails_and_says_so(backfilled: RunResult, running: Stack) -> None:
    run_id = running.airflow.trigger(DAG, conf={"day": "2014-01-01"})
    assert ended(running, DAG, run_id) == "failed"
    reason = running.airflow.failure_reason(DAG, run_id, "wait_for_partition", 1)
    assert "the raw data of 2014-01-01 was not complete" in reason
    assert "It needs PdM_telemetry" in reason


def test_a_scored_day_is_watched(backfilled: RunResult, running: Stack) -> None:
    s3 = running.client("s3")
    scored = [day for day in (DAY_BEFORE, *DAYS) if read_published(s3, BUCKET, MODEL, day)]
    rows = sum(published(running, day)["rows"] for day in scored)
    running.airflow.unpause(WATCH)
    run_id = running.airflow.trigger(WATCH, conf={"day": LAST})
    assert ended(running, WATCH, run_id) == "success"
    found = running.airflow.xcom(WATCH, run_id, "judge_day")
    assert (found["verdict"], found["days"], found["rows"]) == ("fine", scored, rows), found["summary"]
    states = running.states(WATCH, run_id)
    assert (states["keep_model"], states["report_verdict"], states["retrain_model"]) == (
        "success",
        "skipped",
        "skipped",
    )
    page = httpx.get(found["report"], trust_env=False)
    assert "volt_mean_24h" in page.raise_for_status().text
    bucket, key = split_uri(drift_of(BUCKET, MODEL, LAST))
    kept = json.loads(running.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    assert kept["verdict"] == "fine"


def shift_voltage(running: Stack, day: str) -> None:
    """Raise it by 5 % in a day's raw data, as after a change in supply."""
    s3 = running.client("s3")
    key = f"{daily_partition(MODEL, day)}PdM_telemetry.csv.gz"
    header, *rows = gzip.decompress(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()).decode().splitlines()
    column = header.split(",").index("volt")
    cells = [row.split(",") for row in rows]
    shifted = [[*row[:column], str(float(row[column]) * 1.05), *row[column + 1 :]] for row in cells]
    text = "\n".join([header, *(",".join(row) for row in shifted)]) + "\n"
    s3.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress(text.encode()))


def as_if_it_had_begun_on(running: Stack, earlier: str, day: str) -> None:
    """The verdict on a day; waits long enough for a verdict that starts a training."""
    s3 = running.client("s3")
    _, key = split_uri(drift_of(BUCKET, MODEL, day))
    found = json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    s3.put_object(Bucket=BUCKET, Key=key.replace(day, earlier), Body=json.dumps({**found, "date": earlier}).encode())


def test_a_drift_is_told_and_starts_one_training(in_production: int, running: Stack) -> None:
    days = ("FROM=2015-07-01", "TO=2015-07-03", "VERSION=current")
    cut = running.make("backfill", *days, "DRY_RUN=1")
    assert cut.status == 0, cut.output
    for day in ("2015-07-01", "2015-07-02", "2015-07-03"):
        shift_voltage(running, day)
    running.airflow.unpause(WATCH)
    known = started_by_scores(running)
    scored = running.make("backfill", *days)
    assert scored.status == 0, scored.output
    require_watched(running, known, ("2015-07-01", "2015-07-02", "2015-07-03"))
    before = running.airflow.run_ids(TRAIN)

    def watched() -> tuple[str, dict[str, str]]:
        run_id = running.airflow.trigger(WATCH, conf={"day": "2015-07-03"})
        assert ended(running, WATCH, run_id) == "success"
        tasks = running.states(WATCH, run_id)
        return run_id, {name: tasks[name] for name in ("report_verdict", "retrain_model", "keep_model")}

    _, first = watched()
    assert first == {"report_verdict": "success", "retrain_model": "skipped", "keep_model": "skipped"}, "too new"
    as_if_it_had_begun_on(running, "2015-06-20", "2015-07-03")
    run_id, second = watched()
    assert second == {"report_verdict": "skipped", "retrain_model": "success", "keep_model": "skipped"}
    _, third = watched()
    assert third == {"report_verdict": "skipped", "retrain_model": "skipped", "keep_model": "success"}, "once"
    found = running.airflow.xcom(WATCH, run_id, "judge_day")
    assert found["verdict"] in ("drift without harm", "performance loss"), found["summary"]
    assert found["drifted"], found
    assert all(name.startswith("volt_") for name in found["drifted"])
    (started,) = set(running.airflow.run_ids(TRAIN)) - set(before)
    assert started == found["training_run"] == f"monitor__2015-07-03__version_{found['model_version']}"
    assert ended(running, TRAIN, started) == "success"


def test_the_notebook_that_explores_a_model_runs(running: Stack, backfilled: RunResult) -> None:
    assert backfilled.status == 0, backfilled.output
    command = [running.settings.python("jobs"), "tests/notebooks.py", "docs/notebooks/explore_model.ipynb"]
    told = {**running.environment, "MODEL": MODEL, "DAY": FIRST, "PYTHONPATH": str(running.checkout)}
    done = subprocess.run(command, cwd=running.checkout, env=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "shape: (10, " in done.stdout, "the rows with the highest risk"
    assert "one_feature_alone" in done.stdout, "the evaluation's metrics"
