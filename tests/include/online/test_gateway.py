"""Who may call, and what is logged about each request."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from include.models.errors import JobError
from include.online.app import application
from include.online.service import Service
from include.online.settings import Settings
from tests.include.online.conftest import MODEL

SETTINGS = Settings(model=MODEL, bucket="bucket")
URL = "http://127.0.0.1:8765"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:8765"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
def test_other_peoples_pages_are_kept_out(api: TestClient, headers: dict[str, str]) -> None:
    answer = api.post("/predict", json={"volt": 1}, headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_a_link_from_elsewhere_may_open_what_is_read(api: TestClient) -> None:
    fetch = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert api.get("/openapi.json", headers=fetch).status_code == 200


def test_with_keys_only_who_has_one_is_answered(service: Service) -> None:
    key = hashlib.sha256(b"open sesame").hexdigest()
    settings = replace(SETTINGS, api_keys={key: "plant-1"})
    with TestClient(application(settings, service), base_url=URL) as api:
        assert api.get("/ready").status_code == 200
        assert api.post("/predict", json={"volt": 1}).status_code == 401
        assert api.post("/predict", json={"volt": 1}, headers={"X-Api-Key": "guess"}).status_code == 401
        assert api.post("/predict", json={"volt": 1}, headers={"X-Api-Key": "open sesame"}).status_code == 200
        bearer = {"Authorization": "Bearer open sesame"}
        assert api.post("/predict", json={"volt": 1}, headers=bearer).status_code == 200


def test_behind_a_proxy_that_checks_signatures_nobody_else_can_name_a_caller(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    key = hashlib.sha256(b"open sesame").hexdigest()
    settings = replace(SETTINGS, api_keys={key: "proxy"}, auth="iam")
    caller, proxy = {"X-Caller-Arn": "arn:aws:iam::123456789012:role/plant"}, {"X-Api-Key": "open sesame"}
    with TestClient(application(settings, service), base_url=URL) as api:
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0"}
        for headers in ({}, caller, signed, {**signed, **caller}, proxy, {**proxy, "X-Caller-Arn": "me"}):
            assert api.post("/predict", json={"volt": 1}, headers=headers).status_code == 401, headers
        with caplog.at_level(logging.INFO, "online"):
            assert api.post("/predict", json={"volt": 1}, headers={**proxy, **caller}).status_code == 200
    assert json.loads(caplog.records[-1].message)["caller"] == caller["X-Caller-Arn"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "MODEL is not set"),
        ({"BACKEND": "remote"}, "BACKEND is 'remote'"),
        ({"HOST": "0.0.0.0"}, "answer everybody"),
        ({"HOST": "0.0.0.0", "AUTH": "iam"}, "AUTH=iam needs API_KEYS"),
        ({"AUTH": "IAM"}, "AUTH is 'IAM'"),
        ({"PORT": "http"}, "PORT is 'http'"),
        ({"API_KEYS": "me:mykey"}, "API_KEYS has an entry"),  # pragma: allowlist secret
    ],
)
def test_settings_that_cannot_be_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(JobError, match=words):
        Settings.from_environment({"MODEL": MODEL, "BUCKET": "b", **given} if given else {})


def test_each_request_has_an_id_a_line_and_its_numbers(api: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "online"):
        answer = api.post("/predict", json={"volt": 1}, headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine-1"
    line = json.loads(caplog.records[-1].message)
    assert (line["request_id"], line["path"], line["status"], line["rows"]) == ("mine-1", "/predict", 200, 1)
    told = api.get("/metrics").text
    assert 'online_requests_total{path="/predict",status="200"} 1.0' in told
    assert 'online_rows_total{version="7"} 1.0' in told


def test_while_nothing_is_loaded_it_is_alive_and_not_ready(service: Service) -> None:
    service.backend._serving = None  # type: ignore[attr-defined] # of the local one
    with TestClient(application(SETTINGS, service), base_url=URL) as api:
        assert api.get("/health").status_code == 200
        assert api.get("/ready").status_code == 503
        assert api.post("/predict", json={"volt": 1}).status_code == 503
