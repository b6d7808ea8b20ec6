"""Which days' labels are joined, when, and how they affect the verdict: with a bucket that has a week's scores."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.models.config import Labels, load_model
from include.monitor import label_tasks
from include.monitor import tasks as monitor
from include.monitor.labels import Labelled, after, newest_expected
from include.platform.run_folders import Run
from include.platform.storage import (
    drift_of,
    labels_partition,
    model_index,
    performance_of,
    scores_manifest,
    scores_partition,
    split_uri,
)
from tests.include.local_aws import LocalS3
from tests.include.monitor import test_tasks
from tests.include.monitor.test_tasks import BUCKET, DAY, STATISTICS, TODAY, Watched, context, registry, watched
from tests.include.published import manifest

__all__ = ["registry", "watched"]  # fixtures
PM = load_model("predictive_maintenance")
FILES = ("PdM_telemetry.csv", "PdM_errors.csv", "PdM_maint.csv", "PdM_machines.csv", "PdM_failures.csv")
FIRST = "2026-01-05"


class Fleet:
    """Days of the fleet: delivered, scored, joined."""

    def __init__(self, s3: LocalS3) -> None:
        self.s3 = s3

    def deliver(self, day: str, *, but: str = "", text: bytes = b"1") -> None:
        for name in FILES:
            if name != but:
                self.s3.objects[f"daily/{PM.name}/date={day}/{name}"] = text

    def score(self, day: str, version: int = 1) -> None:
        part = {"key": f"scores/{PM.name}/date={day}/part-0.parquet", "rows": 8, "bytes": 1, "sha256": "0"}
        found = manifest(PM.name, day, rows=8, model_version=version, files=[part])
        self.s3.objects[scores_manifest(PM.name, day)] = json.dumps(found).encode()

    def join(
        self, day: str, made_of: str, window: list[str], labelled: int = 8, version: int = 1, scored: int = 0
    ) -> None:
        known = {"model_version": version, "labelled": labelled, "rows": 8, "made_of": made_of}
        of = {"days": window, "rows": scored or 8 * len(window), "metrics": {}, "intervals": {}, "sampled": None}
        shown = {**known, "window": of}
        self.s3.objects[split_uri(performance_of(BUCKET, PM.name, day))[1]] = json.dumps(shown).encode()

    def due(self, first: str, last: str, model: Any = PM) -> Any:
        return Labelled(model, self.s3, BUCKET).due(first, last)


@pytest.fixture
def fleet(ml_bucket: LocalS3) -> Fleet:
    return Fleet(ml_bucket)


def test_a_day_is_joined_when_the_partitions_reach_its_horizon_and_again_when_they_change(fleet: Fleet) -> None:
    for back in (-1, 0):
        fleet.deliver(after(FIRST, back))
    fleet.score(FIRST)
    assert not fleet.due(FIRST, after(FIRST, 1)).days, "the next day may still bring a failure"
    fleet.deliver(after(FIRST, 1), but="PdM_failures.csv")
    assert not fleet.due(FIRST, after(FIRST, 1)).days
    fleet.deliver(after(FIRST, 1))
    due = fleet.due(FIRST, after(FIRST, 1))
    assert list(due.days) == [FIRST]
    assert f"daily/{PM.name}/date={after(FIRST, 1)}/PdM_failures.csv" in due.keys
    assert f"daily/{PM.name}/date={after(FIRST, -1)}/PdM_maint.csv" not in due.keys, "days that no window reads"
    assert {scores_manifest(PM.name, FIRST), f"scores/{PM.name}/date={FIRST}/part-0.parquet"} <= set(due.keys)
    fleet.join(FIRST, due.days[FIRST], [FIRST])
    assert not fleet.due(FIRST, after(FIRST, 1)).days
    fleet.deliver(after(FIRST, 1), text=b"corrected")
    assert list(fleet.due(FIRST, after(FIRST, 1)).days) == [FIRST]


def test_windows_that_reach_into_a_day_follow_it(fleet: Fleet) -> None:
    for number in range(-1, 4):
        fleet.deliver(after(FIRST, number))
    for number in range(3):
        fleet.score(after(FIRST, number))
    second = after(FIRST, 1)
    fleet.join(second, fleet.due(second, second).days[second], [second])
    due = fleet.due(FIRST, FIRST)
    assert (list(due.days), due.windows) == ([FIRST], [second])
    assert f"performance/{PM.name}/date={second}/rows.parquet" in due.keys
    fleet.join(FIRST, due.days[FIRST], [FIRST])
    again = fleet.due(FIRST, FIRST)
    assert (list(again.days), again.windows) == ([], [second]), "another run has meanwhile joined the first"
    fleet.join(second, fleet.due(second, second).days.get(second, "x"), [FIRST, second])
    assert fleet.due(FIRST, FIRST).windows == []


def test_files_of_labels_come_at_any_time_and_a_person_is_asked_at_once(fleet: Fleet) -> None:
    by_file = PM.model_copy(update={"labels": Labels()})
    for back in (-1, 0):
        fleet.deliver(after(FIRST, back))
    fleet.score(FIRST)
    assert not fleet.due(FIRST, FIRST, by_file).days
    assert list(fleet.due(FIRST, FIRST, PM.model_copy(update={"labels": Labels(ask=20)})).days) == [FIRST]
    fleet.s3.objects[f"labels/{PM.name}/date={FIRST}/some.csv"] = b"1"
    due = fleet.due(FIRST, FIRST, by_file)
    assert f"labels/{PM.name}/date={FIRST}/some.csv" in due.keys
    fleet.join(FIRST, due.days[FIRST], [FIRST], labelled=0)
    assert not fleet.due(FIRST, FIRST, by_file).days
    fleet.s3.objects[f"labels/{PM.name}/date={FIRST}/more.csv"] = b"2"
    assert list(fleet.due(FIRST, FIRST, by_file).days) == [FIRST]


def run_of(run_type: str = "scheduled") -> Any:
    class Instance:
        dag_id, run_id = f"monitor_{PM.name}", "scheduled__1"

    return {**context(after(FIRST, 1), run_type=run_type), "ti": Instance}


def test_a_run_without_new_labels_has_no_job_and_one_with_some_publishes_them(watched: Watched) -> None:
    fleet = Fleet(watched.s3)
    label_tasks.find_labels(PM, run_of())
    with pytest.raises(AirflowSkipException):
        label_tasks.join_labels(PM, run_of())
    for number in (-1, 0, 1):
        fleet.deliver(after(FIRST, number))
    fleet.score(FIRST)
    assert label_tasks.find_labels(PM, run_of()) == 1
    request = label_tasks.join_labels(PM, run_of())
    assert request["AppSpecification"]["ContainerArguments"][-2:] == ["--days", FIRST]
    run = Run(BUCKET, f"monitor_{PM.name}", "scheduled__1")
    made = {"model_version": 1, "labelled": 8, "rows": 8, "made_of": ""}
    window = {"days": [FIRST], "rows": 8, "metrics": {"macro_f1": 0.9}, "intervals": {}, "sampled": None}
    watched.put(f"{run.joined_labels}/date={FIRST}/performance.json", {**made, "window": window})
    watched.put(f"{run.joined_labels}/date={FIRST}/rows.parquet", "rows")
    assert label_tasks.publish_performance(PM, run_of()) == [FIRST]
    published = json.loads(watched.kept(performance_of(BUCKET, PM.name, FIRST)))
    assert published["made_of"], "so that the same labels are joined once"
    assert f"performance/{PM.name}/date={FIRST}/rows.parquet" in watched.s3.objects
    indexed = json.loads(watched.s3.objects[model_index(PM.name)])["performance"][FIRST]
    assert (indexed["metric"], indexed["value"]) == ("macro_f1", 0.9)
    assert label_tasks.find_labels(PM, run_of()) == 0
    for number in (2, 3):
        fleet.deliver(after(FIRST, number))
    fleet.score(after(FIRST, 1))
    later = {**run_of("backfill"), "params": {"day": after(FIRST, 3)}}
    assert label_tasks.find_labels(PM, later) == 1, "a day that would otherwise be reported as late"


LABELLED = test_tasks.MODEL.model_copy(update={"labels": Labels()})


def joined(watched: Watched, day: str, value: float) -> None:
    window = {
        "days": [day],
        "rows": 1000,
        "labelled": 1000,
        "evidence": 30,
        "sampled": None,
        "metrics": {"f1": value},
        "intervals": {"f1": [value - 0.01, value + 0.01]},
    }
    known = {"date": day, "model_version": 4, "labelled": 1000, "rows": 1000, "made_of": "", "window": window}
    measured = {"metrics": window["metrics"], "intervals": window["intervals"], "segments": {}, "baselines": {}}
    watched.put(performance_of(BUCKET, LABELLED.name, day), known | measured)


def test_a_realised_loss_is_told_when_it_begins_and_when_it_is_over(watched: Watched) -> None:
    watched.put(STATISTICS.replace("evaluation.json", "metrics.json"), {"metrics": {"f1": 0.9}, "champion": None})
    told = []
    for back, value in ((5, 0.9), (4, 0.7), (3, 0.7), (2, 0.9)):
        day = after(str(TODAY), -back)
        watched.publish(day, 400, 400)
        joined(watched, day, value)
        run = context(day, run_id=f"scheduled__{day}")
        found = monitor.judge_day(LABELLED, run)
        if "report_verdict" in monitor.check_verdict(LABELLED, run, found=found):
            monitor.report_verdict(LABELLED, run, found=found)
        told.append((found["verdict"], watched.told[-1][0] if watched.told else None))
    subject = f"{LABELLED.name}: performance loss"
    assert told == [
        ("fine", None),
        ("performance loss", subject),
        ("performance loss", subject),
        ("fine", f"{subject} is over"),
    ]
    assert "f1 is 0.7, 95 % 0.69 to 0.71, evaluated 0.9 (labels of 1,000 of 1,000 rows" in watched.told[0][1]
    values = {one["MetricName"]: one["Value"] for one in watched.metrics[1]["MetricData"]}
    assert (values["RealisedPerformance"], values["LabelledShare"]) == (0.7, 1.0)


def test_labels_that_are_late_are_told_as_a_fault_of_their_feed(watched: Watched) -> None:
    expected = newest_expected(LABELLED, DAY)
    watched.publish(DAY, 400, 400)
    assert monitor.judge_day(LABELLED, context())["verdict"] == "fine", "nothing was scored that should have labels"
    watched.publish(expected, 400, 400)
    found = monitor.judge_day(LABELLED, context())
    assert (found["verdict"], found["faults"][0]["kind"]) == ("data fault", "late labels")
    assert f"no label of {expected} has arrived" in found["summary"]
    assert json.loads(watched.kept(drift_of(BUCKET, LABELLED.name, DAY)))["advice"].startswith("Deliver the labels")
    watched.put(f"s3://{BUCKET}/{labels_partition(LABELLED.name, expected)}labels.csv", {})
    found = monitor.judge_day(LABELLED, context())
    assert f"the labels of {expected} are there, but not joined with its scores" in found["summary"]
    joined(watched, expected, 0.9)
    assert monitor.judge_day(LABELLED, context())["verdict"] == "fine"


def test_labels_that_cannot_be_used_are_told_with_the_reason_also_those_of_an_older_day(watched: Watched) -> None:
    older = after(newest_expected(LABELLED, DAY), -3)
    for day in (DAY, newest_expected(LABELLED, DAY), older):
        watched.publish(day, 400, 400)
        joined(watched, day, 0.9)
    assert monitor.judge_day(LABELLED, context())["verdict"] == "fine"
    uri = performance_of(BUCKET, LABELLED.name, older)
    watched.put(uri, {**json.loads(watched.kept(uri)), "unusable": "b.csv, line 2: 'maybe'"})
    found = monitor.judge_day(LABELLED, context())
    assert (found["verdict"], found["faults"][0]["kind"]) == ("data fault", "late labels")
    assert f"those of {older} cannot be used: b.csv, line 2: 'maybe'" in found["summary"]


def test_scored_rows_without_any_label_are_told_also_where_labels_are_in_a_raw_table(watched: Watched) -> None:
    of_table = LABELLED.model_copy(update={"labels": Labels(table="readings")})
    expected = newest_expected(of_table, DAY)
    for day in (DAY, expected):
        watched.publish(day, 400, 400)
        joined(watched, day, 0.9)
    assert monitor.judge_day(of_table, context())["verdict"] == "fine"
    uri = performance_of(BUCKET, LABELLED.name, expected)
    watched.put(uri, {**json.loads(watched.kept(uri)), "labelled": 0})
    found = monitor.judge_day(of_table, context())
    assert (found["verdict"], found["faults"][0]["kind"]) == ("data fault", "late labels")
    assert f"no label of {expected} has arrived" in found["summary"]


def test_a_dead_table_of_labels_is_a_fault(watched: Watched) -> None:
    """Without failures, every prediction of none seems right."""

    def counted(rows: int) -> dict[str, Any]:
        empty = {"digest": rows, "hours": [rows] + 23 * [0], "missing": {}, "numbers": {}, "values": {}}
        return {"failures": {"rows": rows, "total": rows, **empty}}

    days = {after("2025-06-01", number): counted(2 + number % 3) for number in range(60)}
    known = {"timed": True, "days": days, "segments": {}, "windows": [], "answers": [], "calibration": None}
    watched.put(STATISTICS.replace("evaluation.json", "reference.json"), known)
    for back in range(7):
        day = after(DAY, -back)
        watched.publish(day, 400, 400)
        joined(watched, day, 0.9)
        uri = performance_of(BUCKET, LABELLED.name, day)
        watched.put(uri, {**json.loads(watched.kept(uri)), "tables": counted(3)})
    assert monitor.judge_day(LABELLED, context())["verdict"] == "fine"
    for back in range(4):
        uri = performance_of(BUCKET, LABELLED.name, after(DAY, -back))
        watched.put(uri, {**json.loads(watched.kept(uri)), "tables": counted(0)})
    found = monitor.judge_day(LABELLED, context())
    assert (found["verdict"], found["faults"][0]["table"]) == ("data fault", "failures"), found["summary"]
    scores = f"s3://{BUCKET}/{scores_partition(LABELLED.name, DAY)}_profile-0.json"
    counts = {"torque": [0, 100, 100, 0, 600]}
    watched.put(scores, {"rows": 800, "features": counts, "predictions": {"0": 800}})
    found = monitor.judge_day(LABELLED, context())
    assert [one["table"] for one in found["faults"]] == ["features", "failures"], "one does not hide the other"


def test_a_window_follows_days_that_are_scored_without_labels(fleet: Fleet) -> None:
    by_file, second = PM.model_copy(update={"labels": Labels()}), after(FIRST, 1)
    for number in range(-1, 2):
        fleet.deliver(after(FIRST, number))
    fleet.score(second)
    fleet.s3.objects[f"labels/{PM.name}/date={second}/some.csv"] = b"1"
    fleet.s3.objects[f"labels/{PM.name}/date={second}/_SUCCESS"] = b""
    due = fleet.due(second, second, by_file)
    assert not any(key.endswith("_SUCCESS") for key in due.keys)
    fleet.join(second, due.days[second], [second])
    assert fleet.due(FIRST, second, by_file).windows == []
    fleet.score(FIRST)
    due = fleet.due(FIRST, second, by_file)
    assert (list(due.days), due.windows) == ([], [second])
    assert scores_manifest(PM.name, FIRST) in due.keys
    made_of = json.loads(fleet.s3.objects[split_uri(performance_of(BUCKET, PM.name, second))[1]])["made_of"]
    fleet.join(second, made_of, [second], scored=16)
    assert fleet.due(FIRST, second, by_file).windows == []


def test_labels_that_are_gone_again_are_due_once(fleet: Fleet) -> None:
    by_file = PM.model_copy(update={"labels": Labels()})
    for number in range(-1, 1):
        fleet.deliver(after(FIRST, number))
    fleet.score(FIRST)
    file = f"labels/{PM.name}/date={FIRST}/some.csv"
    fleet.s3.objects[file] = b"1"
    fleet.join(FIRST, fleet.due(FIRST, FIRST, by_file).days[FIRST], [FIRST])
    assert not fleet.due(FIRST, FIRST, by_file).days
    del fleet.s3.objects[file]
    due = fleet.due(FIRST, FIRST, by_file)
    assert list(due.days) == [FIRST]
    fleet.join(FIRST, due.days[FIRST], [], labelled=0, scored=8)
    assert not fleet.due(FIRST, FIRST, by_file).days
