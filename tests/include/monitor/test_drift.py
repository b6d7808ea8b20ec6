"""Drift from counts: what chance gives is no drift, what moved is, and people see which feature and where to."""

from __future__ import annotations

from typing import Any

import pytest

from include.models.config import ModelConfig, Monitoring, load_model
from include.monitor.drift import DriftError, measure, page

MODEL = load_model("tabular_classifier")
TEN = {"edges": list(range(1, 10)), "shares": [0.1] * 10, "min": 0, "max": 10, "missing": 0.0}
KIND = {"values": ["L", "M"], "shares": [0.6, 0.3], "missing": 0.1}
PROFILE = {"torque": TEN, "kind": KIND}
EVEN = [0, *[100] * 10, 0, 0]  # rows of torque: below, ten bins, above, without
USUAL = [540, 270, 90, 100]  # of kind: L, M, any other, without


def watched(**settings: Any) -> ModelConfig:
    return MODEL.model_copy(update={"monitoring": Monitoring(**settings)})


def day(torque: list[int] = EVEN, kind: list[int] = USUAL, predictions: dict[str, float] | None = None) -> Any:
    features = {"torque": torque, "kind": kind}
    return {"rows": sum(torque), "features": features, "predictions": predictions or {"0": 970, "1": 30}}


def test_the_same_shares_are_no_drift() -> None:
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-04": day(), "2026-01-05": day()})
    assert [feature.psi for feature in drift.features] == [0, 0]
    assert (drift.verdict, drift.rows, drift.drifted) == ("stable", 2000, [])
    assert "no feature has drifted in 2,000 rows of 2 days up to 2026-01-05, scored by version 3" in drift.summary


def test_a_feature_that_moved_is_named_with_where_to() -> None:
    moved = day(torque=[0, *[0] * 5, *[200] * 5, 0, 0])
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": moved})
    assert drift.verdict == "drifted"
    assert [feature.name for feature in drift.drifted] == ["torque"]
    assert drift.features[0].name == "torque"
    assert "drifted in 1,000 rows of 2026-01-05, scored by version 3: torque" in drift.summary


@pytest.mark.parametrize(
    "torque",
    [[0, *[80] * 10, 200, 0], [200, *[80] * 10, 0, 0], [0, *[50] * 10, 0, 500]],
    ids=["above", "below", "none"],
)
def test_what_training_has_not_seen_is_a_drift(torque: list[int]) -> None:
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": day(torque=torque)})
    assert [feature.name for feature in drift.drifted] == ["torque"]


def test_a_new_text_is_a_drift() -> None:
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": day(kind=[240, 170, 490, 100])})
    assert [feature.name for feature in drift.drifted] == ["kind"]
    assert drift.drifted[0].most_moved.name == "any other"


def test_a_window_adds_its_days_up() -> None:
    low, high = day(torque=[0, *[200] * 5, *[0] * 5, 0, 0]), day(torque=[0, *[0] * 5, *[200] * 5, 0, 0])
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-04": low, "2026-01-05": high})
    assert drift.verdict == "stable"


def test_few_rows_are_not_judged() -> None:
    moved = {"2026-01-05": day(torque=[0, *[0] * 5, *[20] * 5, 0, 0])}
    drift = measure(watched(min_rows=500), 3, PROFILE, "2026-01-05", moved)
    assert drift.verdict == "too few rows"
    assert "too few to judge (500 are needed)" in drift.summary


def test_days_without_a_row_are_shown_and_not_judged() -> None:
    empty = {"rows": 0, "features": {}, "predictions": {"sum": 0.0}}
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": empty})
    assert (drift.verdict, list(drift.features)) == ("too few rows", [])
    assert "No row was scored" in page(drift)
    assert measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-04": day(), "2026-01-05": empty}).rows == 1000


def test_ignored_features_and_the_number_that_makes_a_drift() -> None:
    moved = {"2026-01-05": day(torque=[0, *[0] * 5, *[200] * 5, 0, 0])}
    ignored = measure(watched(ignored=["torque"]), 3, PROFILE, "2026-01-05", moved)
    assert (ignored.verdict, ignored.features[-1].name, ignored.features[-1].state) == ("stable", "torque", "ignored")
    assert measure(watched(drifted_features=2), 3, PROFILE, "2026-01-05", moved).verdict == "stable"
    with pytest.raises(DriftError, match=r"monitoring.ignored names wind; the features of version 3 are torque, kind"):
        measure(watched(ignored=["wind"]), 3, PROFILE, "2026-01-05", moved)


def test_the_page_shows_features_and_predictions() -> None:
    moved = day(torque=[0, *[0] * 5, *[200] * 5, 0, 0], predictions={"0": 900, "<b>": 100})
    html = page(measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": moved}))
    assert "tabular_classifier on 2026-01-05: drifted" in html
    assert "torque" in html
    assert "&lt;b&gt;" in html, "what is data is escaped"
    assert "0.9" in html


def test_a_regressions_mean_is_shown() -> None:
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": day(predictions={"sum": 9500.0})})
    assert drift.predictions() == [("2026-01-05", 1000, {"mean": 9.5})]
