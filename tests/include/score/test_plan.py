"""The plan of a day: what it reads, which version it is scored with, whether there is anything to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.models.config import load_model
from include.platform.storage import daily_partition, production_history, scores_manifest, scores_partition, split_uri
from include.registry.history import Entry, History, promote
from include.registry.versions import VersionError
from include.score.plan import (
    PlanError,
    Planner,
    choose_version,
    day_inputs,
    days_between,
    days_to_sweep,
    list_partitions,
    list_partitions_of,
    look_back,
    seconds_a_day,
)
from include.score.published import PublishedError, read_published
from tests.include.local_aws import LocalS3, registered_versions
from tests.include.local_sagemaker.local_server import LocalSageMaker
from tests.include.published import manifest

MODEL = load_model("predictive_maintenance")
SCORED = ("telemetry", "errors", "maint", "machines")
BUCKET, GROUP = "bucket", "predictive-maintenance"
PROMOTED = datetime(2015, 6, 3, 12, tzinfo=UTC)


def arn(version: int) -> str:
    return f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{GROUP}/{version}"


def entry(version: int, since: datetime) -> Entry:
    return Entry(
        version=version,
        model_package_arn=arn(version),
        artifact=f"s3://{BUCKET}/{version}/model.tar.gz",
        since=since,
        endpoint_config=f"config-{version}",
        dag_id="deploy",
        run_id=str(version),
    )


HISTORY = promote(promote(History(), entry(1, PROMOTED)), entry(2, PROMOTED + timedelta(days=2)))


Plans = Callable[..., Planner]


def put_day(s3: LocalS3, day: str, *, ending: str = "", **contents: str) -> None:
    for name in SCORED:
        key = daily_partition(MODEL.name, day) + MODEL.data.tables[name].file + ending
        s3.objects[key] = contents.get(name, f"{name} of {day}").encode()


@pytest.fixture
def s3(s3: LocalS3) -> LocalS3:
    """Ten days of June 2015, a history of production, and the artifacts of its versions."""
    for version in (1, 2, 3):
        s3.objects[f"{version}/model.tar.gz"] = b"version %d" % version
    for day in days_between("2015-06-01", "2015-06-10"):
        put_day(s3, day)
    s3.objects[split_uri(production_history(BUCKET, MODEL.name))[1]] = HISTORY.model_dump_json(by_alias=True).encode()
    return s3


@pytest.fixture(scope="module")
def planner(local_aws: LocalSageMaker) -> Iterator[Plans]:
    """Makes planners for the current content of S3, with a registry that has versions 1 to 3 of the group."""
    with registered_versions(local_aws, GROUP, 3) as sagemaker:

        def planner(s3: LocalS3, code_hash: str = "0123456789ab") -> Planner:
            return Planner(
                MODEL,
                s3=s3,
                sagemaker=sagemaker,
                bucket=BUCKET,
                partitions=list_partitions(s3, BUCKET, MODEL.name),
                group=GROUP,
                code_hash=code_hash,
                image_uri="image:1",
                parts={"code": code_hash},
            )

        yield planner


def publish(planner: Planner, s3: LocalS3, day: str) -> None:
    """The manifest that a run of the day would write now."""
    plan = planner.plan(day)
    kinds = {"score_batch": 3, "score_day": 100}
    jobs = [
        {"task": task, "instance_type": "x", "instance_count": 1, "billable_seconds": seconds}
        for task, seconds in kinds.items()
    ]
    scores = f"{scores_partition(MODEL.name, day)}part-1.parquet"
    s3.objects[scores] = b"scores"
    files = [{"key": scores, "rows": 1, "bytes": 6, "sha256": "0" * 64}]
    found = manifest(MODEL.name, day, digest=plan.digest, inputs=plan.inputs, jobs=jobs, files=files)
    found |= {"made_of": plan.made_of, "model_package_arn": plan.version.model_package_arn}
    s3.objects[scores_manifest(MODEL.name, day)] = json.dumps(found).encode()


def test_reads_the_day_and_what_windows_reach_into_and_no_more(planner: Plans, s3: LocalS3) -> None:
    keys = [file["key"].removeprefix("daily/predictive_maintenance/") for file in planner(s3).plan("2015-06-05").inputs]
    assert keys == [
        "date=2015-06-04/PdM_telemetry.csv",
        "date=2015-06-04/PdM_errors.csv",
        "date=2015-06-05/PdM_telemetry.csv",
        "date=2015-06-05/PdM_errors.csv",
        "date=2015-06-05/PdM_maint.csv",
        "date=2015-06-05/PdM_machines.csv",
    ]
    assert look_back(MODEL, "2015-03-01") == ["2015-02-28"]


def test_the_first_day_of_all_has_nothing_to_look_back_to(planner: Plans, s3: LocalS3) -> None:
    keys = [file["key"] for file in planner(s3).plan("2015-06-01").inputs]
    assert keys == [daily_partition(MODEL.name, "2015-06-01") + MODEL.data.tables[name].file for name in SCORED]


@pytest.mark.parametrize("day", ["2015-06-01", "2015-06-02", "2015-06-05", "2015-06-10"])
def test_one_days_partitions_say_the_same_of_it_as_all_do(s3: LocalS3, day: str) -> None:
    mine = list_partitions_of(s3, BUCKET, MODEL, day)
    assert day_inputs(MODEL, day, mine) == day_inputs(MODEL, day, list_partitions(s3, BUCKET, MODEL.name))
    assert len(mine) <= 3


def test_one_days_partitions_tell_a_gap_from_the_beginning(s3: LocalS3) -> None:
    for name in SCORED:
        del s3.objects[daily_partition(MODEL.name, "2015-06-04") + MODEL.data.tables[name].file]
    with pytest.raises(PlanError, match="2015-06-05 cannot"):
        day_inputs(MODEL, "2015-06-05", list_partitions_of(s3, BUCKET, MODEL, "2015-06-05"))


def test_what_is_missing_is_named(planner: Plans, s3: LocalS3) -> None:
    del s3.objects["daily/predictive_maintenance/date=2015-06-05/PdM_maint.csv"]
    with pytest.raises(PlanError, match=r"date=2015-06-05/ lacks PdM_maint.csv"):
        planner(s3).plan("2015-06-05")
    del s3.objects["daily/predictive_maintenance/date=2015-06-07/PdM_errors.csv"]
    with pytest.raises(
        PlanError, match=r"2015-06-08 cannot.*date=2015-06-07/ lacks PdM_errors.csv.*windows of 2015-06-08"
    ):
        planner(s3).plan("2015-06-08")
    with pytest.raises(PlanError, match="only a header"):
        planner(s3).plan("2015-06-30")


def test_packed_files_and_corrected_rows_are_inputs(planner: Plans, s3: LocalS3) -> None:
    put_day(s3, "2015-06-11", ending=".gz")
    key = "daily/predictive_maintenance/date=2015-06-11/replay/PdM_telemetry.csv"
    before = planner(s3).plan("2015-06-11")
    s3.objects[key] = b"corrected"
    after = planner(s3).plan("2015-06-11")
    assert key in [file["key"] for file in after.inputs]
    assert after.digest != before.digest


@pytest.mark.parametrize(
    ("day", "asked", "version", "said"),
    [
        ("2015-06-03", "champion_at", 1, "in production at the end of 2015-06-03"),
        ("2015-06-04", "champion_at", 1, "in production at the end"),
        ("2015-06-05", "champion_at", 2, "in production at the end"),
        ("2015-05-01", "champion_at", 1, "the first ever in production, since 2015-06-03"),
        ("2015-05-01", "current", 2, "in production when"),
        ("2015-06-03", "3", 3, "by number"),
    ],
)
def test_the_version_of_the_day(day: str, asked: str, version: int, said: str) -> None:
    number, reason = choose_version(HISTORY, day, asked)
    assert number == version
    assert said in reason


def test_a_day_in_a_gap_has_the_last_version_before_it() -> None:
    gone = History(entries=(entry(1, PROMOTED).model_copy(update={"until": PROMOTED + timedelta(days=1)}),))
    assert choose_version(gone, "2015-07-01", "champion_at")[0] == 1
    with pytest.raises(PlanError, match="no version is in production now"):
        choose_version(gone, "2015-07-01", "current")
    back = promote(gone, entry(2, PROMOTED + timedelta(days=30)))
    number, reason = choose_version(back, "2015-06-20", "champion_at")
    assert (number, reason) == (1, "the last in production before 2015-06-20, on which there was none")
    assert choose_version(back, "2015-07-03", "champion_at")[0] == 2


@pytest.mark.parametrize(
    ("asked", "said"), [("champion_at", "make promote"), ("current", "make promote"), ("x", "'x'"), ("0", "'0'")]
)
def test_no_version_is_said_so(asked: str, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        choose_version(History(), "2015-06-01", asked)


def test_a_version_that_is_not_registered(planner: Plans, s3: LocalS3) -> None:
    with pytest.raises(VersionError, match=r"no version 9 .*It has: 1, 2, 3"):
        planner(s3).plan("2015-06-05", "9")


def test_an_unchanged_day_is_done_and_a_changed_one_is_not(planner: Plans, s3: LocalS3) -> None:
    publish(planner(s3), s3, "2015-06-05")
    asked = planner(s3)
    published = asked.published("2015-06-05")
    assert asked.plan("2015-06-05").why_due(published) is None
    assert asked.plan("2015-06-05", "1").why_due(published) == "changed model"
    assert planner(s3, "ba9876543210").plan("2015-06-05").why_due(published) == "changed code"
    put_day(s3, "2015-06-06", telemetry="changed")
    assert planner(s3).plan("2015-06-05").why_due(published) is None, "later days do not count"
    put_day(s3, "2015-06-04", machines="changed")
    assert planner(s3).plan("2015-06-05").why_due(published) is None, "nor do days before its windows"
    put_day(s3, "2015-06-04", telemetry="changed")
    assert planner(s3).plan("2015-06-05").why_due(published) == "late data", "a day within its windows"
    assert asked.plan("2015-06-07").why_due(None) == "not scored yet"
    assert published is not None
    del published["made_of"]
    assert asked.plan("2015-06-05").why_due(published) == "changed code", "from before the parts were recorded"


def test_a_day_whose_scores_are_gone_is_not_done(planner: Plans, s3: LocalS3) -> None:
    publish(planner(s3), s3, "2015-06-05")
    assert planner(s3).preview(["2015-06-05"]).unchanged == ["2015-06-05"]
    del s3.objects[f"{scores_partition(MODEL.name, '2015-06-05')}part-1.parquet"]
    asked = planner(s3)
    assert asked.published("2015-06-05") is None
    assert asked.preview(["2015-06-05"]).changed == {"2015-06-05": "not scored yet"}
    assert list(asked.late_days(["2015-06-05"])) == ["2015-06-05"], "the sweep has it scored again"


def test_a_manifest_that_cannot_be_read_is_said_and_the_day_scored_again(planner: Plans, s3: LocalS3) -> None:
    key = scores_manifest(MODEL.name, "2015-06-05")
    for broken in (b"{", b"\xff", b"[]", b'{"digest": 7}'):
        s3.objects[key] = broken
        assert planner(s3).preview(["2015-06-05"]).changed == {"2015-06-05": "not scored yet"}
        with pytest.raises(PublishedError, match=rf"s3://bucket/{key} is invalid \(.*score the day again"):
            read_published(s3, BUCKET, MODEL.name, "2015-06-05")  # type: ignore[arg-type]


def test_a_version_whose_artifact_is_gone_scores_nothing(planner: Plans, s3: LocalS3) -> None:
    del s3.objects["1/model.tar.gz"]
    with pytest.raises(VersionError, match=r"version 1, s3://bucket/1/model.tar.gz, is gone\. .*Restore the object"):
        planner(s3).plan("2015-06-05", "1")
    assert list(planner(s3).preview(["2015-06-05"], "1").impossible) == ["2015-06-05"]


def test_a_changed_day_concerns_itself_and_the_days_that_look_back_to_it(planner: Plans, s3: LocalS3) -> None:
    days = days_between("2015-06-01", "2015-06-10")
    for day in days:
        publish(planner(s3), s3, day)
    assert planner(s3).late_days(days) == {}
    put_day(s3, "2015-06-05", errors="came late")
    late = planner(s3).late_days(days)
    assert list(late) == ["2015-06-05", "2015-06-06"]
    assert planner(s3, "ba9876543210").late_days(days) == late, "new code makes no day late"
    put_day(s3, "2015-06-11")
    assert list(planner(s3).late_days([*days, "2015-06-11", "2015-06-12"])) == [*late, "2015-06-11"]


def test_the_preview_counts(planner: Plans, s3: LocalS3) -> None:
    for day in ("2015-06-05", "2015-06-06"):
        publish(planner(s3), s3, day)
    days = days_between("2015-06-04", "2015-06-12")
    preview = planner(s3).preview(days)
    assert preview.unchanged == ["2015-06-05", "2015-06-06"]
    assert list(preview.changed) == ["2015-06-04", *days_between("2015-06-07", "2015-06-10")]
    assert list(preview.impossible) == ["2015-06-11", "2015-06-12"]
    assert preview.seconds == 3, "of a day in a batch"
    assert preview.changed["2015-06-04"] == "not scored yet"
    assert preview.plans.keys() == preview.changed.keys()
    assert len(planner(s3).preview(days, force=True).changed) == 7
    assert seconds_a_day([]) is None


def test_a_batch_whose_time_is_unknown_says_nothing_of_a_days_seconds() -> None:
    def scored(task: str, seconds: int | None) -> Any:
        return {"jobs": [{"task": task, "billable_seconds": seconds}]}

    known = [scored("score_batch", 4), scored("score_batch", None), scored("score_day", 90), scored("score_batch", 0)]
    assert seconds_a_day(known) == 2
    assert seconds_a_day(known[1:3]) is None


def test_the_sweep_looks_at_days_that_no_run_waits_for() -> None:
    assert days_to_sweep(MODEL, "2015-06-09", datetime(2015, 6, 10, 13, tzinfo=UTC)) == days_between(
        "2015-06-03", "2015-06-09"
    )
    assert days_to_sweep(MODEL, "2015-06-09", datetime(2015, 6, 10, 11, tzinfo=UTC))[-1] == "2015-06-08"


def test_the_sweep_looks_no_further_than_the_day_asked_for() -> None:
    days = days_to_sweep(MODEL, "2015-03-07", datetime(2015, 6, 10, 13, tzinfo=UTC))
    assert days == days_between("2015-03-01", "2015-03-07")
