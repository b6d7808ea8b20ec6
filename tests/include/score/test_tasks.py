"""A scoring run from its plan to its publication, with S3 and the registry of a local AWS."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.models.config import Monitoring
from include.models.config.files import PARTS
from include.platform.dag_settings import scores_asset
from include.platform.environment import EXAMPLE, MlEnvironment
from include.platform.run_folders import DayRun
from include.platform.storage import scores_manifest, split_uri
from include.registry.versions import RegisteredVersion
from include.score import tasks
from tests.include.local_aws import LocalS3
from tests.include.score.tabular_classifier_days import DAYS_THERE, MODEL, raw_key

DAY = DAYS_THERE[0]
ENVIRONMENT = MlEnvironment.model_validate_json(EXAMPLE)
RAW = raw_key(DAY)
SEVERAL = "validate_input"
MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
VERDICT = {"facts": {"chunks": "3"}, "tables": {"readings": {"rejected": 2}, "machines": {"rejected": 0}}}


@pytest.fixture(autouse=True)
def s3(in_production: LocalS3) -> LocalS3:
    return in_production


def context(told: list[str] | None = None, **params: Any) -> Any:
    """``told`` collects the days announced to the scores' Asset."""
    asked = {"day": DAY, "model_version": "champion_at", "force": False, "several_jobs": False, **params}
    event = SimpleNamespace(add_partitions=([] if told is None else told).extend)
    return {
        "params": asked,
        "ti": SimpleNamespace(dag_id="score_tabular_classifier", run_id="scheduled__1"),
        "task": SimpleNamespace(outlets=[scores_asset(MODEL.name)]),
        "outlet_events": {scores_asset(MODEL.name): event},
    }


def folder(context: Any) -> DayRun:
    return tasks.planned_day(context)[1]


def stage(s3: LocalS3, uri: str) -> None:
    """One checked part of seven rows."""
    _, key = split_uri(uri)
    s3.objects[f"{key}/shard-0.parquet"] = b"scores"
    part = {"name": "shard-0.parquet", "rows": 7, "bytes": len(b"scores"), "sha256": "0123456789abcdef"}
    s3.objects[f"{key}/{PARTS}"] = json.dumps({"parts": [part]}).encode()


def job(**result: Any) -> Any:
    costs = {"instance_type": "ml.m5.large", "instance_count": 2, "billable_seconds": 60}
    return {"name": "job", "inputs": {}, **costs, "result": result}


def arguments(request: Any) -> list[str]:
    found: list[str] = request["AppSpecification"]["ContainerArguments"]
    return found


def test_a_day_is_planned_with_the_version_of_its_end_and_the_files_that_are_there(s3: LocalS3) -> None:
    first, *others = tasks.plan_day(MODEL, context())
    assert first == "score_day"
    assert others == [f"{sink}.check_sink" for sink in MODEL.sinks.declared]
    environment, run, plan = tasks.planned_day(context())
    assert (plan.day, plan.version.version, [file["key"] for file in plan.inputs]) == (DAY, 1, [RAW])
    prefix, *names = json.loads(s3.objects[split_uri(run.day_inputs)[1]])
    assert [prefix["prefix"] + name for name in names] == [f"s3://{ENVIRONMENT.bucket}/{RAW}"]
    assert (environment.code_hash, environment.image_uri) == (ENVIRONMENT.code_hash, ENVIRONMENT.image_uri)
    assert tasks.plan_day(MODEL, context(several_jobs=True))[0] == SEVERAL


def test_the_jobs_read_and_write_what_the_plan_says(s3: LocalS3) -> None:
    tasks.plan_day(MODEL, context())
    run = folder(context())
    artifact = "s3://bucket/1/model.tar.gz"

    def places(request: Any) -> tuple[dict[str, str], dict[str, str]]:
        outputs = request["ProcessingOutputConfig"]["Outputs"]
        return (
            {each["InputName"]: each["S3Input"]["S3Uri"] for each in request["ProcessingInputs"]},
            {each["OutputName"]: each["S3Output"]["S3Uri"] for each in outputs},
        )

    for request in (tasks.score_day(MODEL, context()), tasks.validate_input(MODEL, context())):
        assert DAY in arguments(request)
        assert run.day_inputs in places(request)[0].values()
    assert artifact in places(tasks.score_day(MODEL, context()))[0].values()
    features = tasks.build_features(MODEL, context(), validated=job(**VERDICT))
    assert {artifact, f"{run.day_chunks}/"} & set(places(features)[0].values())
    assert run.day_features in places(features)[1].values()
    model = tasks.hosted_model(MODEL, context())
    assert model["PrimaryContainer"]["ModelDataUrl"] == artifact
    assert model["PrimaryContainer"]["Image"] == "image:1", "what the version was registered with"


def test_a_day_is_compared_with_the_training_of_a_version_that_has_kept_it(s3: LocalS3) -> None:
    model = MODEL.model_copy(update={"monitoring": Monitoring()})
    evaluation = f"s3://{ENVIRONMENT.bucket}/evaluation"
    version = RegisteredVersion(
        version=1,
        model_package_arn="arn",
        artifact="s3://b/a",
        image="i",
        statistics=f"{evaluation}/statistics.json",
    )
    assert tasks.reference_for(model, ENVIRONMENT, version) is None, "a version from before there were any"
    s3.objects["evaluation/reference.json"] = b"{}"
    assert tasks.reference_for(model, ENVIRONMENT, version) == f"{evaluation}/reference.json"
    ignored = model.model_copy(update={"monitoring": Monitoring(faults_before_scoring="ignore")})
    assert tasks.reference_for(ignored, ENVIRONMENT, version) is None
    assert tasks.reference_for(MODEL.model_copy(update={"monitoring": None}), ENVIRONMENT, version) is None


def test_a_day_without_a_row_is_not_scored_and_still_checked(s3: LocalS3) -> None:
    tasks.plan_day(MODEL, context())
    run = folder(context())
    with pytest.raises(AirflowSkipException, match=f"{DAY} has no rows to score"):
        tasks.score(MODEL, context())
    empty = tasks.validate_scores(MODEL, context())
    s3.objects[f"{split_uri(run.day_rows)[1]}shard-0.csv"] = b"1,2"
    assert tasks.score(MODEL, context())["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] == run.day_rows
    filled = tasks.validate_scores(MODEL, context())
    assert len(filled["ProcessingInputs"]) > len(empty["ProcessingInputs"])


@pytest.mark.parametrize("task", ["score_day", "validate_input"])
def test_what_is_published_names_its_rows_model_and_costs(s3: LocalS3, task: str) -> None:
    tasks.plan_day(MODEL, context())
    stage(s3, folder(context()).staged_scores("score_day" if task == "score_day" else "validate_scores"))
    told: list[str] = []
    published = tasks.publish_scores(MODEL, context(told), jobs={task: job(**VERDICT), "score": None})
    assert told == [DAY]
    assert (published["date"], published["rows"], published["model_version"]) == (DAY, 7, 1)
    assert published["quarantined"] == {"readings": 2}
    manifest = json.loads(s3.objects[scores_manifest(MODEL.name, DAY)])
    costs = {"instance_type": "ml.m5.large", "instance_count": 2, "billable_seconds": 60}
    assert manifest["jobs"] == [{"task": task, **costs}]
    assert manifest["run_id"] == "scheduled__1"


def test_a_published_day_is_left_alone_unless_a_person_insists(s3: LocalS3) -> None:
    tasks.plan_day(MODEL, context())
    stage(s3, folder(context()).staged_scores("score_day"))
    tasks.publish_scores(MODEL, context(), jobs={"score_day": job(**VERDICT)})
    assert tasks.plan_day(MODEL, context()) == []
    assert tasks.plan_day(MODEL, context(force=True))[0] == "score_day"
    s3.objects[RAW] = b"other rows"
    assert tasks.plan_day(MODEL, context())[0] == "score_day"


def test_raw_data_that_changed_meanwhile_publishes_nothing(s3: LocalS3) -> None:
    tasks.plan_day(MODEL, context())
    stage(s3, folder(context()).staged_scores("score_day"))
    s3.objects[RAW] = b"came late"
    with pytest.raises(AirflowFailException, match=f"the raw data of {DAY} changed while it was being scored"):
        tasks.publish_scores(MODEL, context(), jobs={"score_day": job(**VERDICT)})
    assert scores_manifest(MODEL.name, DAY) not in s3.objects


def test_a_plan_that_is_gone_or_of_other_code_says_what_to_clear(s3: LocalS3) -> None:
    with pytest.raises(AirflowFailException, match="Clear plan_day"):
        tasks.validate_input(MODEL, context())
    tasks.plan_day(MODEL, context())
    (key,) = [key for key in s3.objects if key.endswith("plan.json")]
    s3.objects[key] = b'{"day": "2026-01-05"}'
    with pytest.raises(AirflowFailException, match=r"(?s)is invalid: .*Clear plan_day, which writes it"):
        tasks.validate_input(MODEL, context())


def started(run_type: str, logical_date: datetime | None, key: str | None = None, begin: Any = MIDNIGHT) -> Any:
    """The context of a run without a day in its form; ``key`` is the partition of the event that started it."""
    run = SimpleNamespace(data_interval_start=begin, run_type=run_type, logical_date=logical_date, partition_key=key)
    return {**context(day=None), "dag_run": run}


@pytest.mark.parametrize(
    "given",
    [
        started("scheduled", MIDNIGHT),
        started("manual", MIDNIGHT),
        started("manual", None),
        started("backfill", MIDNIGHT + timedelta(hours=3)),
        started("asset_triggered", None, key=DAY, begin=None),
    ],
)
def test_a_run_that_is_asked_for_no_day_is_separate(given: Any) -> None:
    assert tasks.day_of_run(given) == DAY


def test_a_moment_is_not_a_day_and_no_day_is_asked_for() -> None:
    moment = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
    with pytest.raises(AirflowFailException, match=r"2026-01-05 09:30 UTC, a time .* enter 2026-01-05"):
        tasks.day_of_run(started("manual", moment))
    with pytest.raises(AirflowFailException, match="enter 2026-01-06"):  # midnight two hours east of UTC
        tasks.day_of_run(started("manual", moment.replace(hour=22, minute=0)))
    with pytest.raises(AirflowFailException, match="names no day"):
        tasks.day_of_run(started("manual", None, begin=None))
    assert tasks.day_of_run(context(day="2026-02-01")) == "2026-02-01"
