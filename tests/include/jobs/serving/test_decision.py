"""Calibrated probabilities are accurate, thresholds meet model.yaml, and a row's answer does not depend on other
rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from include.jobs.evaluation.metrics import measure
from include.jobs.serving.artifact import LoadedModel
from include.jobs.serving.decision import Judgement, alarms_of, calibrate, choose, cost_of, risk
from include.models.config.decision import Calibration, Costs, Decision
from include.models.interface import Array

COSTS = Costs(missed=10, false_alarm=1)


def overconfident(rows: int, classes: int, seed: int = 0) -> tuple[Array, Array]:
    """Classes, and probabilities with log odds twice as far apart as they should be."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(rows, classes)) * 2 - 2.0 * (np.arange(classes) > 0)
    true = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    target = (true.cumsum(axis=1) > rng.uniform(size=(rows, 1))).argmax(axis=1)
    given = true**2
    return target, given / given.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("how", ["isotonic", "platt", "beta"])
def test_calibration_halves_the_error_on_other_rows(how: Calibration, classes: int) -> None:
    target, given = overconfident(6000, classes)
    judged = Judgement(calibrate(how, target, given))
    other, said = overconfident(6000, classes, seed=1)
    names = [str(one) for one in range(classes)]
    problem = "binary" if classes == 2 else "multiclass"
    before, after = (measure(problem, other, one, names) for one in (said, judged.calibrated(said)))
    assert after["ece"] < before["ece"] / 2
    assert after["brier"] < before["brier"]
    assert judged.calibrated(said).sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("classes", [2, 9])
@pytest.mark.parametrize("how", ["isotonic", "platt", "beta"])
def test_a_row_has_the_same_answer_alone_and_after_reading_back(how: Calibration, classes: int, tmp_path: Path) -> None:
    target, given = overconfident(500, classes)
    judged = Judgement(calibrate(how, target, given), 0.3)
    judged.save(tmp_path)
    again = Judgement.load(tmp_path)
    together = judged.calibrated(given)
    alone = np.vstack([again.calibrated(given[row : row + 1]) for row in range(500)])
    assert np.array_equal(together, alone)
    labels = judged.labels(together)
    assert np.array_equal(labels, np.concatenate([again.labels(alone[row : row + 1]) for row in range(500)]))
    assert np.array_equal(labels != 0, risk(together) >= 0.3)


def test_costs_choose_the_cheapest_threshold() -> None:
    target, given = overconfident(3000, 2)
    threshold, reached = choose(Decision(costs=COSTS), target, given)

    def spent(at: float) -> float:
        return float(cost_of(COSTS, target, Judgement((), at).labels(given)).mean())

    assert reached
    best = min(spent(at) for at in np.linspace(0, 1.01, 500))
    assert spent(threshold) <= best * 1.1, "no further from the cheapest than chance explains"
    assert spent(threshold) < spent(0.5)
    found = alarms_of(COSTS, target, Judgement((), threshold).labels(given))
    assert found["cost_per_1000"] == pytest.approx(1000 * spent(threshold))


def test_a_class_that_is_confused_costs_too() -> None:
    costs = Costs(missed=10, false_alarm=1, confused=3)
    assert cost_of(costs, np.array([0, 0, 1, 1, 1]), np.array([0, 2, 0, 1, 2])).tolist() == [0, 1, 10, 0, 3]


@pytest.mark.parametrize(("asked", "other"), [("precision", "recall"), ("recall", "precision")])
def test_a_target_is_reached_and_no_more_is_given_away_than_that_takes(asked: str, other: str) -> None:
    target, given = overconfident(3000, 3)
    threshold, reached = choose(Decision(**{asked: 0.8}), target, given)  # type: ignore[arg-type]
    found = alarms_of(None, target, Judgement((), threshold).labels(given))
    assert reached
    assert (found[asked] or 0) >= 0.8  # type: ignore[literal-required]
    for at in np.linspace(0.01, 0.99, 99):
        there = alarms_of(None, target, Judgement((), float(at)).labels(given))
        if (there[asked] or 0) >= 0.8:  # type: ignore[literal-required]
            assert there[other] <= found[other] + 1e-9  # type: ignore[literal-required]


def test_a_precision_that_no_threshold_reaches_says_so() -> None:
    target, given = np.array([0, 1] * 50), np.tile([0.4, 0.6], (100, 1))
    threshold, reached = choose(Decision(precision=0.9), target, given)
    assert (reached, threshold <= 0.6) == (False, True)


def test_artifacts_from_before_label_by_the_likeliest_class(tmp_path: Path) -> None:
    judged = Judgement.load(tmp_path)
    given = np.array([[0.6, 0.4], [0.2, 0.8]])
    assert judged.calibrated(given) is given
    assert judged.labels(given).tolist() == [0, 1]


def test_answers_carry_the_label_of_the_threshold_beside_the_probabilities() -> None:
    class Says:
        def predict(self, _: object, features: object) -> Array:
            return np.array([[0.7, 0.3], [0.9, 0.1]])

    import polars as pl

    metadata = {"classes": ["no", "yes"], "code_hash": None}
    loaded = LoadedModel(metadata, ["x"], None, Says(), Judgement((), 0.2))  # type: ignore[arg-type]
    found = loaded.answers(pl.DataFrame({"x": [1.0, 2.0]}))
    assert found["label"].to_list() == ["yes", "no"]
    assert found["probabilities"].struct.field("yes").to_list() == [0.3, 0.1]
