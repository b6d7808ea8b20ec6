"""Drift from counts: chance is not drift, real shifts are, and the page shows which feature moved and how."""

from __future__ import annotations

import re
from datetime import date, timedelta
from math import cos, pi, sqrt
from typing import Any

import pytest

from include.models.config import ModelConfig, Monitoring, load_model
from include.models.config.monitoring import GREAT
from include.monitor.drift import Drift, DriftError, Feature, measure, missing_features
from include.monitor.verdict import Judged, page, volumes_of

MODEL = load_model("tabular_classifier")
DAY = "2026-01-05"
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


def test_the_same_shares_are_not_drift() -> None:
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


def of_year(until: str, days: int = 364) -> Any:
    """Windows of a version whose torque moves from the lowest bins in January to the highest in July, and back."""
    first = date.fromisoformat(until) - timedelta(days=days)
    windows = []
    for number in range(days // 7):
        newest = first + timedelta(days=7 * number + 6)
        windows.append({"rows": 1000, "features": {"torque": in_season(newest), "kind": USUAL}, "until": str(newest)})
    return {"windows": windows, "answers": []}


def in_season(day: date) -> list[int]:
    """Three adjacent bins of ten."""
    middle = 4.5 - 3 * cos(2 * pi * day.timetuple().tm_yday / 365)
    shares = [max(0.0, 1 - abs(number - middle) / 2) + 0.05 for number in range(10)]
    return [0, *[round(1000 * share / sum(shares)) for share in shares], 0, 0]


def test_a_window_is_compared_with_the_same_season_of_training() -> None:
    def judged(torque: list[int], reference: Any) -> Feature:
        found = measure(watched(), 3, PROFILE, DAY, {DAY: day(torque=torque)}, reference).features
        return next(one for one in found if one.name == "torque")

    january, july = in_season(date(2026, 1, 5)), in_season(date(2026, 7, 5))
    known = of_year("2026-01-01")
    assert judged(january, known).state == "stable"
    summer = judged(july, known)
    assert (summer.state, summer.in_season) == ("drifted", True)
    assert judged(july, of_year("2026-01-01", days=280)).state == "stable", "less than a year has no seasons"
    windows = known["windows"]
    others = [one for one in windows if one["until"][5:7] not in ("12", "01")]
    few = {**known, "windows": [windows[0], *others, windows[-1]]}
    assert judged(july, few).state == "stable", "two windows do not describe a season"
    undated = {**known, "windows": [{key: one[key] for key in ("rows", "features")} for one in known["windows"]]}
    assert judged(july, undated).state == "stable", "an older version's windows have no date"


def test_few_rows_are_not_judged() -> None:
    moved = {"2026-01-05": day(torque=[0, *[0] * 5, *[20] * 5, 0, 0])}
    drift = measure(watched(min_rows=500), 3, PROFILE, "2026-01-05", moved)
    assert verdict(drift) == "too little to say"
    assert "500 are needed" in Judged(drift).summary


def test_days_without_a_row_are_shown_and_not_judged() -> None:
    empty = {"rows": 0, "features": {}, "predictions": {"sum": 0.0}}
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": empty})
    assert (verdict(drift), list(drift.features)) == ("too little to say", [])
    assert "No rows were scored" in page(Judged(drift))
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
    assert "&lt;b&gt;" in html, "data is escaped"
    assert "0.9" in html


def test_the_page_shows_what_is_usual_of_answers_and_raw_tables() -> None:
    table = {"rows": 0, "total": 0, "digest": 0, "hours": [], "missing": {}, "numbers": {}, "values": {}}
    known = {"timed": True, "days": {str(n): {"machines": {**table, "rows": 1000 + n}} for n in range(3)}}
    answers = [[[960] + [0] * 9, [960] + [0] * 9], [[40] + [0] * 9, [40] + [0] * 9]]
    whole: Any = {**known, "windows": [], "answers": [answers]}
    days = {DAY: {**day(), "tables": {"machines": {**table, "rows": 17}}}}
    drift = measure(watched(), 3, PROFILE, DAY, days, whole)
    assert drift.usual == {"0": 0.96, "1": 0.04}
    html = page(Judged(drift, volumes=volumes_of(whole, days)))
    assert "1,001 (1,000 to 1,002)" in html
    assert "<td>17</td>" in html
    assert "<td>test split</td><td></td><td>0.96</td><td>0.04</td>" in html


def test_a_feature_without_values_is_a_fault_even_if_it_may_drift() -> None:
    known: Any = reference()
    assert missing_features(PROFILE, known, day()) == []
    (fault,) = missing_features(PROFILE, known, day(kind=[0, 0, 0, 1000]))
    assert str(fault) == "features.kind: no value in 100.0% of 1,000 rows; in no window of training in more than 10.0%"
    assert missing_features(PROFILE, known, day(torque=[0, *[2] * 10, 0, 0], kind=[0, 0, 0, 20])) == [], "too few rows"


def test_a_regressions_mean_is_shown() -> None:
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": day(predictions={"sum": 9500.0})})
    assert drift.predictions() == [("2026-01-05", 1000, {"mean": 9.5})]


def reference(**more: Any) -> Any:
    """Twelve windows of training, with torque sometimes lower and sometimes higher."""
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


def test_in_a_short_window_of_rows_that_come_together_empty_bins_say_less() -> None:
    def psi(swing: int, rows: int) -> float:
        """Of a window without every other bin, where a bin's rows differ by so many from each of training's windows to
        the next."""
        torque = [[0, *[100 + swing * (-1) ** (number + place) for place in range(10)], 0, 0] for number in range(8)]
        known = reference(windows=[{"rows": 1000, "features": {"torque": one, "kind": USUAL}} for one in torque])
        half = {DAY: day(torque=[0, *[rows // 5, 0] * 5, 0, 0])}
        found = measure(watched(), 3, PROFILE, DAY, half, known).features
        return next(one.psi for one in found if one.name == "torque")

    assert psi(5, 100) > 1.5
    assert psi(50, 100) < 1 < psi(50, 1000) == psi(5, 1000), (
        "of whole windows, training's show how often bins are empty"
    )


def test_a_class_that_is_predicted_no_more_is_a_drift_that_no_index_shows() -> None:
    none_any_more = day() | {"answers": of_classes(1000, 0)}
    known = reference(answers=[of_classes(980, 20 + number % 3) for number in range(12)])
    drift = measure(watched(), 3, PROFILE, "2026-01-05", {"2026-01-05": none_any_more}, known)
    assert verdict(drift) == "drift without harm"
    assert drift.moved == ["'1' is predicted 0 times, where 21 are usual"]


def test_a_model_without_the_section_is_not_measured() -> None:
    with pytest.raises(DriftError, match="has no section 'monitoring'"):
        measure(MODEL.model_copy(update={"monitoring": None}), 3, PROFILE, DAY, {DAY: day()})


def test_as_many_rows_as_are_needed_are_enough_and_an_index_at_its_bound_is_no_drift() -> None:
    moved = {DAY: day(torque=[0, *[0] * 5, *[200] * 5, 0, 0])}
    assert measure(watched(min_rows=1000), 3, PROFILE, DAY, moved).has_drifted
    assert not measure(watched(min_rows=1001), 3, PROFILE, DAY, moved).has_drifted
    slight = {DAY: day(torque=[0, *[110] * 5, *[90] * 5, 0, 0])}
    psi = measure(watched(), 3, PROFILE, DAY, slight).features[0].psi
    assert [one.state for one in measure(watched(max_psi=psi), 3, PROFILE, DAY, slight).features] == ["stable"] * 2


def test_two_windows_of_training_make_a_bound_and_one_does_not() -> None:
    def allowed(windows: int, **settings: Any) -> float:
        known = reference()
        known["windows"] = known["windows"][:windows]
        return measure(watched(**settings), 3, PROFILE, DAY, {DAY: day()}, known).features[0].allowed

    assert (allowed(1), allowed(0)) == (GREAT, GREAT)
    assert allowed(2) != GREAT
    assert allowed(2, max_psi=0.1) == allowed(1, max_psi=0.1) == 0.1


def test_a_bound_is_what_training_reached_and_what_chance_adds() -> None:
    """Of windows that are as the profile is: of ten bins, as no row of training lay outside or was missing."""
    known = reference(windows=[{"rows": 1000, "features": {"torque": EVEN, "kind": USUAL}}] * 4)
    torque = measure(watched(), 3, PROFILE, DAY, {DAY: day(torque=[0, *[50] * 10, 0, 0])}, known)
    bins, trained, rows, usual = 10, 4000, 500, 1000
    by_chance = (bins + 4 * sqrt(2 * bins)) * (1 / rows + 1 / trained) - bins / rows
    found = next(feature.allowed for feature in torque.features if feature.name == "torque")
    assert found == pytest.approx(2 * bins / trained * usual / rows + 0.01 + by_chance)


def test_only_the_first_five_features_that_drifted_are_named() -> None:
    moved = [Feature(f"f{number}", 0.5, 0.25, "drifted", []) for number in range(7)]
    drift = Drift(watched(), 3, DAY, {DAY: day()}, moved[:5])
    assert drift.told.endswith("f4 (0.50, 0.25 is allowed)")
    assert drift.window == "1,000 rows of 2026-01-05, scored by version 3"
    assert Drift(watched(), 3, DAY, {}, moved, ["'1' is gone"]).told.endswith("allowed), 2 more features, '1' is gone")
    assert Drift(watched(), 3, DAY, {}, moved[:6]).told.endswith("allowed), 1 more feature")
    one = {"rows": 1, "features": {}, "predictions": {}}
    assert Drift(watched(), 3, DAY, {DAY: one}, []).window == "1 row of 2026-01-05, scored by version 3"


def of_classes(first: int, second: int) -> Any:
    """Rows by predicted class, of one bin of its probability."""
    return [[[first], [first]], [[second], [second]]]


def predicted(found: Any, windows: list[Any], model: ModelConfig | None = None) -> list[str]:
    profile = day() | ({"answers": found} if found else {})
    return list(measure(model or watched(), 3, PROFILE, DAY, {DAY: profile}, reference(answers=windows)).moved)


@pytest.mark.parametrize(
    ("second", "moved"),
    [
        (500, False),  # the bound is half as many as usual, or twice as many
        (499, True),
        (2000, False),
        (2001, True),
    ],
)
def test_a_class_has_moved_with_less_than_half_or_more_than_twice_its_rows(second: int, moved: bool) -> None:
    usual = [of_classes(99_000 + swing, 1000 - swing) for swing in (-1, 0, 1)]
    said = [f"'1' is predicted {second:,} times, where 1,000 are usual"] if moved else []
    assert predicted(of_classes(100_000 - second, second), usual) == said


def test_rows_of_a_class_that_come_together_scatter_more() -> None:
    windows = [of_classes(980, 18 + 3 * (number % 2)) for number in range(8)]
    none = {DAY: day() | {"answers": of_classes(1000, 0)}}
    for design, moved in ((1.0, True), (12.0, False)):
        known = reference(answers=windows, answer_design=[1.0, design])
        assert bool(measure(watched(), 3, PROFILE, DAY, none, known).moved) is moved


def test_a_class_that_chance_or_the_weeks_of_training_explain_has_not_moved() -> None:
    rare = [of_classes(999, number) for number in (1, 0, 1, 2, 1)]
    assert predicted(of_classes(997, 3), rare) == [], "three times as many, but only one row"
    swings = [of_classes(100_000 - rows, rows) for rows in (200, 1000, 3000, 1000)]
    assert predicted(of_classes(97_000, 3000), swings) == [], "one week of training had as many"


def test_classes_are_those_of_the_version_also_after_model_yaml_has_changed() -> None:
    usual, gone = [of_classes(980, 20)] * 4, {DAY: day() | {"answers": of_classes(1000, 0)}}

    def moved(classes: list[str] | None, of_version: tuple[str, ...] = ()) -> list[str]:
        model = watched()
        model = model.model_copy(update={"data": model.data.model_copy(update={"classes": classes})})
        return list(measure(model, 3, PROFILE, DAY, gone, reference(answers=usual), of_version).moved)

    said = "'{}' is predicted 0 times, where 20 are usual"
    assert moved(["ok", "worn", "failed"], ("ok", "failed")) == [said.format("failed")]
    assert moved(["failed", "ok"], ("ok", "failed")) == [said.format("failed")], "in the version's order"
    assert moved(["ok", "worn", "failed"]) == moved(None) == [said.format("class 1")], "an older version's are unknown"


def test_a_model_that_is_less_sure_of_the_same_answers_has_moved() -> None:
    def sure(*rows: int) -> Any:
        """Rows of one class by the bin of its probability."""
        return [[[*rows], [*rows]], [[0] * len(rows), [0] * len(rows)]]

    usual = [sure(0, 95 + swing, 300, 600 - swing, 5) for swing in (-4, 0, 4, 8)]
    assert predicted(sure(0, 101, 300, 594, 5), usual) == []
    (moved,) = predicted(sure(90, 400, 300, 210, 0), usual)
    assert re.fullmatch(r"the confidence \(0\.\d\d, 0\.0\d is allowed\)", moved)


def test_one_window_of_training_or_a_day_without_predictions_shows_no_move() -> None:
    gone = of_classes(1000, 0)
    assert predicted(gone, [of_classes(900, 100)]) == []
    assert predicted(gone, [of_classes(900, 100), None]) == []
    assert predicted(gone, [of_classes(900, 100)] * 2) == ["'1' is predicted 0 times, where 100 are usual"]
    assert predicted(None, [of_classes(900, 100)] * 2) == []
    assert predicted(of_classes(900, 100), [of_classes(900, 100), of_classes(0, 0)] * 2) == []


def test_predicted_values_move_as_a_whole() -> None:
    values = load_model("abalone_age").model_copy(update={"monitoring": Monitoring()})
    usual = [[100 + swing, 100 - swing, 100, 100] for swing in (-4, 0, 4, 2)]
    assert predicted([104, 96, 100, 100], usual, values) == []
    (said,) = predicted([200, 50, 50, 100], usual, values)
    assert said.startswith("the predicted values (0.")
    assert said.endswith(" is allowed)")
    assert predicted([200, 50, 50, 100], usual[:1], values) == [], "one window of training shows no usual swing"
    assert predicted([0, 0, 0, 0], usual, values) == [], "a day without rows"


def test_what_a_regression_predicts_is_shown_beside_the_test_splits_mean() -> None:
    values = load_model("abalone_age").model_copy(update={"monitoring": Monitoring()})
    days = {DAY: day(predictions={"sum": 4931.0})}
    drift = measure(values, 3, PROFILE, DAY, days, reference(answer_mean=4.5))
    made = page(Judged(drift))
    assert "<td>test split</td><td></td><td>4.5</td>" in made
    assert f"<td>{DAY}</td><td>1,000</td><td>4.931</td>" in made
    assert "Mean of the predicted values." in made
    older = page(Judged(measure(values, 3, PROFILE, DAY, days, reference())))
    assert "<td>test split</td>" not in older, "versions from before have no mean"
