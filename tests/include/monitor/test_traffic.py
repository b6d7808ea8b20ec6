"""An endpoint's day: one small job counts its requests; the verdict is like a scored day's, stored separately."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from include.models.config import ModelConfig
from include.models.config.drift_profile import TrafficDay
from include.monitor import tasks, traffic_tasks
from include.monitor.dag import monitor_dag
from include.monitor.traffic import LOOK_BACK, callers_requests, faults_of_traffic, refusals, served_day
from include.platform import clients
from include.platform.run_folders import Run
from include.platform.storage import (
    captured_day,
    challenger_folder,
    drift_of,
    drift_report_of,
    model_index,
    reference_of,
    split_uri,
    told_of,
)
from tests.include.monitor.test_tasks import (
    ARN,
    BEFORE,
    BUCKET,
    DAY,
    MODEL,
    STATISTICS,
    TODAY,
    Watched,
    registry,
    watched,
)
from tests.include.monitor.test_tasks import context as run_about

__all__ = ["registry", "watched"]  # fixtures
CAPTURING = MODEL.model_copy(update={"serving": MODEL.serving.model_copy(update={"data_capture_percent": 50})})
ONLINE = CAPTURING.model_copy(update={"scoring": None})
APART = f"{MODEL.name}/traffic"
RUN = Run(BUCKET, "monitor_x", "scheduled__1")


def context(day: str = DAY, run_type: str = "scheduled", run_id: str = "scheduled__1") -> Any:
    ti = SimpleNamespace(
        dag_id=RUN.dag_id, run_id=RUN.run_id, task_id="find_captures", log_url="http://airflow:8080/dags/x"
    )
    return {**run_about(day, run_type, run_id), "ti": ti}


def day_before(back: int) -> str:
    return (TODAY - timedelta(days=back)).isoformat()


def traffic(
    requests: int = 100, refused: int = 0, low: int = 50, high: int = 50, version: int = 4, unread: int = 0
) -> TrafficDay:
    return {
        "model_version": version,
        "model_package_arn": ARN,
        "captured": {
            "requests": requests,
            "refused": {"400: no number": refused} if refused else {},
            "before": 0,
            "unread": unread,
            "probes": 3,
        },
        "served": {"requests": 2 * requests, "refused": 2 * refused, "failed": 1, "p50_ms": 4.0, "p99_ms": 20.0},
        "profile": {
            "rows": low + high,
            "features": {"torque": [0, low, high, 0, 0]},
            "predictions": {"0": low + high},
        },
    }


def keep(watched: Watched, day: str, found: TrafficDay) -> None:
    watched.put(captured_day(BUCKET, MODEL.name, day), found)


class CloudWatch:
    """Hourly values of an endpoint's metrics."""

    def __init__(self, watched: Watched) -> None:
        self.put_metric_data = lambda **given: watched.metrics.append(given)
        self.asked: dict[str, Any] = {}

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        self.asked = asked
        hours = {"requests": [60.0, 40.0], "refused": [3.0], "failed": [], "p50": [2e3, 5e3], "p99": []}
        return [{"MetricDataResults": [{"Id": key, "Values": values} for key, values in hours.items()]}]


@pytest.fixture
def cloudwatch(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> CloudWatch:
    made, known = CloudWatch(watched), clients._client
    monkeypatch.setattr(clients, "_client", lambda name, where: made if name == "cloudwatch" else known(name, where))
    return made


def capture(watched: Watched, model: ModelConfig, folder: str, variant: str = "AllTraffic") -> str:
    key = f"capture/{model.name.replace('_', '-')}-production/{variant}/{folder}/00-00-000-x.jsonl"
    watched.s3.objects[key] = b"{}"
    return key


def test_the_days_requests_are_counted_by_one_job_of_the_version_in_production(
    watched: Watched, cloudwatch: CloudWatch
) -> None:
    eve = day_before(2).replace("-", "/")
    begun = capture(watched, CAPTURING, f"{eve}/23")  # a file lies where its first request belongs
    capture(watched, CAPTURING, f"{eve}/22")
    own = [capture(watched, CAPTURING, f"{DAY.replace('-', '/')}/{hour}") for hour in ("00", "23")]
    late = capture(watched, CAPTURING, f"{TODAY:%Y/%m/%d}/00")
    capture(watched, CAPTURING, f"{TODAY:%Y/%m/%d}/01")
    assert traffic_tasks.find_captures(CAPTURING, context()) == 4
    assert json.loads(watched.kept(RUN.traffic_inputs)) == [{"prefix": f"s3://{BUCKET}/"}, begun, *own, late]
    request = traffic_tasks.count_captures(CAPTURING, context())
    arguments = request["AppSpecification"]["ContainerArguments"]
    assert arguments[arguments.index("--day") + 1] == DAY
    assert arguments[arguments.index("--since") + 1] == "2026-01-04T00:00:00+00:00"
    assert request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 1
    sources = {one["InputName"]: one["S3Input"]["S3Uri"] for one in request["ProcessingInputs"]}
    assert sources["captured"] == RUN.traffic_inputs
    assert sources["artifact"] == "s3://b/a"
    watched.put(f"{RUN.counted_captures}/captured.json", {key: traffic()[key] for key in ("captured", "profile")})  # type: ignore[literal-required]
    assert traffic_tasks.publish_captures(CAPTURING, context()) == 100
    found = json.loads(watched.kept(captured_day(BUCKET, MODEL.name, DAY)))
    assert (found["model_version"], found["profile"]) == (4, traffic()["profile"])
    assert found["served"] == {"requests": 100, "refused": 3, "failed": 0, "p50_ms": 5.0, "p99_ms": None}


def test_what_a_shadow_answered_is_compared_by_the_same_job_and_kept_for_its_packet(
    watched: Watched, cloudwatch: CloudWatch
) -> None:
    own = capture(watched, CAPTURING, f"{DAY.replace('-', '/')}/10")
    theirs = capture(watched, CAPTURING, f"{DAY.replace('-', '/')}/10", variant="Shadow-12")
    capture(watched, CAPTURING, "2025/01/01/10", variant="Shadow-3")
    assert traffic_tasks.find_captures(CAPTURING, context()) == 1
    assert json.loads(watched.kept(RUN.traffic_inputs)) == [{"prefix": f"s3://{BUCKET}/"}, own, theirs]
    watched.put(f"{RUN.counted_captures}/captured.json", {key: traffic()[key] for key in ("captured", "profile")})  # type: ignore[literal-required]
    watched.put(f"{RUN.counted_captures}/version=12/shadow.json", {"rows": 7})
    traffic_tasks.publish_captures(CAPTURING, context())
    kept = f"s3://{BUCKET}/{challenger_folder(MODEL.name, DAY, 12)}shadow.json"
    assert json.loads(watched.kept(kept)) == {"rows": 7}


def test_a_day_without_requests_takes_no_job_and_has_a_verdict(watched: Watched, cloudwatch: CloudWatch) -> None:
    assert traffic_tasks.find_captures(CAPTURING, context()) == 0
    with pytest.raises(AirflowSkipException, match=f"no request of {DAY} was kept"):
        traffic_tasks.count_captures(CAPTURING, context())
    assert traffic_tasks.publish_captures(CAPTURING, context()) == 0
    assert tasks.judge_day(CAPTURING, context(), of="traffic")["verdict"] == "too little to say"


def test_scores_that_are_published_say_nothing_of_the_endpoint(watched: Watched) -> None:
    with pytest.raises(AirflowSkipException, match="daily runs look at the endpoint"):
        traffic_tasks.find_captures(CAPTURING, context(run_type="asset_triggered"))
    with pytest.raises(AirflowSkipException, match="no version was in production"):
        traffic_tasks.find_captures(CAPTURING, context("2026-01-03"))


def test_traffic_that_drifted_is_told_apart_from_scores_and_trains_nothing_beside_them(
    watched: Watched, cloudwatch: CloudWatch
) -> None:
    keep(watched, DAY, traffic(low=0, high=800))
    found = tasks.judge_day(CAPTURING, context(), of="traffic")
    assert (found["verdict"], found["drifted"]) == ("drift without harm", ["torque"])
    assert found["summary"].startswith("tabular_classifier, endpoint: drift without harm")
    assert tasks.check_verdict(CAPTURING, context(), found=found) == ["traffic.report_verdict"]
    tasks.report_verdict(CAPTURING, context(), found=found)
    assert watched.told[0][0] == "tabular_classifier, endpoint: drift without harm"
    assert json.loads(watched.kept(told_of(BUCKET, APART)))["verdict"] == "drift without harm"
    assert json.loads(watched.kept(drift_of(BUCKET, APART, DAY)))["traffic"]["captured"]["requests"] == 100
    of_scores = {split_uri(uri)[1] for uri in (told_of(BUCKET, MODEL.name), drift_of(BUCKET, MODEL.name, DAY))}
    assert not of_scores & set(watched.s3.objects)
    names = {metric["MetricName"] for metric in watched.metrics[0]["MetricData"]}
    assert {"TrafficRows", "TrafficDriftedFeatures", "TrafficRequests", "TrafficRefused"} <= names
    assert "Rows" not in names


def test_a_model_that_is_only_asked_online_is_watched_as_one_that_is_scored(
    watched: Watched, cloudwatch: CloudWatch
) -> None:
    keep(watched, DAY, traffic(low=0, high=800))
    found = tasks.judge_day(ONLINE, context(), of="traffic")
    assert tasks.check_verdict(ONLINE, context(), found=found) == ["traffic.report_verdict", "traffic.retrain_model"]
    assert json.loads(watched.kept(told_of(BUCKET, MODEL.name)))["trained"] == DAY
    index = json.loads(watched.s3.objects[model_index(MODEL.name)])
    assert index["drift"][DAY]["verdict"] == "drift without harm"


def test_refused_requests_are_a_fault_with_their_reasons_in_page_and_message(
    watched: Watched, cloudwatch: CloudWatch
) -> None:
    keep(watched, day_before(2), traffic(low=200, high=200))
    keep(watched, DAY, traffic(requests=1000, refused=300, low=200, high=200))
    found = tasks.judge_day(ONLINE, context(), of="traffic")
    assert found["verdict"] == "data fault"
    assert (
        "300 of 1,000 requests were refused (30.0%; on the days before at most 0.0%); 300 with 400" in found["summary"]
    )
    assert "the endpoint's callers" in found["advice"]
    page = watched.kept(drift_report_of(BUCKET, MODEL.name, DAY))
    for said in ("Requests of the day", "400: no number", "2,000", "probes (3)"):
        assert said in page


def test_requests_that_lack_a_feature_are_a_fault(watched: Watched, cloudwatch: CloudWatch) -> None:
    sound = {"rows": 400, "features": {"torque": [0, 200, 200, 0, 0]}}
    known = {"timed": True, "days": {}, "segments": {}, "windows": [sound], "answers": [], "calibration": None}
    watched.put(reference_of(STATISTICS), known)
    day = traffic(low=200, high=200)
    keep(watched, DAY, day)
    assert tasks.judge_day(ONLINE, context(), of="traffic")["verdict"] == "fine"
    day["profile"]["features"]["torque"] = [0, 100, 100, 0, 200]
    keep(watched, DAY, day)
    found = tasks.judge_day(ONLINE, context(), of="traffic")
    assert (found["verdict"], found["faults"][0]["kind"]) == ("data fault", "missing")
    assert "torque: no value in 50.0% of 400 rows" in found["summary"]


@pytest.mark.parametrize(
    ("now", "before", "kinds"),
    [
        (traffic(), [traffic()] * 8, []),
        (traffic(requests=0), [traffic()] * 8, ["volume"]),
        (traffic(requests=0), [traffic()] * 3, []),
        (traffic(requests=0), [*[traffic()] * 6, traffic(requests=0), traffic()], []),
        (traffic(requests=0), [*[traffic()] * 7, traffic(requests=0)], ["volume"]),
        (traffic(requests=1000, refused=15), [], []),
        (traffic(requests=1000, refused=30), [], []),
        (traffic(requests=1000, refused=150), [], ["refused"]),
        (traffic(requests=1000, refused=30), [traffic()], ["refused"]),
        (traffic(requests=1000, refused=30), [traffic(requests=500, refused=8)], []),
        (traffic(requests=1000, unread=100), [traffic()] * 8, []),
        (traffic(requests=1000, unread=1000), [traffic()] * 8, ["unread"]),
        (traffic(requests=10, unread=10), [traffic()] * 8, []),
    ],
    ids=[
        *("sound", "dead", "too new to say", "idle at times", "busy of late", "some", "some at first", "many at first"),
        *("many", "as usual", "some unread", "all unread", "too few to say"),
    ],
)
def test_what_only_requests_have(now: TrafficDay, before: list[TrafficDay], kinds: list[str]) -> None:
    days = {day_before(back + 2): one for back, one in enumerate(before)}
    assert [fault.kind for fault in faults_of_traffic(DAY, {**days, DAY: now})] == kinds


def judged_in_turn(seen: Sequence[TrafficDay | None], looked_back: int = LOOK_BACK) -> list[list[str] | None]:
    """The kinds of faults of consecutive days; None for a day that nobody judged."""
    days: dict[str, TrafficDay] = {}
    verdicts: dict[str, Any] = {}
    kinds: list[list[str] | None] = []
    for number, one in enumerate(seen):
        day, first = (day_before(len(seen) - back) for back in (number, number - looked_back))
        if one is None:
            kinds.append(None)
            continue
        days[day] = one
        known = {each: found for each, found in days.items() if each >= first}
        earlier = {each: found for each, found in verdicts.items() if each >= first}
        faults = faults_of_traffic(day, known, earlier)
        verdicts[day] = {"faults": [fault.as_json() for fault in faults]}
        kinds.append([fault.kind for fault in faults])
    return kinds


USUAL, MANY, DEAD = traffic(), traffic(requests=1000, refused=300), traffic(requests=0)
SOME = traffic(requests=1000, refused=30)  # as many as these callers usually get wrong


@pytest.mark.parametrize(("broken", "kind"), [(DEAD, "volume"), (MANY, "refused")])
@pytest.mark.parametrize("long", [3, 20])
def test_a_fault_lasts_while_its_cause_does(broken: TrafficDay, kind: str, long: int) -> None:
    kinds = judged_in_turn([*[USUAL] * 8, *[broken] * long, *[USUAL] * 2])
    assert kinds == [*[[]] * 8, *[[kind]] * long, [], []]


@pytest.mark.parametrize("long", [3, 20])
def test_refusals_are_over_when_they_are_as_many_as_before(long: int) -> None:
    kinds = judged_in_turn([*[SOME] * 8, *[MANY] * long, *[SOME] * 10])
    assert kinds == [*[[]] * 8, *[["refused"]] * long, *[[]] * 10]


def test_what_is_usual_from_the_first_day_is_no_fault() -> None:
    assert judged_in_turn([SOME] * 20) == [[]] * 20


@pytest.mark.parametrize(("broken", "kind"), [(DEAD, "volume"), (MANY, "refused")])
def test_a_day_that_nobody_judged_hides_no_fault(broken: TrafficDay, kind: str) -> None:
    before = [*[USUAL] * 5, None, *[USUAL] * 2]
    assert judged_in_turn([*before, broken, broken, None, broken])[8:] == [[kind], [kind], None, [kind]]


@pytest.mark.parametrize(("broken", "kind"), [(DEAD, "volume"), (MANY, "refused")])
def test_days_of_an_earlier_fault_do_not_say_what_is_usual(broken: TrafficDay, kind: str) -> None:
    assert judged_in_turn([*[USUAL] * 8, broken, broken, USUAL, broken])[-2:] == [[], [kind]]


def test_a_verdict_of_earlier_code_does_not_say_what_was_usual() -> None:
    earlier: Any = {BEFORE: {"faults": [{"table": "endpoint", "kind": "refused", "found": "x"}]}}
    sound = {day_before(back): SOME for back in range(3, 9)}
    assert faults_of_traffic(DAY, {**sound, BEFORE: MANY, DAY: SOME}, earlier) == []
    (fault,) = faults_of_traffic(DAY, {**sound, BEFORE: MANY, DAY: MANY}, earlier)
    assert fault.usual == 0.03


def test_a_dead_endpoint_is_found_though_days_are_missing(watched: Watched, cloudwatch: CloudWatch) -> None:
    for back in (3, 4, 6, 7, 8, 10, 11):
        keep(watched, day_before(back), traffic())
    keep(watched, BEFORE, traffic(requests=0, low=0, high=0))
    assert tasks.judge_day(ONLINE, context(BEFORE), of="traffic")["verdict"] == "data fault"
    keep(watched, TODAY.isoformat(), traffic(requests=0, low=0, high=0))  # DAY was not judged
    found = tasks.judge_day(ONLINE, context(TODAY.isoformat()), of="traffic")
    assert (found["verdict"], found["since"]) == ("data fault", BEFORE)


def test_where_a_container_can_keep_no_refused_request_those_of_cloudwatch_count() -> None:
    now = traffic()
    now["captured"]["probes"] = 0
    now["served"] |= {"requests": 500, "refused": 100}
    (fault,) = faults_of_traffic(DAY, {DAY: now})
    assert fault.found == "100 of 500 requests were refused (20.0%)"


@pytest.mark.parametrize("percent", [100, 10])
@pytest.mark.parametrize(("answered", "share"), [(0, 1.0), (1000, 150 / 1150)])
def test_golden_requests_hide_no_refusal_whatever_share_is_captured(answered: int, share: float, percent: int) -> None:
    probes = 288 * 41
    now = traffic(requests=answered * percent // 100)
    now["captured"]["probes"] = probes * percent // 100
    now["served"] |= {"requests": probes + answered + 150, "refused": 150}
    refused, asked = refusals(now)
    assert refused / asked == pytest.approx(share, abs=1e-3)
    assert callers_requests(now) == pytest.approx(answered + 150, abs=2)
    assert [fault.kind for fault in faults_of_traffic(DAY, {DAY: now})] == ["refused"]


def test_where_refused_requests_are_kept_golden_ones_are_left_out_of_all() -> None:
    now = traffic(requests=40, refused=10)
    now["captured"]["probes"] = 160
    now["served"] |= {"requests": 2000, "refused": 100}
    assert (refusals(now), callers_requests(now)) == ((10, 40), 400)


def test_cloudwatch_is_asked_for_the_day(watched: Watched) -> None:
    cloudwatch: Any = CloudWatch(watched)
    start = datetime(2026, 3, 9, tzinfo=UTC)
    served_day(cloudwatch, "m-production", start, start + timedelta(days=1))
    assert cloudwatch.asked["EndTime"] - cloudwatch.asked["StartTime"] == timedelta(days=1)
    metrics = [one["MetricStat"]["Metric"] for one in cloudwatch.asked["MetricDataQueries"]]
    assert {one["Dimensions"][0]["Value"] for one in metrics} == {"m-production"}


def test_the_dag_of_a_model_that_is_only_asked_online_watches_its_endpoint_alone() -> None:
    tasks_of = {task.task_id for task in monitor_dag(ONLINE).tasks}
    assert tasks_of == {
        f"traffic.{name}"
        for name in (
            *("find_captures", "count_captures", "publish_captures", "judge_day", "check_verdict"),
            *("report_verdict", "keep_model", "retrain_model"),
        )
    }
    both = {task.task_id for task in monitor_dag(CAPTURING).tasks}
    assert tasks_of | {"judge_day", "wait_for_scores", "find_late_days"} <= both
