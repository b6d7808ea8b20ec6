"""Answers of an endpoint's shadow variant are compared with production's, request by request."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include.jobs.daily.challenger import FEATURE
from include.jobs.serving.payload import answers as answered_with
from include.jobs.serving.payload import render
from include.jobs.watching import shadowed as watching
from include.jobs.watching.captured import TrafficCounter
from include.jobs.watching.shadowed import by_variant, write_shadow
from include.models.config import ModelConfig, load_model
from tests.include.jobs.watching.test_captured import (
    CLASSES,
    DAY,
    FEATURES,
    PROBABILITIES,
    SINCE,
    YES,
    artifact,
    is_classifier,
    requests,
)

__all__ = ["artifact"]  # a fixture
RECENT = "2026/03/09/12"


def config_of(artifact: Path) -> ModelConfig:
    model = load_model("tabular_classifier" if is_classifier(artifact) else "abalone_age")
    classes = CLASSES if is_classifier(artifact) else None
    return model.model_copy(update={"data": model.data.model_copy(update={"classes": classes})})


def shadowed(artifact: Path) -> list[dict[str, Any]]:
    """The same requests, answered by another model: probabilities are a tenth lower, values a tenth higher."""
    found, made = requests(artifact), []
    for number, one in enumerate(found):
        some = slice(10 * number, 10 * number + 10)
        yes = PROBABILITIES[some].copy()
        yes[:, 1] *= 0.9
        yes[:, 0] = 1 - yes[:, 1]
        theirs = answered_with(yes, CLASSES) if is_classifier(artifact) else answered_with(YES[some] + 0.1, [])
        output = one["captureData"]["endpointOutput"]
        answer = {**output, "data": render(theirs, output["observedContentType"])}
        made.append({**one, "captureData": {**one["captureData"], "endpointOutput": answer}})
    return made


def keep(folder: Path, variant: str, records: list[Any]) -> Path:
    file = folder / "capture" / "m-production" / variant / RECENT / "a.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return file


def test_requests_that_both_answered_are_compared_row_by_row(artifact: Path, tmp_path: Path) -> None:
    own = keep(tmp_path, "AllTraffic", requests(artifact)[:40])
    theirs = keep(tmp_path, "Shadow-12", [*shadowed(artifact)[20:], None, {"captureData": {}}])
    assert by_variant([own, theirs]) == ([own], {12: [theirs]})
    reader = TrafficCounter.of(artifact, DAY, SINCE)
    assert write_shadow(config_of(artifact), reader, [own], [theirs], 12, tmp_path / "counted") == 200
    folder = tmp_path / "counted" / "version=12"
    found, rows = json.loads((folder / "shadow.json").read_text()), pl.read_parquet(folder / "shadow.parquet")
    assert found["rows"] == len(rows) == 200
    assert rows[f"{FEATURE}volt"].to_list() == pytest.approx(FEATURES["volt"][200:400].to_list())
    yes = YES[200:400]
    if is_classifier(artifact):
        assert found["agreed"] == pytest.approx(1 - ((yes > 0.5) & (0.9 * yes < 0.5)).mean())
        assert found["apart"] == pytest.approx(0.1 * yes.mean(), abs=1e-6)
    else:
        assert (found["agreed"], found["apart"]) == (None, pytest.approx(0.1))
    first = found["changes"][0]
    assert first["key"].startswith("request=2026-03-09T12:00:00Z, row ")


def test_requests_of_the_day_before_do_not_count_among_the_most_that_are_compared(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "MOST", 20)
    yesterday = requests(artifact, datetime(2026, 3, 8, 23, 59, tzinfo=UTC))
    own = keep(tmp_path, "AllTraffic", [*yesterday, *requests(artifact)])
    theirs = keep(tmp_path, "Shadow-12", [*yesterday, *shadowed(artifact)])
    reader = TrafficCounter.of(artifact, DAY, SINCE)
    assert write_shadow(config_of(artifact), reader, [own], [theirs], 12, tmp_path / "counted") == 200


def test_a_shadow_that_answered_nothing_of_use_says_so(artifact: Path, tmp_path: Path) -> None:
    own = keep(tmp_path, "AllTraffic", requests(artifact)[:5])
    theirs = keep(tmp_path, "Shadow-3", shadowed(artifact)[5:9])
    reader = TrafficCounter.of(artifact, DAY, SINCE)
    for files, why in (([theirs], "4 of its answers were kept, to none of the requests"), ([], "answered no request")):
        assert write_shadow(config_of(artifact), reader, [own], files, 3, tmp_path) == 0
        assert why in json.loads((tmp_path / "version=3" / "shadow.json").read_text())["failed"]
