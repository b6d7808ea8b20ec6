"""The rows of a day that the console shows."""

from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include.jobs.daily import shown_rows
from include.jobs.daily.shown_rows import write_shown
from include.models.quoting import VARIABLE

WHY = json.dumps([{"feature": "age", "value": "3", "contribution": 0.5}])


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    for part, likely in enumerate(([0.2, 0.9], [0.5, 0.1])):
        frame = pl.DataFrame(
            {
                "machine": [1 + 2 * part, 2 + 2 * part],
                "at": [datetime.fromisoformat("2015-06-01 12:00")] * 2,
                "prediction": ["yes" if one > 0.4 else "no" for one in likely],
                "probability_no": [1 - one for one in likely],
                "probability_yes": likely,
                "reasons": [WHY if one > 0.8 else None for one in likely],
            }
        )
        frame.write_parquet(tmp_path / f"shard-{part}.parquet")
    return tmp_path


def shown(scores: Path, columns: list[str]) -> dict[str, Any]:
    told = write_shown(scores, ["machine", "at"], columns, "prediction")
    assert told is not None
    content: dict[str, Any] = json.loads(gzip.decompress((scores / told["name"]).read_bytes()))
    return content


def test_the_highest_risks_come_first_with_their_reasons(scores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_rows, "MOST", 3)
    found = shown(scores, ["probability_no", "probability_yes"])
    noon = "2015-06-01 12:00:00"
    assert found["rows"] == [["2", noon, "yes", 0.9], ["3", noon, "yes", 0.5], ["1", noon, "no", 0.2]]
    assert found["reasons"] == [json.loads(WHY), None, None]
    assert (found["of"], found["key"], found["entity"]) == (4, ["machine", "at"], ["machine"])


def test_the_same_scores_give_the_same_file(scores: Path) -> None:
    first, second = (write_shown(scores, ["machine", "at"], ["probability_yes"], "prediction") for _ in range(2))
    assert first == second


def test_a_day_without_rows_and_values_that_must_not_be_shown(
    tmp_path: Path, scores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    assert write_shown(tmp_path / "empty", [], [], "prediction") is None
    monkeypatch.setenv(VARIABLE, "no")
    assert write_shown(scores, ["machine"], ["probability_yes"], "prediction") is None
