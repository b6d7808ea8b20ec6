"""Reasons are the largest contributions, survive CSV, and are given for the riskiest rows however a day is cut."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from include.jobs.serving import reasons as why
from include.jobs.serving.payload import CSV, JSON, JSONLINES, asks_why
from include.models.interface import Contributions

FOUND = Contributions(
    ["temp, °C", "kind", "b"],
    np.array([[1.5, 0.0, np.nan], [2.25, 1.0, 3.0]]),
    np.array([[0.5, -2.0, 0.1, 7.0], [0.1, 0.2, -0.3, 7.0]]),
)
TEXTS = pl.DataFrame({"kind": ['a "b", c&d=e:f', None], "b": [None, 3.0]})


def test_the_largest_come_first_with_the_features_value() -> None:
    found = why.reasons(FOUND, TEXTS, 2)
    assert found[0] == [
        {"feature": "kind", "value": 'a "b", c&d=e:f', "contribution": -2.0},
        {"feature": "temp, °C", "value": "1.5", "contribution": 0.5},
    ]
    assert [one["feature"] for one in found[1]] == ["b", "kind"]
    assert found[1][1]["value"] is None


def test_a_cell_needs_no_quotes_and_is_read_as_it_was() -> None:
    given = [*why.reasons(FOUND, TEXTS, 3), None]
    cells = why.as_cells(pl.Series(given, dtype=why.DTYPE)).to_list()
    assert not any(set(cell) & set('",\n ') for cell in cells)
    back = [json.loads(text) if text else None for text in why.from_cells(cells).to_list()]
    assert back == given


@pytest.mark.parametrize("cut", [1, 3, 7, 40])
def test_the_same_rows_are_explained_however_a_day_is_cut(cut: int) -> None:
    risks = np.random.default_rng(0).integers(0, 12, size=40) / 12
    whole = why.most_risky(risks, 9, above=0.3)
    assert 0 < whole.sum() <= 9
    parts = np.concatenate([why.most_risky(part, 9, above=0.3) for part in np.array_split(risks, cut)])
    assert np.array_equal(parts & (risks > why.limit(risks, 9)), whole)


def test_risk_is_of_all_classes_but_the_first_or_the_value() -> None:
    frame = pl.DataFrame({"none": [0.5], "a": [0.3], "b": [0.2], "value": [4.0]})
    assert why.risks_of(frame, ["none", "a", "b"]).tolist() == [0.5]
    assert why.risks_of(frame, ["value"]).tolist() == [4.0]


@pytest.mark.parametrize(
    ("body", "kind", "accept", "asks"),
    [
        (b"1,2", CSV, "text/csv; explain=true", True),
        (b"1,2", CSV, "text/csv;q=0.9, application/json;Explain=True", True),
        (b"1,2", CSV, "text/csv", False),
        (b'{"instances": [[1]], "explain": true}', JSON, "", True),
        (b'{"instances": [[1]], "explain": false}', JSON, "", False),
        (b'{"explain": 1}', JSON, "", False),
        (b'{"explain": true}', JSONLINES, "", False),
    ],
)
def test_who_asks(body: bytes, kind: str, accept: str, asks: bool) -> None:
    assert asks_why(body, kind, accept) == asks
