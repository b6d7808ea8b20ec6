"""The console's pages and buttons, with Airflow's answers and the bucket's objects in memory."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.core_api.security import get_user
from botocore.exceptions import ClientError
from fastapi.testclient import TestClient

from model_console import actions
from model_console import app as console
from model_console import settings as configured
from model_console.airflow_api import AirflowApi, RefusedError, api_of
from model_console.airflow_state import _days
from model_console.cloud import Cloud, Endpoint, Today
from model_console.serving import Variant
from model_console.settings import NotConfiguredError, Settings
from model_console.store import Store, store
from sagemaker_jobs import schedules
from tests.plugins.model_console.test_overview import dag, index

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = "<script>alert(1)</script>"
AT = {"first_at": "2026-11-28T10:00:00Z", "last_at": "2026-11-28T10:09:00Z"}
REPORT = "monitoring/pumps/date=2026-11-28/report.html"


class FakeS3:
    """The bucket's objects; ``reads`` counts the requests."""

    meta = SimpleNamespace(endpoint_url="https://s3.amazonaws.com")

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects, self.reads = objects, 0

    def get_paginator(self, _: str) -> FakeS3:
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        self.reads += 1
        return [{"Contents": [{"Key": key} for key in self.objects if key.startswith(Prefix)]}]

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self.reads += 1
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": Body(self.objects[Key])}


class Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self) -> bytes:
        return self._content

    def iter_chunks(self) -> Iterator[bytes]:
        yield self._content


class FakeAirflow(AirflowApi):
    """Answers of Airflow's API by path; ``sent`` lists the changes requested."""

    def __init__(self, dags: list[dict[str, Any]], questions: list[dict[str, Any]] | None = None) -> None:
        super().__init__(None, {})
        object.__setattr__(self, "sent", [])
        object.__setattr__(self, "dags", dags)
        object.__setattr__(self, "questions", questions or [])
        object.__setattr__(self, "runbooks", {})

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        dags: list[dict[str, Any]] = self.dags  # type: ignore[attr-defined]
        if path == "/dags":
            some = dags[query.get("offset", 0) :][: query["limit"]]
            return {"dags": some, "total_entries": len(dags)}
        if path.endswith("/dagRuns"):
            return {"dag_runs": [], "total_entries": 0}
        if path in {"/importErrors", "/pools"}:
            return {path[1:].replace("E", "_e"): [], "total_entries": 0}
        if path.endswith("/hitlDetails"):
            return {"hitl_details": self.questions, "total_entries": 1}  # type: ignore[attr-defined]
        if path.endswith("/details") and (doc := self.runbooks.get(path.split("/")[2])):  # type: ignore[attr-defined]
            return {"doc_md": doc}
        if path.removeprefix("/dags/") in {each["dag_id"] for each in dags}:
            return {}
        raise RefusedError(404, f"no Dag {HOSTILE}")

    async def send(self, method: str, path: str, body: Any) -> dict[str, Any]:
        if "mills" in path:
            raise RefusedError(403, "Forbidden")
        self.sent.append((method, path, body))  # type: ignore[attr-defined]
        return {"dag_run_id": "manual__2026-11-29", "id": 7}


def dags_of(*models: str) -> list[dict[str, Any]]:
    return [dag(f"{verb}_{model}") for model in models for verb in ("train", "score", "deploy", "monitor")]


QUESTION = {
    "task_instance": {"dag_id": "deploy_pumps", "dag_run_id": "run/1", "task_id": "approve_production"},
    "subject": f"Promote {HOSTILE}?",
    "body": HOSTILE,
    "created_at": "2026-11-28T10:00:00Z",
    "assigned_users": [{"id": "1", "name": "ada"}],
}


VARIANTS = [
    Variant("pumps-production", "Updating", "AllTraffic", "", 2, 0.9, 2),
    Variant("pumps-production", "Updating", "AllTraffic", "coming", None, 0.1, 2),
    Variant("pumps-staging", "InService", "AllTraffic", "", None, 1.0, None),
]


@pytest.fixture
def airflow() -> FakeAirflow:
    return FakeAirflow([*dags_of("pumps"), dag("train_mills")], [QUESTION])


@pytest.fixture
def s3() -> FakeS3:
    found = index(description=HOSTILE)
    message = f"{HOSTILE} Log: https://airflow/log"
    told = [
        {"dag_id": dag_id, "subject": f"{HOSTILE} {dag_id}", "message": message, "count": 10, **AT}
        for dag_id in ("score_pumps", "score_secret")
    ]
    return FakeS3(
        {
            "messages/recent.json": json.dumps({"groups": told}).encode(),
            "index/pumps.json": json.dumps(found).encode(),
            REPORT: b"<h1>drift</h1>",
            "raw/pumps/x.html": b"no",
        }
    )


@pytest.fixture
def client(airflow: FakeAirflow, s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(console, "settings", lambda: Settings("bucket", "us-east-1"))
    monkeypatch.setattr(actions, "allowed", lambda user, model: actions.buttons(model))
    console.app.cache_clear()
    made = console.app()
    cloud = Cloud(endpoints=[Endpoint(HOSTILE, "InService")])
    served = {"pumps": Today("InService", 1200, 3, 42.4)}
    asked = type(
        "Asked",
        (),
        {
            "ask": lambda *_: cloud,
            "today": lambda *_: (served, ""),
            "usage": lambda *_: None,
            "serving": lambda *_: (VARIANTS, ""),
        },
    )
    made.dependency_overrides |= {console.aws: asked}
    made.dependency_overrides |= {api_of: lambda: airflow, store: lambda: Store(s3, "bucket"), get_user: lambda: "ada"}  # type: ignore[dict-item]
    yield TestClient(made, follow_redirects=False)
    console.app.cache_clear()


def test_the_list_shows_models_of_dags_that_the_user_may_see(client: TestClient) -> None:
    page = client.get("/").text
    assert page.index('href="/model/mills"') < page.index('href="/model/pumps"')
    assert "never trained" in page
    assert "1 decision waits" in page


@pytest.mark.parametrize(
    "path", ["/", "/decisions", "/health", "/messages", "/model/pumps", f"/model/{HOSTILE}", "/model/absent"]
)
def test_names_of_others_are_text(client: TestClient, path: str) -> None:
    assert HOSTILE not in client.get(path).text


def test_messages_are_those_of_dags_that_the_user_may_see(client: TestClient) -> None:
    page = client.get("/messages").text
    assert "score_pumps" in page
    assert "10 times" in page
    assert "score_secret" not in page
    assert '<a href="https://airflow/log"' in page


def test_a_question_without_a_packet_is_shown_as_it_is_meant(client: TestClient, airflow: FakeAirflow) -> None:
    asked = {**QUESTION, "body": f"**Callers get errors.** [x](javascript:alert) {HOSTILE}"}
    object.__setattr__(airflow, "questions", [asked])
    page = client.get("/decisions").text
    assert "<strong>Callers get errors.</strong>" in page
    assert 'href="javascript' not in page
    assert HOSTILE not in page


@pytest.mark.parametrize(("setting", "said"), [("off", True), ("1", False)])
def test_where_schedules_are_off_the_pages_say_so(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, setting: str, *, said: bool
) -> None:
    monkeypatch.setenv(schedules.VARIABLE, setting)
    for path in ("/", "/model/pumps", "/model/pumps?done=resume&started="):
        assert ("SCHEDULES=1" in client.get(path).text) == said, path


def test_health_shows_what_needs_attention(client: TestClient) -> None:
    page = client.get("/health").text
    assert "needs attention" in page
    assert "an endpoint that no Dag owns" in page


def test_a_page_runs_and_frames_nothing_of_others(client: TestClient) -> None:
    answer = client.get("/model/pumps")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert " style=" not in answer.text
    assert " onclick=" not in answer.text


def test_a_report_is_shown_without_rights(client: TestClient) -> None:
    answer = client.get(f"/model/pumps/files/{REPORT}")
    assert (answer.status_code, answer.text) == (200, "<h1>drift</h1>")
    assert answer.headers["content-security-policy"].startswith("sandbox;")


@pytest.mark.parametrize(
    "key",
    [
        "raw/pumps/x.html",
        "index/pumps.json",
        "monitoring/mills/date=2026-11-28/report.html",
        "monitoring/pumps/gone.html",
    ],
)
def test_nothing_else_of_the_bucket_is_shown(client: TestClient, key: str) -> None:
    assert client.get(f"/model/pumps/files/{key}").status_code == 404


def test_a_model_that_the_user_may_not_see(client: TestClient) -> None:
    assert client.get("/model/absent").status_code == 404


@pytest.mark.parametrize(
    ("action", "form", "sent"),
    [
        ("train", {}, ("POST", "/dags/train_pumps/dagRuns", {"logical_date": None, "conf": {}})),
        (
            "promote",
            {"version": "3"},
            ("POST", "/dags/deploy_pumps/dagRuns", {"logical_date": None, "conf": {"version": 3}}),
        ),
        ("rollback", {}, ("POST", "/dags/rollback/dagRuns", {"logical_date": None, "conf": {"model": "pumps"}})),
    ],
)
def test_a_button_starts_its_dag(
    client: TestClient, airflow: FakeAirflow, action: str, form: dict[str, str], sent: Any
) -> None:
    answer = client.post(f"/model/pumps/{action}", data=form)
    assert answer.status_code == 303
    assert airflow.sent == [sent]  # type: ignore[attr-defined]
    assert "manual__2026-11-29 of" in client.get(answer.headers["location"]).text


def test_a_backfill_has_a_first_and_a_last_day(client: TestClient, airflow: FakeAirflow) -> None:
    client.post("/model/pumps/backfill", data={"first": "2026-01-01", "last": "2026-01-31"})
    (_, path, body) = airflow.sent[0]  # type: ignore[attr-defined]
    assert path == "/dags/backfill/dagRuns"
    assert body["conf"] == {"model": "pumps", "from": "2026-01-01", "to": "2026-01-31"}


def test_pausing_leaves_deployments_alone(client: TestClient, airflow: FakeAirflow) -> None:
    client.post("/model/pumps/pause")
    paused = [path for _, path, body in airflow.sent if body == {"is_paused": True}]  # type: ignore[attr-defined]
    assert paused == ["/dags/train_pumps", "/dags/score_pumps", "/dags/monitor_pumps"]


@pytest.mark.parametrize(
    ("action", "form", "status"),
    [
        ("promote", {"version": "-1"}, 422),
        ("promote", {"version": "newest"}, 422),
        ("backfill", {"first": "2026-01-31", "last": "2026-01-01"}, 422),
        ("backfill", {"first": "0001-01-01", "last": "9999-12-31"}, 422),
        ("backfill", {"first": "yesterday", "last": "today"}, 422),
        ("delete", {}, 404),
    ],
)
def test_what_no_button_asks_for(
    client: TestClient, airflow: FakeAirflow, action: str, form: dict[str, str], status: int
) -> None:
    assert client.post(f"/model/pumps/{action}", data=form).status_code == status
    assert airflow.sent == []  # type: ignore[attr-defined]


def test_what_airflow_refuses(client: TestClient) -> None:
    answer = client.post("/model/mills/train")
    assert (answer.status_code, "You may not see this" in answer.text) == (403, True)


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://elsewhere.example"}],
    ids=str,
)
def test_other_pages_press_no_button(client: TestClient, airflow: FakeAirflow, headers: dict[str, str]) -> None:
    assert client.post("/model/pumps/train", headers=headers).status_code == 403
    assert airflow.sent == []  # type: ignore[attr-defined]


def test_a_link_cannot_put_words_into_the_page(client: TestClient) -> None:
    assert "call+this+number" not in client.get("/model/pumps?done=train&started=call+this+number").text
    assert 'role="status"' not in client.get("/model/pumps?done=train&started=call this number").text


def test_indexes_are_read_once_in_a_while(client: TestClient, s3: FakeS3) -> None:
    kept = Store(s3, "bucket")  # type: ignore[arg-type]
    for _ in range(5):
        assert list(kept.indexes(["pumps", "mills"])) == ["pumps"]
    assert s3.reads == 2


def test_a_hundred_models(client: TestClient, airflow: FakeAirflow) -> None:
    names = [f"model_{n:03}" for n in range(100)]
    airflow.dags[:] = dags_of(*names)  # type: ignore[attr-defined]
    client.get("/")  # the first request compiles templates
    began = time.process_time()
    page = client.get("/").text
    assert time.process_time() - began < 1
    assert all(f'href="/model/{name}"' in page for name in names)


def test_a_console_that_knows_no_bucket_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    configured.settings.cache_clear()
    monkeypatch.setattr(configured.conf, "get", lambda *_, **__: "")
    with pytest.raises(NotConfiguredError, match="AIRFLOW__MODEL_CONSOLE__BUCKET"):
        configured.settings()


def test_retiring_asks_and_pauses_nothing_that_a_promotion_would_not_bring_back(
    client: TestClient, airflow: FakeAirflow
) -> None:
    answer = client.post("/model/pumps/retire", headers={"sec-fetch-site": "same-origin"})
    assert answer.status_code == 303
    ((method, path, body),) = airflow.sent  # type: ignore[attr-defined]
    assert (method, path, body["conf"]) == ("POST", "/dags/retire/dagRuns", {"model": "pumps"})


RUNBOOK = "# x\n\n<script>\n\n| task | why |\n|---|---|\n| `plan_day` | none |\n| any job, `plan_day` | none |\n"


def test_a_failed_tasks_log_leads_to_its_row_of_the_runbook(client: TestClient, airflow: FakeAirflow) -> None:
    object.__setattr__(airflow, "runbooks", {"score_pumps": RUNBOOK})
    page = client.get("/runbook/score_pumps").text
    assert page.count('<tr id="plan_day">') == 1
    assert "&lt;script&gt;" in page
    assert client.get("/runbook/absent").status_code == 404
    assert client.get("/runbook/..%2fpools").status_code == 404


FILES = [{"key": f"scores/pumps/date=2026-11-28/part-{n}.parquet", "rows": 50, "bytes": 2_000_000} for n in range(2)]
MANIFEST = {
    "date": "2026-11-28",
    "rows": 100,
    "model_version": 2,
    "model_version_reason": HOSTILE,
    "published_at": "2026-11-29T03:00:00+00:00",
    "dag_id": "score_pumps",
    "run_id": "scheduled/1",
    "code_hash": "0123456789ab",
    "quarantined": {"readings": 3},
    "inputs": [{}],
    "jobs": [{"instance_type": "ml.m5.large", "instance_count": 1, "billable_seconds": 3600}],
    "files": FILES,
    "profile": "scores/pumps/date=2026-11-28/_profile.json",
}


@pytest.fixture
def scored(s3: FakeS3) -> None:
    s3.objects |= {
        "scores/pumps/date=2026-11-28/_SUCCESS.json": json.dumps(MANIFEST).encode(),
        MANIFEST["profile"]: json.dumps({"predictions": {"0": 90, HOSTILE: 10}}).encode(),  # type: ignore[dict-item]
        str(FILES[1]["key"]): b"PAR1",
    }


def test_a_day_says_what_was_answered_and_can_be_saved(client: TestClient, scored: None) -> None:
    page = client.get("/model/pumps/day/2026-11-28").text
    assert HOSTILE not in page
    for said in ("90.00 %", "10.00 %", "3 rows of readings", "0.1150 USD", "scheduled%2F1", "nothing moved"):
        assert said in page
    file = client.get("/model/pumps/day/2026-11-28/scores/1")
    assert (file.content, file.headers["content-disposition"]) == (
        b"PAR1",
        'attachment; filename="pumps-2026-11-28-1.parquet"',
    )
    assert client.get("/model/pumps/day/2026-11-28/scores/2").status_code == 404
    assert client.get("/model/pumps/day/2026-11-27").status_code == 404
    assert client.get("/model/pumps/day/yesterday").status_code == 422
    assert client.get("/model/absent/day/2026-11-28").status_code == 404


def test_a_models_endpoints_have_their_shares_of_the_traffic(client: TestClient) -> None:
    rows = re.findall(r'<th scope="row">(pumps-[a-z]+)</th>(.*?)</tr>', client.get("/model/pumps").text)
    shown = [(name, re.sub(r"<[^>]+>", " ", cells).split()) for name, cells in rows]
    assert shown == [
        ("pumps-production", ["Updating", "AllTraffic", "2", "90", "%", "2"]),
        ("pumps-production", ["Updating", "AllTraffic", "(coming)", "–", "10", "%", "2"]),
        ("pumps-staging", ["In", "service", "AllTraffic", "–", "100", "%", "serverless"]),
    ]


def test_each_button_says_what_it_costs(client: TestClient, s3: FakeS3) -> None:
    job = {"dag_id": "train_pumps", "kind": "training", "seconds": 60}
    jobs = {
        "a": {**job, "run_id": "1", "usd": 0.5},
        "b": {**job, "run_id": "1", "usd": 0.25},
        "c": {**job, "run_id": "2", "usd": 0.25},
        "d": {**job, "run_id": "2", "usd": 9, "dag_id": "score_pumps"},
    }
    s3.objects[f"production/pumps/costs/{datetime.now(UTC):%Y-%m}.json"] = json.dumps(jobs).encode()
    served = {"stage": "production", "endpoint": "pumps-production", "instance_type": "ml.m5.large", "instances": 2}
    times = {"most": 2, "memory_mb": 0, "began": "2026-11-01T00:00:00+00:00", "ended": None}
    s3.objects["index/pumps.json"] = json.dumps(index(served=[served | times])).encode()
    page = client.get("/model/pumps").text
    assert "Costs about 0.5000 USD, the average of the last 2" in page
    assert "The endpoint costs about 168 USD a month as it runs now" in page
    assert "Saves about 168 USD a month" in page


def test_a_version_leads_down_to_its_raw_files_and_commit(client: TestClient, s3: FakeS3) -> None:
    facts = {
        "evaluation_report": "s3://bucket/runs/train_pumps/1/evaluate_model/evaluation/report.html",
        "data_manifest": "s3://bucket/runs/train_pumps/1/prepare_data/data_manifest.json",
        "git_commit": HOSTILE,
        "dag_id": "train_pumps",
        "run_id": "manual__1",
    }
    made = {**index()["versions"][1], "facts": facts, "metrics": {"auc": 0.83}, "gates": {"auc": ["≥ 0.85, missed"]}}
    s3.objects["index/pumps.json"] = json.dumps(index(versions=[made])).encode()
    file = {"key": f"raw/pumps/{HOSTILE}.csv", "bytes": 12345, "etag": "abc"}
    s3.objects["runs/train_pumps/1/prepare_data/data_manifest.json"] = json.dumps({"files": [file]}).encode()
    page = client.get("/model/pumps/version/2").text
    assert HOSTILE not in page
    assert "raw/pumps/&lt;script&gt;" in page
    assert "12,345" in page
    assert '<span class="bad">≥ 0.85, missed</span>' in page
    assert 'src="/model/pumps/files/runs/train_pumps/1/evaluate_model/evaluation/report.html"' in page
    assert 'href="/dags/train_pumps/runs/manual__1"' in page
    assert client.get("/model/pumps/version/9").status_code == 404


def test_the_packet_is_beside_the_decision(client: TestClient, airflow: FakeAirflow) -> None:
    key = "runs/deploy_pumps/manual__1-abc/prepare_promotion/packet.html"
    asked = {
        **QUESTION,
        "body": f"[The whole packet as a page](http://127.0.0.1/_local/s3/b/{key.replace('_1', '%5F1')})",
    }
    object.__setattr__(airflow, "questions", [asked])
    assert f'src="/model/pumps/files/{key}"' in client.get("/decisions").text


def test_days_of_failed_runs_are_those_that_they_were_about() -> None:
    runs = [
        {"dag_id": "score_pumps", "conf": {"day": "2026-11-01"}, "partition_key": "2026-11-09"},
        {"dag_id": "score_pumps", "conf": {}, "partition_key": "2026-11-02"},
        {"dag_id": "score_pumps", "conf": None, "data_interval_start": "2026-11-03T00:00:00Z"},
        {"dag_id": "train_pumps", "conf": None, "data_interval_start": None},
    ]
    assert _days(runs) == {"score_pumps": ["2026-11-01", "2026-11-02", "2026-11-03"]}


def test_costs_are_summed_by_model_dag_and_kind(
    client: TestClient, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.overview, "today", lambda: date(2026, 11, 29))
    job = {"dag_id": "train_pumps", "kind": "training", "seconds": 1800, "usd": 0.25}
    s3.objects["production/pumps/costs/2026-11.json"] = json.dumps({"a": job, "b": job}).encode()
    page = client.get("/costs").text
    assert "2 jobs, 0.50 USD" in page
    assert "train_pumps" in page
    assert "Nothing of 2026-10 is recorded" in client.get("/costs?month=2026-10").text
    assert "0.50" in client.get("/").text


def test_the_list_says_how_endpoints_do_today(client: TestClient) -> None:
    page = client.get("/").text
    assert "p99 42 ms, 3 errors of 1,200" in page
    assert "In service" in page


SHOWN = {
    "key": ["pump", "at"],
    "entity": ["pump"],
    "of": 3,
    "rows": [["7", "2026-11-28 01:00:00", "1", 0.9], [HOSTILE, "", "0", 0.2], ["7", "2026-11-28 00:00:00", "0", 0.1]],
    "reasons": [[{"feature": "age", "value": HOSTILE, "contribution": 0.5}], None],
}


@pytest.fixture
def shown(s3: FakeS3, scored: None) -> None:
    manifest = {**MANIFEST, "shown": "scores/pumps/date=2026-11-28/_rows.json.gz"}
    s3.objects["scores/pumps/date=2026-11-28/_SUCCESS.json"] = json.dumps(manifest).encode()
    s3.objects[str(manifest["shown"])] = gzip.compress(json.dumps(SHOWN).encode())


def test_a_day_shows_its_highest_risks_with_reasons(client: TestClient, shown: None) -> None:
    page = client.get("/model/pumps/day/2026-11-28").text
    assert HOSTILE not in page
    assert "(+0.5)" in page
    assert 'href="/model/pumps/rows?pump=7"' in page


def test_a_row_has_a_history_by_the_key_that_stays(client: TestClient, shown: None) -> None:
    assert "Show its answers" in client.get("/model/pumps/rows").text
    page = client.get("/model/pumps/rows?pump=7").text
    assert page.index("2026-11-28 01:00:00") < page.index("2026-11-28 00:00:00")
    assert "2 rows of the last 1 scored days" in page
    assert "None of the last 1 scored days has such a row" in client.get("/model/pumps/rows?pump=8").text
    assert HOSTILE not in client.get("/model/pumps/rows", params={"pump": HOSTILE}).text
    assert client.get("/model/absent/rows?pump=7").status_code == 404


def test_the_console_looks_as_reports_do() -> None:
    ours = Path(console.__file__).parent / "assets" / "page.css"
    assert ours.read_text() == (ROOT / "include/models/page.css").read_text(), (
        "cp include/models/page.css plugins/model_console/assets/"
    )
