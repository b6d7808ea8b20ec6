"""When labels say that a model has become worse, and when they do not."""

from __future__ import annotations

from typing import Any

import pytest

from include.models.config import load_model
from include.monitor.performance import FEWEST_SAMPLED, Realised, in_words, performance_of

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
        (0.83, 0.02, 336, "realised"),
        (0.83, 0.06, 336, "realised"),  # all labels are there: a fact
        (0.83, 0.06, 1000, None),  # the rows without a label may make up for it
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
    assert f"accuracy is {value:.3f}, 95 %" in in_words(said)


def test_few_labels_are_shown_and_decide_nothing() -> None:
    said = found(Realised("2026-01-05", window(0.5, labelled=40)))
    assert (said["realised"], said["labelled"], said["scored"], said["loss"]) == (0.5, 40, 336, None)
    assert "40 of 336 rows have a label" in in_words(said)
    assert found(Realised("2026-01-05", window(0.5, evidence=2)))["loss"] is None, "two days are the metric"


def test_labels_override_what_is_estimated_while_they_are_about_these_days() -> None:
    sure = [[[0] * 33, [0] * 33], [[0] * 33, [0] * 33]]
    sure[0][0][16] = sure[0][1][16] = 336  # every row is called 0 with one chance in two
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
    assert said(FEWEST_SAMPLED - 1)["loss"] is None


def test_without_an_evaluation_labels_are_shown_alone() -> None:
    said = performance_of(MODEL, None, {}, Realised("2026-01-05", window(0.5)), None)
    assert said is not None
    assert (said["evaluated"], said["realised"], said["loss"]) == (None, 0.5, None)
