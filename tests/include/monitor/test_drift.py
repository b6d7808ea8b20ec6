"""Drift from counts: what chance gives is no drift, what moved is, and people see which feature and where to."""

from __future__ import annotations

from typing import Any

import pytest

from include.models.config import ModelConfig, Monitoring, load_model
from include.monitor.drift import Drift, DriftError, measure
from include.monitor.verdict import Judged, page

MODEL = load_model("tabular_classifier")
TEN = {"edges": list(range(1, 10)), "shares": [0.1] * 10, "min": 0, "max": 10, "missing": 0.0}
KIND = {"values": ["L", "M"], "shares": [0.6, 0.3], "missing": 0.1}
PROFILE = {"torque": TEN, "kind": KIND}
EVEN = [0, *[100] * 10, 0, 0]  # rows of torque: below, ten bins, above, without
USUAL = [540, 270, 90, 100]  # of kind: L, M, any other, without


def watched(**settings: Any) -> ModelConfig:
    return MODEL.model_copy(update={"monitoring": Monitoring(**settings)})


def verdict(drift: Drift) -> str:
    return Judged(drift).verdict


def day(torque: list[int] = EVEN, kind: list[int] = USUAL, predictions: dict[str, float] | None = None) -> Any:
    features = {"torque": torque, "kind": kind}
    return {"rows": sum(torque), "features": features, "predictions": predictions or {"0": 970, "1": 30}}


def test_the_same_shares_are_no_drift() -> None:
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-04": day(), "2026-01-05": day()})
    assert [feature.psi for feature in drift.features] == [0, 0]
    assert (verdict(drift), drift.rows, drift.drifted) == ("fine", 2000, [])
    told = "no feature has drifted in 2,000 rows of 2 days up to 2026-01-05, scored by version 3"
    assert told in Judged(drift).summary


def test_a_feature_that_moved_is_named_with_where_to() -> None:
    moved = day(torque=[0, *[0] * 5, *[200] * 5, 0, 0])
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": moved})
    assert verdict(drift) == "drift without harm"
    assert [feature.name for feature in drift.drifted] == ["torque"]
    assert drift.features[0].name == "torque"
    assert "drift without harm on 2026-01-05: torque (" in Judged(drift).summary


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
    assert verdict(drift) == "fine"


def test_few_rows_are_not_judged() -> None:
    moved = {"2026-01-05": day(torque=[0, *[0] * 5, *[20] * 5, 0, 0])}
    drift = measure(watched(min_rows=500), 3, PROFILE, "2026-01-05", moved)
    assert verdict(drift) == "too little to say"
    assert "500 are needed" in Judged(drift).summary


def test_days_without_a_row_are_shown_and_not_judged() -> None:
    empty = {"rows": 0, "features": {}, "predictions": {"sum": 0.0}}
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": empty})
    assert (verdict(drift), list(drift.features)) == ("too little to say", [])
    assert "No row was scored" in page(Judged(drift))
    assert measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-04": day(), "2026-01-05": empty}).rows == 1000


def test_ignored_features_and_the_number_that_makes_a_drift() -> None:
    moved = {"2026-01-05": day(torque=[0, *[0] * 5, *[200] * 5, 0, 0])}
    ignored = measure(watched(ignored=["torque"]), 3, PROFILE, "2026-01-05", moved)
    assert (verdict(ignored), ignored.features[-1].name, ignored.features[-1].state) == ("fine", "torque", "ignored")
    assert verdict(measure(watched(drifted_features=2), 3, PROFILE, "2026-01-05", moved)) == "fine"
    with pytest.raises(DriftError, match=r"monitoring.ignored names wind; the features of version 3 are torque, kind"):
        measure(watched(ignored=["wind"]), 3, PROFILE, "2026-01-05", moved)


def test_the_page_shows_features_and_predictions() -> None:
    moved = day(torque=[0, *[0] * 5, *[200] * 5, 0, 0], predictions={"0": 900, "<b>": 100})
    html = page(Judged(measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": moved})))
    assert "tabular_classifier on 2026-01-05: drift without harm" in html
    assert "torque" in html
    assert "&lt;b&gt;" in html, "what is data is escaped"
    assert "0.9" in html


def test_a_regressions_mean_is_shown() -> None:
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": day(predictions={"sum": 9500.0})})
    assert drift.predictions() == [("2026-01-05", 1000, {"mean": 9.5})]


def reference(**more: Any) -> Any:
    """Twelve windows of training, of which torque lies now lower, now higher."""
    swing = [[0, *[100 + 6 * (number % 3 - 1)] * 5, *[100 - 6 * (number % 3 - 1)] * 5, 0, 0] for number in range(12)]
    windows = [{"rows": 1000, "features": {"torque": torque, "kind": USUAL}} for torque in swing]
    return {"timed": True, "days": {}, "segments": {}, "windows": windows, "answers": [], "calibration": None, **more}


def test_a_feature_may_swing_as_it_did_in_training_and_no_further() -> None:
    swing = {"2026-01-05": day(torque=[0, *[106] * 5, *[94] * 5, 0, 0])}
    further = {"2026-01-05": day(torque=[0, *[125] * 5, *[75] * 5, 0, 0])}
    usual = measure(watched(), 3, PROFILE, "2026-01-05", swing, reference())
    moved = measure(watched(), 3, PROFILE, "2026-01-05", further, reference())
    assert (verdict(usual), verdict(moved)) == ("fine", "drift without harm")
    assert moved.features[0].allowed < 0.1, "a fixed bound of .25 would not have seen it"
    assert verdict(measure(watched(max_psi=0.25), 3, PROFILE, "2026-01-05", further, reference())) == "fine"


def test_few_rows_and_rows_of_groups_may_swing_further() -> None:
    def allowed(rows: int, **more: Any) -> float:
        counts = {"2026-01-05": day(torque=[0, *[rows // 10] * 10, 0, 0])}
        found = measure(watched(), 3, PROFILE, "2026-01-05", counts, reference(**more))
        return next(feature.allowed for feature in found.features if feature.name == "torque")

    assert allowed(100) > 2 * allowed(1000) > allowed(1000) > allowed(100_000)
    assert allowed(1000, design={"torque": 4.0}) > 2 * allowed(1000)


def test_a_class_that_is_predicted_no_more_is_a_drift_that_no_index_shows() -> None:
    none_any_more = day() | {"answers": [[[1000]], [[0]]]}
    known = reference(answers=[[[[980]], [[20 + number % 3]]] for number in range(12)])
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": none_any_more}, known)
    assert verdict(drift) == "drift without harm"
    assert drift.moved == ["'1' is predicted 0 times, where 21 are usual"]
