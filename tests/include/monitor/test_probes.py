"""What a probe of an endpoint finds, and what people are told."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from include.deploy.endpoint_checks import Thresholds, probe_endpoint
from include.models.config import load_model
from include.monitor import probes
from include.monitor.probes import Probe, State, state_of, to_tell
from include.ops.mwaa import templates
from include.platform.environment import EXAMPLE
from include.platform.storage import golden_requests_of, probes_of, production_history, split_uri
from include.registry.history import Entry, History, promote
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3

MODEL = load_model("tabular_classifier")
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
GOLDEN: Any = [{"features": {"torque": 1.5}, "expected": {"label": "0"}}]
IN_SERVICE = SimpleNamespace(describe_endpoint=lambda **_: {"EndpointStatus": "InService"})
STATISTICS = "s3://my-ml-bucket/runs/one/evaluation.json"


def answering(label: str) -> Any:
    def invoke_endpoint(**_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(json.dumps({"predictions": [{"label": label}]}).encode())}

    return SimpleNamespace(invoke_endpoint=invoke_endpoint)


@pytest.mark.parametrize(
    ("label", "sagemaker", "p50_ms", "state"),
    [
        ("0", IN_SERVICE, 1000, "answers"),
        ("1", IN_SERVICE, 1000, "wrong answers"),
        ("0", IN_SERVICE, 1e-9, "slow"),
        ("0", SimpleNamespace(describe_endpoint=lambda **_: {"EndpointStatus": "Failed"}), 1000, "unreachable"),
    ],
)
def test_what_a_probe_finds(label: str, sagemaker: Any, p50_ms: float, state: State) -> None:
    thresholds = Thresholds(p50_ms, 1000, requests=1, clients=1)
    asked: Any = {"golden": GOLDEN, "columns": ["torque"], "thresholds": thresholds}
    assert state_of(probe_endpoint(answering(label), sagemaker, "one", **asked)) == state
    assert state_of(None) == "unreachable"


def test_people_are_told_of_wrong_answers_at_once_of_the_rest_when_it_lasts_and_when_it_is_over() -> None:
    known: probes.Probes = {"probes": [], "told": "answers", "told_at": NOW.isoformat()}

    def told(state: State, minutes: int) -> str | None:
        at = NOW + timedelta(minutes=minutes)
        probe: Probe = {"at": at.isoformat(), "version": 1, "state": state, "says": "", "p50_ms": 1}
        known["probes"].append(probe)
        found = to_tell(known, at)
        if found:
            known["told"], known["told_at"] = state, at.isoformat()
        return found

    assert [told("answers", 0), told("slow", 5), told("answers", 10)] == [None] * 3
    assert [told("unreachable", 15), told("unreachable", 20), told("unreachable", 25)] == [None, "unreachable", None]
    assert told("unreachable", 20 + 24 * 60) == "still: unreachable"
    assert [told("answers", 1500), told("answers", 1505)] == [None, "answers again"]
    assert told("wrong answers", 1510) == "wrong answers"


def test_a_probe_is_kept_measured_and_told(ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
    bucket, sent, told = json.loads(EXAMPLE)["bucket"], list[Any](), list[str]()

    def put(uri: str, body: str) -> None:
        ml_bucket.objects[split_uri(uri)[1]] = body.encode()

    cloudwatch = SimpleNamespace(put_metric_data=lambda **given: sent.append(given))
    answer_from(
        monkeypatch, s3=ml_bucket, sagemaker=IN_SERVICE, sagemaker_runtime=answering("1"), cloudwatch=cloudwatch
    )
    monkeypatch.setattr(probes, "notify", lambda subject, message, **_: told.append(subject))
    monkeypatch.setattr(probes, "describe", lambda *_: SimpleNamespace(evaluation=STATISTICS))
    assert probes.probe_endpoints([MODEL], {}) == {}, "nothing is in production"  # type: ignore[typeddict-item]
    facts: Any = {"artifact": "s3://b/a", "endpoint_config": "1", "dag_id": "d", "run_id": "r", "since": NOW}
    history = promote(History(), Entry(version=1, model_package_arn="arn", **facts))
    put(production_history(bucket, MODEL.name), history.model_dump_json(by_alias=True))
    put(golden_requests_of(STATISTICS), json.dumps(GOLDEN))
    assert probes.probe_endpoints([MODEL], {}) == {MODEL.name: "wrong answers"}  # type: ignore[typeddict-item]
    assert probes.probe_endpoints([MODEL], {}) == {}, "its minutes have not passed"  # type: ignore[typeddict-item]
    kept = json.loads(ml_bucket.objects[split_uri(probes_of(bucket, MODEL.name))[1]])
    assert [probe["state"] for probe in kept["probes"]] == ["wrong answers"]
    measured = {one["MetricName"]: one for one in sent[0]["MetricData"]}
    assert measured["ProbeFailed"]["Value"] == 1
    alarm = templates.read(templates.OF_MODEL)["Resources"]["ProbesFail"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (sent[0]["Namespace"], "ProbeFailed")
    watched = [one["Name"] for one in alarm["Dimensions"]]
    assert watched == [one["Name"] for one in measured["ProbeFailed"]["Dimensions"]]
    assert told == [f"{MODEL.name}: production endpoint wrong answers"]
    index = json.loads(ml_bucket.objects[f"index/{MODEL.name}.json"])
    assert index["probe"]["state"] == "wrong answers"

    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://runtime")

    monkeypatch.setattr(probes, "SOONER", timedelta(days=1))
    answer_from(
        monkeypatch,
        s3=ml_bucket,
        sagemaker=SimpleNamespace(describe_endpoint=unreachable),
        sagemaker_runtime=answering("0"),
        cloudwatch=cloudwatch,
    )
    assert probes.probe_endpoints([MODEL], {}) == {MODEL.name: "unreachable"}  # type: ignore[typeddict-item]
    assert len(told) == 1, "it may be chance"
