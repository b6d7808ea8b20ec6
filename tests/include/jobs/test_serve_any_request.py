"""Any request gets 200 with an answer for each row, or a 4xx with a reason; never a 5xx."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from include.jobs.serve import application
from include.jobs.serving.artifact import LoadedModel
from include.jobs.serving.payload import FORMATS
from include.models.interface import Estimator

LARGEST = 10_000


class Sum:
    """Adds the numbers of a row."""

    def predict(self, model: Any, features: pl.DataFrame) -> Any:
        return features.select(pl.sum_horizontal("volt", "age")).to_series().to_numpy()


METADATA = {"model": "toy", "classes": [], "ignored_columns": ["id"], "text_columns": ["site"]}
LOADED = LoadedModel(METADATA, ["volt", "site", "age"], None, cast(Estimator, Sum()))
TEXTS = st.text(st.characters(), max_size=5)  # including lone surrogates
CELLS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
ROWS = (
    st.lists(CELLS, max_size=4)
    | st.dictionaries(st.sampled_from(["volt", "site", "age", "id"]) | TEXTS, CELLS, max_size=4)
    | st.fixed_dictionaries({"volt": CELLS, "site": CELLS, "age": CELLS})
)
JSON_REQUESTS = st.one_of(
    ROWS, st.lists(ROWS, max_size=3), st.fixed_dictionaries({"instances": st.lists(ROWS) | CELLS})
)


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(application(LOADED, LARGEST), raise_server_exceptions=False)


def answered(client: TestClient, body: bytes, content_type: str) -> int | None:
    """The number of rows answered; None for a refusal."""
    answer = client.post("/invocations", content=body, headers={"Content-Type": content_type, "Accept": "text/csv"})
    if answer.status_code == 200:
        return len(list(csv.reader(io.StringIO(answer.text, newline=""))))
    assert answer.status_code == 400
    assert answer.json()["error"]
    return None


def ask(client: TestClient, body: bytes, content_type: str, accept: str = "application/json") -> int:
    answer = client.post("/invocations", content=body, headers={"Content-Type": content_type, "Accept": accept})
    if answer.status_code != 200:
        assert answer.json()["error"]
    return answer.status_code


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=JSON_REQUESTS, accept=st.sampled_from(FORMATS))
def test_any_json(client: TestClient, content: Any, accept: str) -> None:
    assert ask(client, json.dumps(content).encode(), "application/json", accept) in (200, 400)
    assert ask(client, json.dumps(content).encode(), "application/jsonlines", accept) in (200, 400)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=st.binary(max_size=100), content_type=st.sampled_from(FORMATS))
def test_any_bytes(client: TestClient, body: bytes, content_type: str) -> None:
    assert ask(client, body, content_type) in (200, 400)


VALUE = st.sampled_from(
    ["", "1", "-2.5", "1e3", "NaN", "x", "volt", "id", " ", '"', '""', '"a"', '"b', "c\u2028d", "\0"]
)
HEADER = st.none() | st.permutations(["volt", "site", "age", "id"]) | st.permutations(["volt", "site", "age"])
END = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n\r\n", ""])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(header=HEADER, table=st.lists(st.lists(VALUE, min_size=2, max_size=4), max_size=4), end=END, data=st.data())
def test_csv_has_as_many_answers_as_rows(
    client: TestClient, header: list[str] | None, table: list[list[str]], end: str, data: st.DataObject
) -> None:
    """Rows are counted by Python's reader, which knows neither header nor features."""
    between = data.draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
    body = between.join(",".join(cells) for cells in ([header] if header else []) + table) + end
    found = answered(client, body.encode(), "text/csv")
    if found is not None:
        lines = [cells for cells in csv.reader(io.StringIO(body, newline=""), strict=True) if cells]
        first = set(lines[0])
        assert found == len(lines) - (first in ({"volt", "site", "age", "id"}, {"volt", "site", "age"}))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(table=st.lists(ROWS, max_size=4), blank=st.sampled_from(["", "\n", "\r\n", "\n \n\n"]))
def test_json_has_as_many_answers_as_rows(client: TestClient, table: list[Any], blank: str) -> None:
    lines = "".join(f"{json.dumps(row)}\n" for row in table) + blank
    assert answered(client, lines.encode(), "application/jsonlines") in (None, len(table))
    whole = json.dumps({"instances": table}) + blank
    assert answered(client, whole.encode(), "application/json") in (None, len(table))


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n\r\n", "\n\r\n\n"])
@pytest.mark.parametrize("header", ["", "age,volt,site,id\n"])
def test_blank_last_lines_are_not_rows(client: TestClient, header: str, end: str) -> None:
    row = "1,2,x,7" if header else "2,x,1"
    assert answered(client, f"{header}{row}\n{row}{end}".encode(), "text/csv") == 2
    assert answered(client, f'{{"volt": 1, "site": "a", "age": 2}}{end}'.encode(), "application/jsonlines") == 1


@pytest.mark.parametrize(
    "body",
    [
        '{"instances": [[1, "x", 1], [2, "x", 2]], "instances": [[1, "x", 1]]}',
        '[{"volt": 1, "volt": 2, "site": "x", "age": 1}]',
        '{"instances": {"volt": [1, 2], "site": ["x", "y"], "age": [1, 2]}}',
    ],
)
def test_rows_that_json_itself_would_lose_are_refused(client: TestClient, body: str) -> None:
    assert answered(client, body.encode(), "application/json") is None
    assert answered(client, body.encode(), "application/jsonlines") is None


def test_a_model_that_answers_too_few_rows_is_a_failure() -> None:
    class Forgetful(Sum):
        def predict(self, model: Any, features: pl.DataFrame) -> Any:
            return super().predict(model, features)[1:]

    loaded = LoadedModel(METADATA, LOADED.feature_order, None, cast(Estimator, Forgetful()))
    client = TestClient(application(loaded, LARGEST), raise_server_exceptions=False)
    assert (
        client.post("/invocations", content="1,x,1\n2,x,1\n", headers={"Content-Type": "text/csv"}).status_code == 500
    )


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'[["a", "\\ud800", 1]]', "application/json", 400),
        (b'{"volt": 1, "site": "\\ud800", "age": 1}', "application/json", 400),
        (b'{"volt": 1, "site": "x", "age": 1, "\\ud800": 1}', "application/json", 400),
        (b"[[1" + b"0" * 5000 + b', "x", 1]]', "application/json", 400),
        (b"1" * 9000 + b",x,1\n", "text/csv", 400),
        (b"1" * (LARGEST + 1), "text/csv", 413),
        (b"1,x,1\n", "image/png", 415),
        (b"1,x,1\n", "text/csv", 200),
    ],
)
def test_odd_requests(client: TestClient, body: bytes, content_type: str, status: int) -> None:
    assert ask(client, body, content_type) == status


def test_a_failure_of_the_model_is_a_500_that_says_where_to_look() -> None:
    class Broken(Sum):
        def predict(self, model: Any, features: pl.DataFrame) -> Any:
            raise MemoryError("no room")

    broken = LoadedModel(METADATA, LOADED.feature_order, None, cast(Estimator, Broken()))
    client = TestClient(application(broken, LARGEST), raise_server_exceptions=False)
    answer = client.post("/invocations", content="1,x,1\n", headers={"Content-Type": "text/csv"})
    assert answer.status_code == 500
    assert answer.json()["error"].startswith("the model failed on this request: MemoryError.")
    assert client.get("/ping").status_code == 200


def test_intervals_of_a_regression_are_answered() -> None:
    class WithIntervals(Sum):
        def intervals(self, model: Any, features: pl.DataFrame) -> Any:
            values = self.predict(model, features)
            return np.column_stack([values - 1, values + 1])

    loaded = LoadedModel(METADATA, LOADED.feature_order, None, cast(Estimator, WithIntervals()))
    client = TestClient(application(loaded, LARGEST))
    sent = {"content": "1,x,2\n", "headers": {"Content-Type": "text/csv", "Accept": "application/jsonlines"}}
    assert client.post("/invocations", **sent).json() == {"value": 3.0, "interval": [2.0, 4.0]}
    assert client.post("/invocations", content="1,x,2\n", headers={"Content-Type": "text/csv"}).text == "3.0\n"
