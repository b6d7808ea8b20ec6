"""The consequences and the basis of drift: published days of one version and that version's training profile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError

from include.models.config import ModelConfig, Monitoring, load_model
from include.models.config.labels import Labels
from include.monitor import tasks as monitor
from include.platform.environment import EXAMPLE
from include.platform.storage import (
    daily_partition,
    drift_of,
    drift_report_of,
    metrics_of,
    performance_of,
    production_history,
    reference_of,
    scores_manifest,
    scores_partition,
    split_uri,
    told_of,
)
from include.registry.history import Entry, promote, read_history
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3, registered_versions
from tests.include.local_sagemaker.local_server import LocalSageMaker
from tests.include.published import manifest

BUCKET = "my-ml-bucket"
DRIFT = "drift without harm"
NOW = datetime.now(UTC)
TODAY = NOW.date()
DAY, BEFORE = ((TODAY - timedelta(days=back)).isoformat() for back in (1, 2))
MODEL = load_model("tabular_classifier").model_copy(
    update={"monitoring": Monitoring(window_days=3, min_rows=100, retrain="on_drift")}
)
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/tabular-classifier/4"
STATISTICS = f"s3://{BUCKET}/runs/train/one/evaluate_model/evaluation/evaluation.json"
PROFILE = {"torque": {"edges": [5], "shares": [0.5, 0.5], "min": 0, "max": 10, "missing": 0.0}}


@pytest.fixture(scope="module")
def registry(local_aws: LocalSageMaker) -> Iterator[Any]:
    """Versions 1 to 4 of the model."""
    statistics = {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": STATISTICS}}}
    with registered_versions(local_aws, "tabular-classifier", 4, lambda _: {"ModelMetrics": statistics}) as sagemaker:
        yield sagemaker


class Watched:
    """A bucket with published days, and what was sent to CloudWatch and to people."""

    def __init__(self, s3: LocalS3) -> None:
        self.s3 = s3
        self.metrics: list[dict[str, Any]] = []
        self.told: list[tuple[str, str]] = []
        self.put(f"s3://{BUCKET}/runs/train/one/evaluate_model/evaluation/drift_profile.json", PROFILE)
        self.promote(4)

    def put(self, uri: str, content: Any) -> None:
        self.s3.objects[split_uri(uri)[1]] = json.dumps(content).encode()

    def promote(self, version: int) -> None:
        facts: dict[str, Any] = {"artifact": "s3://b/a", "endpoint_config": str(version), "dag_id": "d", "run_id": "r"}
        entry = Entry(version=version, model_package_arn=ARN, since=datetime(2026, 1, version, tzinfo=UTC), **facts)
        history = promote(read_history(self.s3, BUCKET, MODEL.name), entry)
        self.put(production_history(BUCKET, MODEL.name), json.loads(history.model_dump_json(by_alias=True)))

    def publish(
        self, day: str, low: int, high: int, version: int = 4, *, profile: bool = True, missing: int = 0
    ) -> None:
        key = f"{scores_partition(MODEL.name, day)}_profile-0.json" if profile else None
        raw: Any = {"key": f"{daily_partition(MODEL.name, day)}readings.csv", "etag": "1", "bytes": 1}
        fields = {"model_version": version, "model_package_arn": ARN, "rows": low + high + missing, "profile": key}
        fields["inputs"] = [raw]
        found = manifest(MODEL.name, day, sha256=f"{day} {low} {high} {missing}", **fields)
        self.put(f"s3://{BUCKET}/{scores_manifest(MODEL.name, day)}", found)
        if key:
            counts, rows = {"torque": [0, low, high, 0, missing]}, low + high + missing
            self.put(f"s3://{BUCKET}/{key}", {"rows": rows, "features": counts, "predictions": {"0": rows}})

    def evaluate(self, **measured: Any) -> None:
        """What the version's training had: torque in every row."""
        windows = [{"rows": 200, "features": {"torque": [0, 100 - swing, 100 + swing, 0, 0]}} for swing in range(4)]
        known = {"timed": False, "days": {}, "segments": {}, "windows": windows, "answers": [], "calibration": None}
        self.put(reference_of(STATISTICS), known)
        self.put(metrics_of(STATISTICS), measured)

    def kept(self, uri: str) -> str:
        return self.s3.objects[split_uri(uri)[1]].decode()


class Clock(datetime):
    """It stands at NOW: midnight during the tests makes no day late."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return NOW.astimezone(tz)


@pytest.fixture
def watched(ml_bucket: LocalS3, registry: Any, monkeypatch: pytest.MonkeyPatch) -> Watched:
    made = Watched(ml_bucket)

    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
    monkeypatch.setenv("AIRFLOW_ENV_NAME", "ml-dev")
    monkeypatch.setattr(monitor, "datetime", Clock)
    cloudwatch = SimpleNamespace(put_metric_data=lambda **given: made.metrics.append(given))
    answer_from(monkeypatch, s3=made.s3, sagemaker=registry, cloudwatch=cloudwatch)
    monkeypatch.setattr(monitor, "file_page", lambda uri, client: f"https://pages/{uri}")
    monkeypatch.setattr(monitor, "notify", lambda subject, message, **_: made.told.append((subject, message)))
    return made


def context(day: str = DAY, run_type: str = "scheduled", run_id: str = "scheduled__1") -> Any:
    dag, run = SimpleNamespace(params={"day"}), SimpleNamespace(run_type=run_type, run_id=run_id)
    dag_id = f"monitor_{MODEL.name}"
    instance = SimpleNamespace(dag_id=dag_id, run_id=run_id, log_url=f"http://airflow:8080/dags/{dag_id}/runs/1")
    return {"dag": dag, "params": {"day": day}, "dag_run": run, "ti": instance}


def test_a_day_whose_data_came_late_is_scored_once_for_each_state_of_its_data(watched: Watched) -> None:
    day = (TODAY - timedelta(days=3)).isoformat()
    key = f"{daily_partition(MODEL.name, day)}{MODEL.data.tables[MODEL.daily_scoring.tables[0]].file}"
    watched.s3.objects[key] = b"a\n1\n"
    (first,) = monitor.find_late_days(MODEL, context())
    assert first["conf"] == {"day": day}
    assert first["trigger_run_id"].startswith(f"late__{day}__")
    assert monitor.find_late_days(MODEL, context()) == [first], "Airflow starts a run id only once"
    watched.s3.objects[key] = b"a\n1\n2\n"
    (second,) = monitor.find_late_days(MODEL, context())
    assert second["conf"] == first["conf"]
    assert second["trigger_run_id"] != first["trigger_run_id"]
    assert monitor.find_late_days(MODEL, context((TODAY - timedelta(days=4)).isoformat())) == [], "is of a later day"
    assert monitor.find_late_days(MODEL, context(run_type="backfill")) == []


def test_a_stable_day_is_kept_with_its_page_and_measured(watched: Watched) -> None:
    watched.publish(BEFORE, 100, 100)
    watched.publish(DAY, 100, 100)
    found = monitor.judge_day(MODEL, context())
    assert (found["verdict"], found["days"], found["rows"], found["model_version"]) == ("fine", [BEFORE, DAY], 400, 4)
    assert json.loads(watched.kept(drift_of(BUCKET, MODEL.name, DAY)))["verdict"] == "fine"
    html = watched.kept(drift_report_of(BUCKET, MODEL.name, DAY))
    for page in (f"model/{MODEL.name}/day/{DAY}", f"model/{MODEL.name}/version/4"):
        assert f'href="http://airflow:8080/models/{page}"' in html
    assert f"/dags/monitor_{MODEL.name}/runs/scheduled__1" in html
    assert f"daily/{MODEL.name}/date%3D{DAY}/readings.csv" in html, "the raw file"
    assert found["report"].endswith("report.html")
    (sent,) = watched.metrics
    assert sent["Namespace"] == "ModelMonitoring"
    values = {metric["MetricName"]: metric["Value"] for metric in sent["MetricData"]}
    assert values == {"Rows": 400, "DriftedFeatures": 0, "DataFaults": 0, "LargestIndex": 0}
    dimensions = {"Environment": "ml-dev", "Model": MODEL.name}
    assert sent["MetricData"][0]["Dimensions"] == [{"Name": key, "Value": text} for key, text in dimensions.items()]
    assert monitor.check_verdict(MODEL, context(), found=found) == ["keep_model"]


def test_days_of_another_version_are_not_in_the_window(watched: Watched) -> None:
    watched.publish(BEFORE, 0, 1000, version=3)
    watched.publish(DAY, 100, 100)
    assert monitor.judge_day(MODEL, context())["days"] == [DAY]


def test_a_new_drift_is_told_and_trained_for(watched: Watched) -> None:
    watched.publish(BEFORE, 100, 100)
    monitor.judge_day(MODEL, context(BEFORE))
    watched.publish(DAY, 0, 800)
    found = monitor.judge_day(MODEL, context())
    assert (found["drifted"], found["since"]) == (["torque"], DAY)
    assert monitor.check_verdict(MODEL, context(), found=found) == ["report_verdict", "retrain_model"]
    assert found["training_run"] == f"monitor__{DAY}__version_4"
    monitor.report_verdict(MODEL, context(), found=found)
    ((subject, message),) = watched.told
    assert subject == "tabular_classifier: drift without harm"
    for said in ("torque", found["report"], found["training_run"], "has been started"):
        assert said in message
    assert monitor.check_verdict(MODEL, context(), found=found) == ["retrain_model"], "cleared: the run exists already"
    other = context(run_id="manual__2")
    assert monitor.check_verdict(MODEL, other, found=found) == ["keep_model"], "of the same scores once"


def follow(day: str, model: ModelConfig = MODEL, run_type: str = "scheduled") -> tuple[monitor.Found, list[str]]:
    """Judges a day, and tells people."""
    run = context(day, run_type, f"{run_type}__{day}")
    found = monitor.judge_day(model, run)
    tasks = monitor.check_verdict(model, run, found=found)
    if "report_verdict" in tasks:
        monitor.report_verdict(model, run, found=found)
    return found, tasks


def test_days_with_a_data_fault_are_left_out_until_they_are_delivered_again(watched: Watched) -> None:
    watched.evaluate()
    days = [(TODAY - timedelta(days=back)).isoformat() for back in (4, 3, 2, 1)]
    for day in days:
        watched.publish(day, 100, 100)
    watched.publish(days[1], 0, 0, missing=800)
    verdicts = [follow(day) for day in days]
    assert [found["verdict"] for found, _ in verdicts] == ["fine", "data fault", "fine", "fine"]
    assert [tasks for _, tasks in verdicts[1:]] == [["report_verdict"], ["report_verdict"], ["keep_model"]]
    newest = verdicts[-1][0]
    assert (newest["days"], newest["left_out"], newest["rows"]) == ([days[2], days[3]], [days[1]], 400)
    left_out = f"days with a data fault are left out: {days[1]}"
    assert newest["summary"].endswith(left_out)
    assert left_out in watched.kept(drift_report_of(BUCKET, MODEL.name, DAY))
    watched.publish(days[1], 100, 100)
    assert follow(days[1])[0]["verdict"] == "fine"
    assert follow(days[3])[0]["days"] == days[1:]


def test_a_loss_of_labelled_days_with_a_data_fault_starts_no_training(watched: Watched) -> None:
    watched.evaluate(metrics={"f1": 0.9, "macro_f1": 0.9, "accuracy": 0.9}, intervals={}, champion=None)
    model = MODEL.model_copy(update={"labels": Labels()})
    days = [(TODAY - timedelta(days=back)).isoformat() for back in (4, 3, 2, 1)]
    for day in days:
        watched.publish(day, 100, 100, missing=400 if day == days[0] else 0)
        values = {"f1": 0.5, "macro_f1": 0.5, "accuracy": 0.5}
        window = {"days": days[:3], "rows": 600, "labelled": 600, "evidence": 50, "metrics": values, "intervals": {}}
        if day != DAY:
            known = {"model_version": 4, "date": day, "labelled": 200, "rows": 200, "metrics": values, "intervals": {}}
            known |= {"segments": {}, "baselines": {}, "window": {**window, "sampled": None}}
            watched.put(performance_of(BUCKET, MODEL.name, day), known)
    watched.put(performance_of(BUCKET, MODEL.name, DAY), {**known, "window": {**known["window"], "labelled": 0}})
    assert follow(days[0], model)[0]["verdict"] == "data fault"
    found, tasks = follow(DAY, model)
    assert (found["verdict"], found["left_out"], tasks) == ("performance loss", [], ["report_verdict"])
    assert found["performance"] is not None
    assert found["performance"]["faulty"] == [days[0]], "the window of labels began before that of the day"
    assert f"days with a data fault are among them: {days[0]}" in found["summary"]
    watched.publish(days[0], 100, 100)
    follow(days[0], model)
    assert "retrain_model" in follow(DAY, model)[1]


def test_a_past_day_starts_no_training_once_a_later_one_is_judged(watched: Watched) -> None:
    watched.evaluate()
    watched.publish(DAY, 0, 0, missing=800)
    assert follow(DAY)[1] == ["report_verdict"]
    watched.publish(BEFORE, 0, 800)
    found, tasks = follow(BEFORE, run_type="asset_triggered")
    assert (found["verdict"], tasks) == (DRIFT, ["keep_model"])


def test_a_report_that_is_cleared_tells_nothing_old(watched: Watched) -> None:
    watched.publish(BEFORE, 0, 800)
    begun, _ = follow(BEFORE)
    watched.publish(DAY, 4000, 4000)
    over, tasks = follow(DAY)
    assert tasks == ["report_verdict"]
    known = watched.kept(told_of(BUCKET, MODEL.name))
    for found in (begun, over):
        monitor.report_verdict(MODEL, context(found["date"]), found=found)
    subjects = [subject.removeprefix("tabular_classifier: ") for subject, _ in watched.told]
    assert subjects == [DRIFT, f"{DRIFT} is over"]
    assert watched.kept(told_of(BUCKET, MODEL.name)) == known


def test_what_people_were_told_says_where_it_is_damaged(watched: Watched) -> None:
    watched.publish(DAY, 0, 800)
    watched.s3.objects[split_uri(told_of(BUCKET, MODEL.name))[1]] = b'{"verdict": "fi'
    with pytest.raises(ValueError, match=r"monitoring/tabular_classifier/told\.json is not JSON .* Restore an earlier"):
        follow(DAY)


def test_without_retraining_people_are_told_what_they_can_do(watched: Watched) -> None:
    model = MODEL.model_copy(update={"monitoring": Monitoring(min_rows=100)})
    watched.publish(DAY, 0, 800)
    found = monitor.judge_day(model, context())
    assert monitor.check_verdict(model, context(), found=found) == ["report_verdict"], "no loss is known"
    monitor.report_verdict(model, context(), found=found)
    assert "Start train_tabular_classifier in the Airflow UI" in watched.told[0][1]


def test_people_are_told_until_a_report_has_gone_out_then_weekly_then_that_it_is_over(watched: Watched) -> None:
    def follows(back: int, low: int, high: int) -> list[str]:
        day = (TODAY - timedelta(days=back)).isoformat()
        run = context(day, run_id=f"scheduled__{day}")
        watched.publish(day, low, high)
        found = monitor.judge_day(MODEL, run)
        follow = [task for task in monitor.check_verdict(MODEL, run, found=found) if task != "keep_model"]
        if "report_verdict" in follow and back != 30:  # that day's report fails permanently
            monitor.report_verdict(MODEL, run, found=found)
        return follow

    assert follows(30, 0, 800) == ["report_verdict", "retrain_model"]
    assert follows(29, 0, 800) == ["report_verdict"], "the report is repeated; the training is not started twice"
    assert [follows(back, 0, 800) for back in range(28, 22, -1)] == [[]] * 6
    assert follows(22, 0, 800) == ["report_verdict"]
    assert [follows(back, 0, 800) for back in range(21, 15, -1)] == [[]] * 5 + [["retrain_model"]]
    assert [follows(back, 4000, 4000) for back in (15, 14)] == [["report_verdict"], []]
    subjects = [subject.removeprefix("tabular_classifier: ") for subject, _ in watched.told]
    since = (TODAY - timedelta(days=30)).isoformat()
    assert subjects[0] == "drift without harm"
    assert subjects[1] == f"still drift without harm, since {since}"
    assert subjects[-1] == "drift without harm is over"


def test_what_a_backfill_has_judged_is_told_by_the_run_that_follows(watched: Watched) -> None:
    watched.publish(BEFORE, 0, 800)
    watched.publish(DAY, 0, 800)
    for day in (BEFORE, DAY):
        past = context(day, run_type="backfill", run_id="backfill__1")
        assert monitor.check_verdict(MODEL, past, found=monitor.judge_day(MODEL, past)) == ["keep_model"]
    found = monitor.judge_day(MODEL, context())
    assert found["since"] == BEFORE
    assert monitor.check_verdict(MODEL, context(), found=found) == ["report_verdict", "retrain_model"]


def test_of_a_day_that_is_scored_again_people_are_not_told_again(watched: Watched) -> None:
    watched.publish(DAY, 0, 800)
    on_event = context(run_type="asset_triggered", run_id="asset_triggered__1")
    monitor.report_verdict(MODEL, on_event, found=monitor.judge_day(MODEL, on_event))
    daily = monitor.judge_day(MODEL, context())
    assert "report_verdict" not in monitor.check_verdict(MODEL, context(), found=daily)


def test_nothing_follows_from_days_gone_by_that_are_scored_only_now(watched: Watched) -> None:
    long_ago = (TODAY - timedelta(days=40)).isoformat()
    watched.publish(long_ago, 0, 800)
    on_event = context(long_ago, run_type="asset_triggered")
    found = monitor.judge_day(MODEL, on_event)
    assert found["verdict"] == DRIFT
    assert monitor.check_verdict(MODEL, on_event, found=found) == ["keep_model"]
    assert monitor.find_late_days(MODEL, on_event) == []


def test_nothing_follows_from_a_backfill_nor_from_a_version_of_before(watched: Watched) -> None:
    watched.publish(DAY, 0, 800)
    found = monitor.judge_day(MODEL, context())
    assert monitor.check_verdict(MODEL, context(run_type="backfill"), found=found) == ["keep_model"]
    watched.promote(5)
    assert monitor.check_verdict(MODEL, context(), found=found) == ["keep_model"]


def test_cloudwatch_is_not_sent_what_it_refuses(watched: Watched) -> None:
    long_ago = (TODAY - timedelta(days=40)).isoformat()
    watched.publish(long_ago, 100, 100)
    assert monitor.judge_day(MODEL, context(long_ago))["verdict"] == "fine"
    assert watched.metrics == []


def test_scores_without_a_profile_say_what_to_do(watched: Watched) -> None:
    watched.publish(DAY, 100, 100, profile=False)
    with pytest.raises(
        AirflowFailException, match=r"code without profiles.*score_tabular_classifier with day .* and force"
    ):
        monitor.judge_day(MODEL, context())


def test_a_lost_training_profile_says_which(watched: Watched) -> None:
    watched.publish(DAY, 100, 100)
    del watched.s3.objects["runs/train/one/evaluate_model/evaluation/drift_profile.json"]
    with pytest.raises(AirflowFailException, match=r"evaluation/drift_profile.json is gone"):
        monitor.judge_day(MODEL, context())


def test_s3_failing_is_not_taken_for_a_lost_object(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.publish(DAY, 100, 100)

    def refuse(Bucket: str, Key: str) -> None:  # noqa: N803 - as boto3 spells it
        raise ClientError({"Error": {"Code": "SlowDown"}}, "GetObject")

    monkeypatch.setattr(watched.s3, "get_object", refuse)
    with pytest.raises(ClientError):
        monitor.judge_day(MODEL, context())


def test_scores_are_waited_for_after_the_raw_data_may_still_come(watched: Watched) -> None:
    waited = monitor.wait_for_scores(MODEL, context("2026-01-05"))
    assert waited["keys"] == ["scores/tabular_classifier/date=2026-01-05/_SUCCESS.json"]
    assert waited["until"] == datetime(2026, 1, 6, 18, tzinfo=UTC)
    assert "score_tabular_classifier" in waited["advice"]
