"""Whatever is sent, the answer is 200 or a 4xx with a reason: never a 5xx."""

from __future__ import annotations

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
    """Adds up the numbers of a row."""

    def predict(self, model: Any, features: pl.DataFrame) -> Any:
        return features.select(pl.sum_horizontal("volt", "age")).to_series().to_numpy()


METADATA = {"model": "toy", "classes": [], "ignored_columns": ["id"], "text_columns": ["site"]}
LOADED = LoadedModel(METADATA, ["volt", "site", "age"], None, cast(Estimator, Sum()))
TEXTS = st.text(st.characters(), max_size=5)  # lone surrogates too
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
