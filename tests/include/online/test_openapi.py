"""The page about the API: it is correct, access is limited, and it loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from include.jobs.serving.payload import CSV, JSON, JSONLINES
from include.online.app import application
from include.online.service import Service
from tests.include.online.test_gateway import SETTINGS, URL


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/events"])
def test_every_example_is_answered_as_its_page_says(api: TestClient, path: str) -> None:
    page = api.get("/openapi.json").json()
    about = page["paths"][path]["post"]
    content = about["requestBody"]["content"]
    assert list(content) == [JSON, CSV, JSONLINES]
    assert {*about["responses"]} == {"200", "400", "403", "413", "415", "500", "503"}
    examples = {JSON: [json.dumps(one["value"]) for one in content[JSON]["examples"].values()]}
    examples |= {kind: [content[kind]["example"]] for kind in (CSV, JSONLINES)}
    schema = about["responses"]["200"]["content"][JSON]["schema"]["$ref"].rsplit("/", 1)[-1]
    named = {*page["components"]["schemas"][schema]["properties"]}
    for kind, bodies in examples.items():
        for body in bodies:
            answer = api.post(path, content=body, headers={"Content-Type": kind})
            assert answer.status_code == 200, answer.text
            assert {*answer.json()} == named


def test_the_first_example_is_a_reading_with_its_errors_and_its_machine(api: TestClient) -> None:
    examples = api.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"][JSON]["examples"]
    reading = examples["one row"]["value"]
    assert reading["errorIDs"] == ["error1"]
    assert {"machineID", "datetime", "volt", "rotate", "pressure", "vibration", "model", "age"} < reading.keys()


def test_the_page_and_all_that_it_loads_is_the_services_own(api: TestClient) -> None:
    page = api.get("/docs")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)", page.text)
    assert len(loaded) == 3
    for path in loaded:
        assert api.get(path).status_code == 200, path
    assert "https://" not in page.text
    framed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    assert api.get("/docs", headers=framed).status_code == 403


def test_with_keys_a_browser_is_asked_for_one(service: Service) -> None:
    settings = replace(SETTINGS, api_keys={hashlib.sha256(b"open sesame").hexdigest(): "plant-1"})

    def basic(password: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}

    with TestClient(application(settings, service), base_url=URL) as api:
        for path in ("/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css", "/metrics"):
            answer = api.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic")
            assert api.get(path, headers=basic("guess")).status_code == 401
            assert api.get(path, headers={"Authorization": "Basic ?"}).status_code == 401
            assert api.get(path, headers=basic("open sesame")).status_code == 200
        page = api.get("/openapi.json", headers=basic("open sesame")).json()
        predict = page["paths"]["/predict"]["post"]
        [scheme] = page["components"]["securitySchemes"].values()
        assert (scheme["in"], scheme["name"]) == ("header", "X-Api-Key")
        assert predict["security"]
        assert "401" in predict["responses"]
