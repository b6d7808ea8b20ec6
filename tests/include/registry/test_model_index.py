from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from include.models.config import Monitoring, load_model
from include.monitor.performance import Realised
from include.monitor.performance import performance_of as of_window
from include.platform.request_parts import endpoint_name, group_name
from include.platform.storage import (
    drift_of,
    model_index,
    performance_of,
    production_history,
    scores_manifest,
    split_uri,
)
from include.registry.model_index import DAYS, index_drift, index_performance, index_scores, index_versions
from tests.include.local_aws import registered_versions
from tests.include.local_sagemaker.local_server import LocalSageMaker

BUCKET = "bucket"
MODEL = load_model("machine_downtime")
KEY = model_index(MODEL.name)


def publish(s3: Any, day: str, rows: int = 10) -> None:
    manifest = {
        "rows": rows,
        "model_version": 2,
        "published_at": f"{day}T12:00:00+00:00",
        "run_id": f"scored {day}",
        "quarantined": {"readings": 3, "machines": 1},
        "jobs": [
            {"task": "score", "instance_type": "ml.m5.large", "instance_count": 2, "billable_seconds": 60},
            {"task": "check", "instance_type": "ml.m5.large", "instance_count": 1, "billable_seconds": None},
        ],
    }
    s3.objects[scores_manifest(MODEL.name, day)] = json.dumps(manifest).encode()


def watch(s3: Any, day: str, verdict: str) -> None:
    found = {"verdict": verdict, "summary": "torque moved", "model_version": 2, "drifted": ["torque"]}
    s3.objects[split_uri(drift_of(BUCKET, MODEL.name, day))[1]] = json.dumps(found).encode()


def stored(s3: Any) -> Any:
    return json.loads(s3.objects[KEY])


def test_a_scored_and_watched_day(s3: Any) -> None:
    publish(s3, "2026-01-05")
    watch(s3, "2026-01-05", "drifted")
    index_scores(s3, BUCKET, MODEL, ["2026-01-05"])
    index_drift(s3, BUCKET, MODEL, ["2026-01-05"])
    found = stored(s3)
    assert (found["model"], found["owner"], found["endpoint"]) == (
        MODEL.name,
        MODEL.owner,
        endpoint_name(MODEL, "production"),
    )
    assert found["days"]["2026-01-05"] == {
        "rows": 10,
        "rejected": 4,
        "version": 2,
        "published_at": "2026-01-05T12:00:00+00:00",
        "run_id": "scored 2026-01-05",
        "instance_seconds": {"ml.m5.large": 120.0},
    }
    assert found["drift"]["2026-01-05"]["drifted"] == ["torque"]


def test_days_that_are_gone_leave_the_index_and_others_stay(s3: Any) -> None:
    for day in ("2026-01-05", "2026-01-06"):
        publish(s3, day)
    index_scores(s3, BUCKET, MODEL, ["2026-01-06", "2026-01-05"])
    assert list(stored(s3)["days"]) == ["2026-01-05", "2026-01-06"]
    del s3.objects[scores_manifest(MODEL.name, "2026-01-05")]
    index_scores(s3, BUCKET, MODEL, ["2026-01-05"])
    assert list(stored(s3)["days"]) == ["2026-01-06"]


def test_the_oldest_days_are_dropped(s3: Any) -> None:
    old = {f"{2000 + n // 28}-02-{n % 28 + 1:02}": {"rows": n} for n in range(DAYS)}
    s3.objects[KEY] = json.dumps({"days": old, "drift": {}}).encode()
    publish(s3, "2026-01-05")
    index_scores(s3, BUCKET, MODEL, ["2026-01-05"])
    days = list(stored(s3)["days"])
    assert len(days) == DAYS
    assert (days[0], days[-1]) == ("2000-02-02", "2026-01-05")


def test_nothing_is_lost_where_many_write_at_once(s3: Any) -> None:
    days = [f"2026-01-{day:02}" for day in range(1, 13)]
    for day in days:
        publish(s3, day)
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(index_scores, s3, BUCKET, MODEL, [day]) for day in days]:
            done.result()
    assert list(stored(s3)["days"]) == days


def test_versions_and_production(s3: Any, local_aws: LocalSageMaker) -> None:
    metadata = {
        "metric_f1": "0.97",
        "run_id": "monday",
        "data_readings.csv": "etag",
        "data_manifest": "s3://bucket/manifest.json",
        "evaluation_report": f"s3://{BUCKET}/runs/train/1/evaluate_model/evaluation/report.html",
    }
    verdicts = [
        {"metric": "f1", "kind": "min", "threshold": 0.9, "value": 0.97, "passed": True},
        {"metric": "f1", "kind": "champion", "threshold": 0.98, "value": 0.97, "passed": False},
    ]
    s3.objects["runs/train/1/check_metrics/gates.json"] = json.dumps(verdicts).encode()
    more = {"CustomerMetadataProperties": metadata}

    with registered_versions(local_aws, group_name(MODEL), 2, lambda _: more) as sagemaker:
        entry = {
            "version": 1,
            "model_package_arn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/machine-downtime/1",
            "artifact": "s3://bucket/1/model.tar.gz",
            "from": "2026-01-01T00:00:00Z",
            "to": None,
            "endpoint_config": "config-1",
            "dag_id": "deploy_machine_downtime",
            "run_id": "first",
        }
        s3.objects[split_uri(production_history(BUCKET, MODEL.name))[1]] = json.dumps({"entries": [entry]}).encode()
        publish(s3, "2026-01-05")
        index_scores(s3, BUCKET, MODEL, ["2026-01-05"])
        index_versions(s3, sagemaker, BUCKET, MODEL)
        found = stored(s3)
    assert [(version["version"], version["approval"]) for version in found["versions"]] == [
        (1, "Approved"),
        (2, "Approved"),
    ]
    assert found["versions"][0]["metrics"] == {"f1": 0.97}
    facts = found["versions"][0]["facts"]
    assert {"run_id", "data_manifest", "evaluation_report"} == facts.keys(), "raw files are in the manifest"
    assert found["versions"][0]["gates"] == {"f1": ["≥ 0.9", "the champion's 0.98, missed"]}
    assert [served["version"] for served in found["production"]] == [1]
    assert list(found["days"]) == ["2026-01-05"]


def test_a_model_that_was_never_registered(s3: Any, aws: Any) -> None:
    index_versions(s3, aws("sagemaker"), BUCKET, MODEL)
    assert stored(s3)["versions"] == []


def test_storage_that_fails_is_not_hidden(s3: Any) -> None:
    publish(s3, "2026-01-05")
    s3.fail_at = KEY
    with pytest.raises(Exception, match="InternalError"):
        index_scores(s3, BUCKET, MODEL, ["2026-01-05"])


@pytest.mark.parametrize(("min_rows", "metric", "value"), [(500, "f1", 0.9), (800, "accuracy", 0.93)])
def test_the_metric_of_labelled_days_is_that_of_their_verdict(
    s3: Any, min_rows: int, metric: str, value: float
) -> None:
    model = MODEL.model_copy(update={"monitoring": Monitoring(min_rows=min_rows)})
    sampled = {"metric": "accuracy", "value": 0.93, "interval": [0.9, 0.96], "asked": 700, "labelled": 700}
    window: Any = {
        "labelled": 700,
        "rows": 7000,
        "evidence": 50,
        "metrics": {"f1": 0.9},
        "intervals": {"f1": [0.85, 0.95]},
        "sampled": sampled,
    }
    found = {"model_version": 3, "rows": 1000, "labelled": 100, "window": window}
    s3.objects[split_uri(performance_of(BUCKET, model.name, "2026-01-05"))[1]] = json.dumps(found).encode()
    indexed = index_performance(s3, BUCKET, model, ["2026-01-05"])["performance"]["2026-01-05"]
    assert (indexed["metric"], indexed["value"]) == (metric, value)
    evaluation: Any = {"metrics": {"f1": 0.91, "accuracy": 0.94}, "intervals": {}}
    judged = of_window(model, None, {}, Realised("2026-01-05", window), evaluation)
    assert judged
    assert (judged["metric"], judged["realised"]) == (metric, value), "so that the report draws it"
