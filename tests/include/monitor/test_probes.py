"""What a probe of an endpoint finds, and what people are told."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from include.deploy.endpoint_checks import Thresholds, probe_endpoint
from include.models.config import ModelConfig, load_model
from include.monitor import probes
from include.monitor.probes import RECORDED_WITHIN, Probe, State, state_of, to_tell
from include.ops.mwaa import templates
from include.platform.environment import EXAMPLE
from include.platform.errors import PermanentError
from include.platform.storage import golden_requests_of, probes_of, production_history, split_uri
from include.registry.history import Entry, History, promote
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3

MODEL = load_model("tabular_classifier")
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
GOLDEN: Any = [{"features": {"torque": 1.5}, "expected": {"label": "0"}}]
BUCKET = json.loads(EXAMPLE)["bucket"]
NOBODY: Any = {}  # the run's context, which a probe does not need
STATISTICS = "s3://my-ml-bucket/runs/one/evaluation.json"


def answering(label: str) -> Any:
    def invoke_endpoint(**_: Any) -> dict[str, Any]:
        return {"Body": io.BytesIO(json.dumps({"predictions": [{"label": label}]}).encode())}

    return SimpleNamespace(invoke_endpoint=invoke_endpoint)


def throttled_at(*numbers: int) -> Any:
    """Answers as trained, except for these requests."""
    asked = count(1)

    def invoke_endpoint(**given: Any) -> Any:
        if next(asked) in numbers:
            error: Any = {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(error, "InvokeEndpoint")
        return answering("0").invoke_endpoint(**given)

    return SimpleNamespace(invoke_endpoint=invoke_endpoint)


def endpoint(status: str = "InService", config: str = "1") -> Any:
    return SimpleNamespace(describe_endpoint=lambda **_: {"EndpointStatus": status, "EndpointConfigName": config})


@pytest.mark.parametrize(
    ("runtime", "status", "p50_ms", "state", "while_changing"),
    [
        (answering("0"), "InService", 1000, "answers", "answers"),
        (answering("0"), "Updating", 1000, "answers", "answers"),
        (answering("1"), "InService", 1000, "wrong answers", "being changed"),
        (answering("0"), "InService", 1e-9, "slow", "being changed"),
        (throttled_at(1), "InService", 1000, "fails requests", "being changed"),
        (throttled_at(3), "InService", 1000, "fails requests", "being changed"),
        (throttled_at(1, 2, 3, 4), "InService", 1000, "unreachable", "unreachable"),
        (answering("0"), "Failed", 1000, "unreachable", "unreachable"),
    ],
    ids=["well", "served on", "wrong", "slow", "one throttled", "load throttled", "all throttled", "failed"],
)
def test_what_a_probe_finds(runtime: Any, status: str, p50_ms: float, state: State, while_changing: State) -> None:
    thresholds = Thresholds(p50_ms, 1000, requests=2, clients=1)
    asked: Any = {"golden": GOLDEN, "columns": ["torque"], "thresholds": thresholds}
    report = probe_endpoint(runtime, endpoint(status), "one", **asked)
    assert (state_of(report), state_of(report, changing=True)) == (state, while_changing)
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
    assert [told("being changed", 1515), told("being changed", 1515 + 2 * 24 * 60)] == [None, None]
    assert [told("answers", 4400), told("answers", 4405)] == [None, "answers again"]
    assert [told("fails requests", 4410), told("fails requests", 4415)] == [None, "fails requests"]


class Watched:
    """A bucket, an endpoint and people: ``ask`` probes the models, some time after the last probe."""

    def __init__(self, s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s3, self._patch = s3, monkeypatch
        self.told: list[str] = []
        self.messages: list[str] = []
        self.sent: list[Any] = []
        monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
        monkeypatch.setattr(probes, "notify", self._notify)
        monkeypatch.setattr(probes, "describe", lambda *_: SimpleNamespace(evaluation=STATISTICS))
        self.put(golden_requests_of(STATISTICS), json.dumps(GOLDEN))
        self.behind(endpoint(), answering("0"))

    def _notify(self, subject: str, message: str, **_: Any) -> None:
        self.told.append(subject)
        self.messages.append(message)

    def put(self, uri: str, body: str) -> None:
        self.s3.objects[split_uri(uri)[1]] = body.encode()

    def promoted(self, model: ModelConfig) -> None:
        facts: Any = {"artifact": "s3://b/a", "endpoint_config": "1", "dag_id": "d", "run_id": "r", "since": NOW}
        history = promote(History(), Entry(version=1, model_package_arn="arn", **facts))
        self.put(production_history(BUCKET, model.name), history.model_dump_json(by_alias=True))

    def behind(self, sagemaker: Any, runtime: Any) -> None:
        cloudwatch = SimpleNamespace(put_metric_data=lambda **given: self.sent.append(given))
        clients = {"s3": self.s3, "sagemaker": sagemaker, "sagemaker_runtime": runtime, "cloudwatch": cloudwatch}
        answer_from(self._patch, **clients)

    def kept(self, model: ModelConfig = MODEL) -> Any:
        return json.loads(self.s3.objects[split_uri(probes_of(BUCKET, model.name))[1]])

    def ask(self, *models: ModelConfig, later: timedelta = timedelta(minutes=5)) -> dict[str, State]:
        """As if all earlier probes had been that much earlier."""
        for model in models or (MODEL,):
            if split_uri(probes_of(BUCKET, model.name))[1] in self.s3.objects:
                known = self.kept(model)
                for probe in known["probes"]:
                    probe["at"] = (datetime.fromisoformat(probe["at"]) - later).isoformat()
                self.put(probes_of(BUCKET, model.name), json.dumps(known))
        return probes.probe_endpoints(models or [MODEL], NOBODY)


@pytest.fixture
def watched(ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(ml_bucket, monkeypatch)


def test_a_probe_is_kept_measured_and_told(watched: Watched) -> None:
    watched.behind(endpoint(), answering("1"))
    assert watched.ask() == {}, "nothing is in production"
    watched.promoted(MODEL)
    assert watched.ask() == {MODEL.name: "wrong answers"}
    assert watched.ask(later=timedelta()) == {}, "its minutes have not passed"
    assert [probe["state"] for probe in watched.kept()["probes"]] == ["wrong answers"]
    measured = {one["MetricName"]: one for one in watched.sent[0]["MetricData"]}
    assert measured["ProbeFailed"]["Value"] == 1
    alarm = templates.read(templates.OF_MODEL)["Resources"]["ProbesFail"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (watched.sent[0]["Namespace"], "ProbeFailed")
    dimensions = [one["Name"] for one in alarm["Dimensions"]]
    assert dimensions == [one["Name"] for one in measured["ProbeFailed"]["Dimensions"]]
    assert watched.told == [f"{MODEL.name}: production endpoint wrong answers"]
    index = json.loads(watched.s3.objects[f"index/{MODEL.name}.json"])
    assert index["probe"]["state"] == "wrong answers"

    def unreachable(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://runtime")

    watched.behind(SimpleNamespace(describe_endpoint=unreachable), answering("0"))
    assert watched.ask() == {MODEL.name: "unreachable"}
    assert len(watched.told) == 1, "it may be chance"


@pytest.mark.parametrize(("status", "config"), [("Updating", "1"), ("RollingBack", "1"), ("InService", "2")])
def test_a_promotion_under_way_is_no_failure_and_one_that_is_never_recorded_is(
    watched: Watched, status: str, config: str
) -> None:
    watched.promoted(MODEL)
    watched.behind(endpoint(status, config), answering("1"))
    hour = timedelta(hours=1)
    assert [watched.ask(later=hour)[MODEL.name] for _ in range(3)] == ["being changed"] * 3
    assert watched.told == []
    assert {one["MetricData"][0]["Value"] for one in watched.sent} == {0.0}
    assert [watched.ask(later=hour)[MODEL.name] for _ in range(3)][-2:] == ["changed and not recorded"] * 2
    assert watched.told == [f"{MODEL.name}: production endpoint changed and not recorded"]
    assert "run of the model's Dag deploy_, or of rollback" in watched.messages[0]
    assert watched.sent[-1]["MetricData"][0]["Value"] == 1.0
    watched.behind(endpoint(), answering("0"))
    assert [watched.ask()[MODEL.name] for _ in range(2)] == ["answers"] * 2
    assert watched.told[1:] == [f"{MODEL.name}: production endpoint answers again"]


def test_a_change_may_take_as_long_as_its_traffic_shift(watched: Watched) -> None:
    slow = MODEL.serving.deployment.model_copy(update={"share_percent": 10, "wait_minutes": 30})
    model = MODEL.model_copy(update={"serving": MODEL.serving.model_copy(update={"deployment": slow})})
    watched.promoted(model)
    watched.behind(endpoint("Updating"), answering("1"))
    assert watched.ask(model) == {model.name: "being changed"}
    shift = timedelta(minutes=11 * 30)
    assert watched.ask(model, later=shift + RECORDED_WITHIN - timedelta(minutes=5)) == {model.name: "being changed"}
    assert watched.ask(model, later=timedelta(minutes=6)) == {model.name: "changed and not recorded"}


OTHER = load_model("abalone_age")


def test_a_model_that_cannot_be_probed_stops_no_other(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    for model in (OTHER, MODEL):
        watched.promoted(model)
    watched.behind(endpoint(), answering("1"))
    statistics = iter(["s3://my-ml-bucket/runs/gone/evaluation.json", STATISTICS])
    monkeypatch.setattr(probes, "describe", lambda *_: SimpleNamespace(evaluation=next(statistics)))
    with pytest.raises(PermanentError, match=rf"1 of 2 models .*\n  {OTHER.name}: .*no golden requests at s3.*gone"):
        watched.ask(OTHER, MODEL)
    assert watched.told == [f"{MODEL.name}: production endpoint wrong answers"]


def test_a_run_is_tried_again_if_that_may_help(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    watched.promoted(MODEL)

    def throttled(*_: Any) -> None:
        raise ClientError(
            {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "DescribeModelPackage"
        )

    monkeypatch.setattr(probes, "describe", throttled)
    with pytest.raises(RuntimeError, match="Rate exceeded") as raised:
        watched.ask()
    assert not isinstance(raised.value, PermanentError)


def test_people_are_told_though_the_metric_cannot_be_sent(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutMetricData")

    watched.promoted(MODEL)
    watched.behind(endpoint(), answering("1"))
    monkeypatch.setattr(probes, "_send", refused)
    with pytest.raises(PermanentError, match="PutMetricData"):
        watched.ask()
    assert watched.told == [f"{MODEL.name}: production endpoint wrong answers"]
    assert [probe["state"] for probe in watched.kept()["probes"]] == ["wrong answers"]


def test_a_broken_list_of_probes_starts_empty(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.promoted(MODEL)
    watched.put(probes_of(BUCKET, MODEL.name), '{"probes": [')
    assert probes.probe_endpoints([MODEL], NOBODY) == {MODEL.name: "answers"}
    assert f"{probes_of(BUCKET, MODEL.name)} is not JSON" in caplog.text
    assert len(watched.kept()["probes"]) == 1
