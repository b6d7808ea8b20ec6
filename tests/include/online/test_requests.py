"""Valid requests, and the messages for requests that cannot be answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from starlette.testclient import TestClient

from include.models.quoting import VARIABLE
from tests.include.online.conftest import Tables, until

READING = {"machineID": 3, "datetime": "2015-01-20 06:00:00", "volt": 170.5, "rotate": 440.1, "pressure": 99.0}
FULL = {**READING, "vibration": 40.25}
CSV = {"Content-Type": "text/csv"}
PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "requests.md"
NOT_SPELLED = {  # on the page
    "nothing": b"",
    "bytes that are not UTF-8": b"\xff\xfe",
    "100,000 opening brackets": b"[" * 100_000,
    "1,001 rows": json.dumps([FULL] * 1001).encode(),
}


def ask(api: TestClient, body: object, path: str = "/predict") -> Mapping[str, Any]:
    answer = api.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def refused(api: TestClient, body: object, status: int = 400) -> str:
    answer = api.post("/predict", **({"content": body} if isinstance(body, str | bytes) else {"json": body}))
    assert answer.status_code == status, answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    return str(answer.json()["error"])


def test_one_reading_with_its_errors_and_its_machine_is_a_whole_request(api: TestClient) -> None:
    row = {**FULL, "errorIDs": ["error1", "error3"], "model": "model3", "age": 18}
    found = ask(api, row)["predictions"][0]
    features = found["features"]
    assert (features["error1_count_24h"], features["error2_count_24h"], features["error3_count_24h"]) == (1, 0, 1)
    assert (features["model3"], features["age"], features["volt_mean_3h"]) == (1, 18, 170.5)
    assert found["machineID"] == 3
    assert found["label"] in found["probabilities"]
    assert found["known"]["telemetry"] == {"rows": 1, "newest": "2015-01-20T06:00:00", "age_hours": 0.0}


def test_a_reading_of_two_sensors_that_names_no_machine_and_no_time_is_answered_as_of_now(api: TestClient) -> None:
    found = ask(api, {"volt": 171.2, "rotate": 455})["predictions"][0]
    assert "machineID" not in found
    assert found["features"]["volt_mean_3h"] == 171.2
    assert found["features"]["pressure_mean_3h"] is None
    said = " ".join(found["notes"])
    for words in ("without a value: pressure, vibration", "no machineID was given", "no datetime was given"):
        assert words in said


def test_tables_ask_about_each_machine_as_of_its_last_reading(api: TestClient, fleet: Tables) -> None:
    moment = datetime(2015, 1, 20, 6)  # noqa: DTZ001 - as tables have it
    first, second = until(fleet, 1, moment, hours=30), until(fleet, 2, moment, hours=30)
    both = {name: [*first[name], *second[name]] for name in first}
    found = ask(api, both)["predictions"]
    assert [one["machineID"] for one in found] == [1, 2]
    assert ask(api, {"mode": "raw", "raw": both})["predictions"] == found
    earlier = ask(api, {**both, "at": "2015-01-20T03:00:00"})["predictions"]
    assert [one["datetime"] for one in earlier] == ["2015-01-20T03:00:00"] * 2
    alone = ask(api, until(fleet, 2, moment - timedelta(hours=3)))["predictions"][0]
    assert earlier[1]["features"] == alone["features"]


def test_rows_of_csv_are_each_answered_as_of_their_own_time_with_the_others_as_history(
    api: TestClient, fleet: Tables
) -> None:
    rows = until(fleet, 4, datetime(2015, 1, 20, 6), hours=24)["telemetry"]  # noqa: DTZ001
    answer = api.post("/predict", content=pl.DataFrame(rows).write_csv(), headers=CSV)
    assert answer.status_code == 200, answer.text
    found = answer.json()["predictions"]
    assert len(found) == len(rows)
    last = ask(api, {"telemetry": rows})["predictions"][0]
    assert found[-1]["features"] == last["features"]


def test_features_that_are_built_already_are_answered_as_an_endpoint_does(api: TestClient, fleet: Tables) -> None:
    raw = ask(api, until(fleet, 5, datetime(2015, 1, 21)))["predictions"][0]  # noqa: DTZ001
    for body in (raw["features"], [raw["features"]], {"records": [raw["features"]]}, [list(raw["features"].values())]):
        found = ask(api, body)["predictions"][0]
        assert found == {name: raw[name] for name in ("label", "probabilities")}
    line = ",".join("" if value is None else str(value) for value in raw["features"].values())
    answer = api.post("/predict", content=line, headers=CSV)
    assert answer.json()["predictions"][0]["label"] == raw["label"]


@pytest.mark.parametrize(
    "body",
    [
        {**FULL, "volt": "Miller"},
        {**FULL, "volt": ["Miller"]},
        {**FULL, "datetime": "Miller"},
        {**FULL, "machineID": "Miller"},
        {**FULL, "errorIDs": ["Miller"]},
        {"telemetry": [FULL], "at": "Miller"},
        {"telemetry": "Miller"},
    ],
)
def test_a_refusal_quotes_no_value_where_none_may_be(
    api: TestClient, body: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, "no")
    answer = api.post("/predict", json=body)
    assert answer.status_code == 400
    assert "Miller" not in answer.text + caplog.text


def documented(title: str) -> list[list[str]]:
    """The cells of the table below a heading of the page of requests."""
    section = PAGE.read_text(encoding="utf-8").split(f"## {title}\n")[1].split("## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize(("body", "answers", "notes"), documented("Answered"))
def test_what_the_page_says_is_answered_is(api: TestClient, body: str, answers: str, notes: str) -> None:
    found = api.post("/predict", content=body.strip("`"), headers={"Content-Type": "application/json"})
    assert found.status_code == 200, found.text
    predictions = found.json()["predictions"]
    assert len(predictions) == int(answers)
    assert "; ".join(predictions[0].get("notes", [])).startswith(notes.strip("`").partition(" …")[0])


@pytest.mark.parametrize(("body", "error"), documented("Refused"))
def test_what_the_page_says_is_refused_is_a_400_that_says_why(api: TestClient, body: str, error: str) -> None:
    sent = NOT_SPELLED[body] if body in NOT_SPELLED else body.strip("`").encode()
    said, start = refused(api, sent), error.strip("`")
    assert said.startswith(start.removesuffix("…")) if start.endswith("…") else said == start


def test_repeated_rows_count_once_and_are_said(api: TestClient) -> None:
    found = ask(api, [FULL, FULL])["predictions"]
    assert found[0]["features"] == found[1]["features"]
    assert "telemetry: 1 repeated row(s), counted once" in found[0]["notes"]


def test_of_many_rows_each_is_answered_by_itself(api: TestClient) -> None:
    rows = [{**FULL, "machineID": machine} for machine in range(1, 7)]
    rows[2] = {**rows[2], "volt": "high"}
    found = ask(api, rows, "/predict/batch")["predictions"]
    assert [("error" in one) for one in found] == [False, False, True, False, False, False]
    assert "'high'" in found[2]["error"]


def test_a_body_that_is_too_large_or_of_another_type_is_refused_with_its_status(api: TestClient) -> None:
    assert "larger than" in refused(api, b" " * (6 * 2**20 + 1), 413)
    answer = api.post("/predict", content="<a/>", headers={"Content-Type": "text/xml"})
    assert (answer.status_code, "not understood" in answer.json()["error"]) == (415, True)


def test_numbers_come_to_the_same_bits_whatever_spells_them(api: TestClient) -> None:
    spelled = '{"machineID": 3, "datetime": "2015-01-20 06:00:00", "volt": 176.217853015625, "rotate": "4.5e2"}'
    answer = api.post("/predict", content=spelled, headers={"Content-Type": "application/json"})
    features = answer.json()["predictions"][0]["features"]
    assert (features["volt_mean_3h"], features["rotate_mean_3h"]) == (176.217853015625, 450.0)
    assert json.loads(answer.text)["version"] == "7"


def test_who_asks_why_is_told_however_it_asks_and_others_are_not(api: TestClient) -> None:
    plain = ask(api, FULL)["predictions"][0]
    assert "reasons" not in plain
    named = api.get("/ready").json()["version"]
    asked = [
        ask(api, {**FULL, "explain": True}),
        ask(api, {"instances": [FULL], "explain": True}),
        ask(api, FULL, "/predict?explain=true"),
        ask(api, [FULL], "/predict/batch?explain=true"),
        dict(api.post("/predict", json=FULL, headers={"Accept": "application/json;explain=true"}).json()),
        ask(api, {"instances": [plain["features"]], "explain": True}),
    ]
    for one in asked:
        answer = one["predictions"][0]
        assert (one["version"], answer["label"], answer["probabilities"]) == (
            named, plain["label"], plain["probabilities"])  # fmt: skip
        assert answer["reasons"] == asked[0]["predictions"][0]["reasons"]
        assert answer["reasons"][0].keys() == {"feature", "value", "contribution"}
