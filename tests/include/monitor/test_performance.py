"""When labels show that a model has become worse, and when they do not."""

from __future__ import annotations

from typing import Any

import pytest

from include.models.config import Monitoring, load_model
from include.monitor.performance import (
    FEWEST_SAMPLED,
    FEWEST_UNITS,
    Realised,
    in_words,
    performance_of,
    worst_first,
)
from include.platform.pages import short

MODEL = load_model("electricity")
MARKET_DAY: Any = {"rows": 336, "features": {}, "predictions": {}, "answers": []}
EVALUATION: Any = {"metrics": {"accuracy": 0.87}, "intervals": {"accuracy": [0.85, 0.89]}, "champion": None}


def window(value: float, around: float = 0.02, labelled: int = 336, sampled: Any = None, evidence: int = 7) -> Any:
    return {
        "days": ["2026-01-04", "2026-01-05"],
        "rows": 336,
        "labelled": labelled,
        "evidence": evidence,
        "metrics": {"accuracy": value},
        "intervals": {"accuracy": [value - around, value + around]},
        "sampled": sampled,
    }


def found(realised: Realised | None, reference: Any = None) -> Any:
    return performance_of(MODEL, reference, {"2026-01-05": MARKET_DAY}, realised, EVALUATION)


@pytest.mark.parametrize(
    ("value", "around", "scored", "loss"),
    [
        (0.87, 0.02, 336, None),
        (0.845, 0.02, 336, None),  # less than max_loss
        (0.8435, 0.02, 336, None),  # although it is more as a share of the evaluation's value
        (0.83, 0.02, 336, "realised"),
        (0.83, 0.06, 336, "realised"),  # all labels have arrived, so it is certain
        (0.83, 0.06, 1000, None),  # rows without a label may compensate for it
        (0.70, 0.06, 1000, "realised"),
        (0.95, 0.02, 336, None),
    ],
)
def test_a_loss_is_more_than_may_be_and_more_than_chance(
    value: float, around: float, scored: int, loss: str | None
) -> None:
    said = found(Realised("2026-01-05", {**window(value, around), "rows": scored}))
    assert said["loss"] == loss
    assert (said["metric"], said["evaluated"], said["realised"]) == ("accuracy", 0.87, value)
    assert f"accuracy is {value:.4g}, 95 %" in in_words(said)


def test_a_metric_that_another_problem_has_not_is_still_measured() -> None:
    """Of a version for two classes, once model.yaml has a third."""
    calibration: Any = {"metric": "f1", "truth": [[1.0], [1.0]], "metrics": {"f1": 0.9}, "windows": [(0.9, 0.9)]}
    answers = [[[200], [200]], [[0], [0]]]
    three = MODEL.model_copy(update={"problem": "multiclass"})
    said = performance_of(three, {"calibration": calibration}, {"d": {**MARKET_DAY, "answers": answers}}, None, None)  # type: ignore[typeddict-item] # as far as it is read
    assert said is not None
    assert (said["metric"], said["estimated"], said["loss"]) == ("f1", 0.0, "estimated")


def test_few_labels_are_shown_and_decide_nothing() -> None:
    said = found(Realised("2026-01-05", window(0.5, labelled=40)))
    assert (said["realised"], said["labelled"], said["scored"], said["loss"]) == (0.5, 40, 336, None)
    assert "(labels of 40 of 336 rows, up to" in in_words(said)
    assert found(Realised("2026-01-05", window(0.5, evidence=2)))["loss"] is None, "two days are the metric"
    assert MODEL.monitoring is not None
    enough = MODEL.monitoring.min_rows
    assert found(Realised("2026-01-05", window(0.5, labelled=enough)))["loss"] == "realised"
    assert found(Realised("2026-01-05", window(0.5, labelled=enough - 1)))["loss"] is None


def test_labels_override_what_is_estimated_while_they_are_about_these_days() -> None:
    sure = [[[0] * 33, [0] * 33], [[0] * 33, [0] * 33]]
    sure[0][0][16] = sure[0][1][16] = 336  # every row is predicted as 0 with a probability of 0.5
    calibration = {"metric": "accuracy", "truth": [[0.5] * 33] * 2, "metrics": {"accuracy": 0.87}}
    reference = {"calibration": {**calibration, "windows": [(0.87, 0.87)] * 4}}
    day = {"2026-01-05": {**MARKET_DAY, "answers": sure}}

    def said(realised: Realised | None) -> Any:
        return performance_of(MODEL, reference, day, realised, EVALUATION)  # type: ignore[arg-type] # what is read of it

    assert said(None)["loss"] == "estimated"
    assert said(Realised("2026-01-05", window(0.87)))["loss"] is None
    old = said(Realised("2025-12-20", window(0.7), overlaps=False))
    assert (old["loss"], old["realised"]) == ("estimated", 0.7)


def test_a_sample_that_a_person_labelled_decides_where_there_are_enough() -> None:
    def said(labelled: int) -> Any:
        sample = {"metric": "accuracy", "value": 0.7, "interval": (0.6, 0.8), "asked": 140, "labelled": labelled}
        return found(Realised("2026-01-05", window(0.7, labelled=labelled, sampled=sample)))

    assert (said(140)["loss"], said(140)["sampled"], said(140)["interval"]) == ("realised", True, (0.6, 0.8))
    assert said(FEWEST_SAMPLED)["loss"] == "realised"
    assert said(FEWEST_SAMPLED - 1)["loss"] is None


def test_a_sample_is_not_needed_where_there_are_enough_labels_and_may_be_in_another_metric() -> None:
    sample = {"metric": "macro_f1", "value": 0.5, "interval": (0.4, 0.6), "asked": 140, "labelled": 140}
    all_there = found(Realised("2026-01-05", window(0.87, sampled=sample)))
    assert (all_there["metric"], all_there["sampled"], all_there["loss"]) == ("accuracy", False, None)
    sampled = found(Realised("2026-01-05", window(0.87, labelled=140, sampled=sample)))
    assert (sampled["metric"], sampled["realised"], sampled["evaluated"]) == ("macro_f1", 0.5, None)
    assert (sampled["sampled"], sampled["loss"]) == (True, None), "there is nothing to compare it with"


def test_a_window_without_the_metric_leaves_it_to_the_estimate() -> None:
    nothing = {**window(0.5), "metrics": {"accuracy": None}}
    said = found(Realised("2026-01-05", nothing))
    assert (said["realised"], said["until"], said["loss"]) == (None, None, None)
    assert in_words(said) == in_words(None) == "performance is unknown: no labels, and the version has no calibration"


def test_of_labels_from_another_time_nothing_is_said_of_these_days() -> None:
    assert found(Realised("2025-12-20", window(0.5), overlaps=False))["loss"] is None


def test_five_days_with_labels_are_enough_and_a_wide_interval_of_the_evaluation_leaves_it_to_chance() -> None:
    assert found(Realised("2026-01-05", window(0.5, evidence=FEWEST_UNITS)))["loss"] == "realised"
    unsure: Any = {**EVALUATION, "intervals": {"accuracy": [0.8, 0.94]}}
    assert performance_of(MODEL, None, {}, Realised("2026-01-05", window(0.83)), unsure)["loss"] is None  # type: ignore[index]


def since(value: float | None, ends: Any, evidence: int) -> Any:
    """An evaluation of 0.87, and since the change that the version was trained for."""
    intervals = {"accuracy": ends} if ends else {}
    more = {
        "day": "2026-01-01",
        "rows": 40,
        "evidence": evidence,
        "metrics": {"accuracy": value},
        "intervals": intervals,
    }
    return {**EVALUATION, "since": more}


@pytest.mark.parametrize(
    ("evaluation", "now", "loss", "unclear"),
    [
        (since(0.8, [0.78, 0.82], 80), 0.78, None, False),  # though 0.87 was evaluated on all rows
        (since(0.8, [0.78, 0.82], 80), 0.7, "realised", False),
        (since(0.8, [0.6, 0.9], 80), 0.7, None, True),
        (since(0.8, [0.8, 0.8], 3), 0.5, None, True),  # nothing went wrong in three cases
        (since(0.8, None, 3), 0.2, "realised", False),
        (since(None, None, 0), 0.2, None, False),  # there is nothing to compare with
    ],
)
def test_a_version_trained_for_a_change_is_compared_with_its_evaluation_since_then(
    evaluation: Any, now: float, loss: str | None, unclear: bool
) -> None:
    said: Any = performance_of(MODEL, None, {}, Realised("2026-01-05", window(now)), evaluation)
    assert (said["loss"], said["unclear"], said["evaluated_since"]) == (loss, unclear, "2026-01-01")
    if said["evaluated_interval"]:
        assert "evaluated 0.8 on test rows since 2026-01-01 (95 % " in in_words(said)


def test_classes_may_not_be_as_bad_as_the_worst_window_of_the_test_split() -> None:
    known = {"metric": "accuracy", "truth": [], "metrics": {"accuracy": 0.87}, "windows": [(0.87, 0.8)]}
    assert found(Realised("2026-01-05", window(0.83)), {"calibration": known})["loss"] == "realised"


def test_a_model_that_is_not_monitored_or_of_which_nothing_is_known_has_no_performance() -> None:
    assert performance_of(MODEL, None, {}, None, EVALUATION) is None
    unwatched = MODEL.model_copy(update={"monitoring": None})
    assert performance_of(unwatched, None, {}, Realised("2026-01-05", window(0.5)), EVALUATION) is None


VALUES = load_model("abalone_age")
MEAN_ERROR: Any = {"metrics": {"mse": 4.0}, "intervals": {"mse": [3.9, 4.1]}, "champion": None}


def of_values(reached: float | None, windows: list[tuple[float, float]], squares: float = 4.0) -> Any:
    """A regression's performance: ``reached`` by labels, and estimated at ``squares``."""
    labelled = {**window(0), "metrics": {"mse": reached}, "intervals": {"mse": [0, 0]}}
    realised = None if reached is None else Realised("2026-01-05", labelled)
    known = {"metric": "mse", "errors": [1.0], "squares": [squares], "metrics": {"mse": 4.0}, "windows": windows}
    day = {"2026-01-05": {**MARKET_DAY, "answers": [336]}}
    return performance_of(VALUES, {"calibration": known}, day, realised, MEAN_ERROR)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reached", "windows", "loss"),
    [
        (3.0, [], None),  # a smaller error is better
        (4.1, [], None),  # 2.5 % worse, 3 % are allowed
        (4.2, [], "realised"),
        (4.2, [(4.0, 4.3)], None),  # a window of the test split was as bad
        (4.4, [(4.0, 4.3), (4.0, 3.5)], "realised"),
    ],
)
def test_a_regressions_loss_is_a_share_of_its_error_and_more_than_windows_of_the_test_split_had(
    reached: float, windows: list[tuple[float, float]], loss: str | None
) -> None:
    assert of_values(reached, windows)["loss"] == loss


@pytest.mark.parametrize(
    ("squares", "windows", "loss"),
    [
        (4.2, [(4.0, 4.0)], "estimated"),
        (4.1, [(4.0, 4.0)], None),  # 2.5 % worse
        (3.0, [(4.0, 4.0)], None),
        (4.2, [(4.3, 4.3), (4.0, 4.0)], None),  # as windows of the test split were estimated
        (4.2, [(4.0, 4.059)], "estimated"),  # estimates off by less than half of what is allowed
        (4.2, [(4.0, 4.061)], None),
        (4.2, [], None),  # nobody knows how far off they are
    ],
)
def test_an_estimated_loss_counts_where_estimates_were_right(
    squares: float, windows: list[tuple[float, float]], loss: str | None
) -> None:
    said = of_values(None, windows, squares)
    assert (said["estimated"], said["loss"]) == (squares, loss)
    off = f" (such estimates were {short(said['error'])} off)" if windows else ""
    assert in_words(said) == f"mse is estimated at {squares:.4g}{off}, evaluated 4"


def test_labels_without_the_metric_leave_it_to_the_estimate() -> None:
    assert of_values(None, [(4.0, 4.0)], 4.4)["loss"] == "estimated"
    known = {"metric": "mse", "errors": [1.0], "squares": [4.4], "metrics": {"mse": 4.0}, "windows": [(4.0, 4.0)]}
    nothing = Realised("2026-01-05", {**window(0), "metrics": {"mse": None}})
    day = {"2026-01-05": {**MARKET_DAY, "answers": [336]}}
    said = performance_of(VALUES, {"calibration": known}, day, nothing, MEAN_ERROR)  # type: ignore[arg-type]
    assert said is not None
    assert (said["realised"], said["loss"]) == (None, "estimated")


@pytest.mark.parametrize("evaluated", [0.0, None])
def test_where_there_is_no_error_to_take_a_share_of_the_difference_itself_counts(evaluated: float | None) -> None:
    known = {"metric": "mae", "errors": [0.02], "squares": [0], "metrics": {"mae": evaluated}, "windows": [(0.0, 0.0)]}
    day = {"2026-01-05": {**MARKET_DAY, "answers": [336]}}
    said = performance_of(VALUES, {"calibration": known}, day, None, None)  # type: ignore[arg-type]
    assert said is not None
    assert (said["metric"], said["estimated"], said["loss"]) == ("mae", 0.02, None), "the calibration's metric"


def test_counts_of_the_windows_days_are_added_up_and_days_without_any_left_out() -> None:
    known = {"metric": "mse", "errors": [1.0, 2.0], "squares": [4.0, 8.0], "metrics": {"mse": 4.0}, "windows": []}
    days = {"a": {**MARKET_DAY, "answers": [3, 0]}, "b": MARKET_DAY, "c": {**MARKET_DAY, "answers": [0, 1]}}
    said = performance_of(VALUES, {"calibration": known}, days, None, None)  # type: ignore[arg-type]
    assert said is not None
    assert said["estimated"] == 5.0


def test_without_an_evaluation_labels_are_shown_alone() -> None:
    said = performance_of(MODEL, None, {}, Realised("2026-01-05", window(0.5)), None)
    assert said is not None
    assert (said["evaluated"], said["realised"], said["loss"]) == (None, 0.5, None)
    bare = performance_of(MODEL, None, {}, Realised("2026-01-05", {**window(0.5), "intervals": {}}), None)
    assert in_words(bare) == "accuracy is 0.5 (labels of 336 of 336 rows, up to 2026-01-05)"


def test_days_without_counted_answers_have_no_estimate() -> None:
    known = {"metric": "mse", "errors": [1.0], "squares": [9.0], "metrics": {"mse": 4.0}, "windows": [(4.0, 4.0)]}
    said = performance_of(VALUES, {"calibration": known}, {"2026-01-05": MARKET_DAY}, None, None)  # type: ignore[arg-type]
    assert said is not None
    assert (said["estimated"], said["loss"]) == (None, None)


@pytest.mark.parametrize(
    ("value", "told"),
    [(4.788e9, "mse is estimated at 4.788e9, evaluated 4"), (3.2e-7, "mse is estimated at 3.2e-7, evaluated 4")],
)
def test_a_value_is_told_in_digits_that_count_whatever_its_unit(value: float, told: str) -> None:
    assert in_words(of_values(None, [], value)) == told


def test_the_metric_of_a_sample_has_no_error_of_the_other_metrics_estimates() -> None:
    values = VALUES.model_copy(update={"monitoring": Monitoring()})
    known = {"metric": "mse", "errors": [1.0], "squares": [4.0], "metrics": {"mse": 4.0}, "windows": [(4.0, 4.5)]}
    sample = {"metric": "mae", "value": 1.5, "interval": [1.4, 1.6], "asked": 60, "labelled": 60}
    labelled = {**window(0, labelled=60, sampled=sample), "metrics": {}, "intervals": {}}
    measured: Any = {"metrics": {"mse": 4.0, "mae": 1.4}, "intervals": {}, "champion": None}
    day = {"2026-01-05": {**MARKET_DAY, "answers": [336]}}
    said: Any = performance_of(values, {"calibration": known}, day, Realised("2026-01-05", labelled), measured)  # type: ignore[arg-type]
    assert (said["metric"], said["realised"], said["evaluated"]) == ("mae", 1.5, 1.4)
    assert (said["estimated"], said["error"]) == (None, None)


@pytest.mark.parametrize(
    ("metric", "order"), [("accuracy", ["b", "a", "few", "none"]), ("mse", ["a", "b", "few", "none"])]
)
def test_the_worst_segments_come_first_and_those_that_say_little_last(metric: str, order: list[str]) -> None:
    values = (("a", 0.9, True), ("none", None, True), ("few", 0.1, False), ("b", 0.7, True))
    segments = [{"segment": name, "enough": enough, "metrics": {metric: value}} for name, value, enough in values]
    worth: Any = {"segments": {"machine": segments}}
    assert [one["segment"] for one in worst_first(metric, worth)["machine"]] == order
