"""Metrics of the three kinds of problem, checked against figures worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from include.jobs.evaluation.metrics import confusion, interval_metrics, measure, plain, registry_statistics
from include.models.config.metrics import INTERVALS, validation_metrics

CLASSES = ["none", "comp1", "comp2"]
TARGET = np.array([0, 0, 0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 0, 2, 2])
PROBABILITIES = np.eye(3)[PREDICTED] * 0.7 + 0.1


def test_multiclass() -> None:
    found = measure("multiclass", TARGET, PROBABILITIES, CLASSES)
    assert found["accuracy"] == 6 / 8
    assert (found["precision_comp1"], found["recall_comp1"], found["f1_comp1"]) == (1 / 2, 1 / 2, 1 / 2)
    assert found["macro_f1"] == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert found["log_loss"] == pytest.approx(-(6 * math.log(0.8) + 2 * math.log(0.1)) / 8)
    assert found["pr_auc_comp2"] == 1
    assert confusion(TARGET, PREDICTED, CLASSES).tolist() == [[3, 1, 0], [1, 1, 0], [0, 0, 2]]


def test_a_class_that_never_occurs_is_not_part_of_macro_f1() -> None:
    found = measure("multiclass", np.array([0, 0, 1]), np.eye(3)[[0, 0, 1]], CLASSES)
    assert found["macro_f1"] == 1
    assert math.isnan(found["pr_auc_comp2"])
    assert plain(found)["pr_auc_comp2"] is None


def test_binary() -> None:
    target, scores = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.6, 0.2, 0.9, 0.4])
    found = measure("binary", target, np.column_stack([1 - scores, scores]), ["no", "yes"])
    assert (found["precision"], found["recall"], found["specificity"], found["npv"]) == (1 / 2, 1 / 2, 2 / 3, 2 / 3)
    assert found["f1"] == 1 / 2
    assert found["roc_auc"] == pytest.approx(5 / 6)


def test_regression() -> None:
    found = measure("regression", np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0]), [])
    assert (found["mse"], found["mae"], found["r2"]) == (pytest.approx(4 / 3), pytest.approx(2 / 3), pytest.approx(-1))
    assert found["rmse"] == math.sqrt(found["mse"])


@pytest.mark.parametrize(
    ("problem", "section"),
    [
        ("multiclass", "multiclass_classification_metrics"),
        ("binary", "binary_classification_metrics"),
        ("regression", "regression_metrics"),
    ],
)
def test_the_registrys_shape(problem: str, section: str) -> None:
    target = TARGET if problem == "multiclass" else np.minimum(TARGET, 1)
    width = {"multiclass": 3, "binary": 2}.get(problem, 0)
    predictions = np.eye(width)[target] if width else PREDICTED.astype(float)
    statistics = json.loads(
        json.dumps(registry_statistics(problem, target, predictions, CLASSES[:width], {}), allow_nan=False)
    )
    assert list(statistics) == [section]
    figures = statistics[section]
    if width:
        assert sum(sum(row.values()) for row in figures.pop("confusion_matrix").values()) == len(target)
        assert 0 < figures["accuracy"]["value"] <= 1
    assert figures
    assert all(set(figure) == {"value", "standard_deviation"} for figure in figures.values())


@pytest.mark.parametrize(
    ("problem", "classes"), [("binary", ["no", "yes"]), ("multiclass", CLASSES), ("regression", [])]
)
def test_what_gates_may_ask_for_is_what_is_measured(problem: str, classes: list[str]) -> None:
    """Names and ranges are validated when model.yaml is read, long before anything is measured."""
    generator = np.random.default_rng(3)
    target = generator.integers(0, len(classes), 200) if classes else generator.normal(size=200)
    shares = generator.dirichlet(np.ones(len(classes) or 2), 200)
    found = measure(problem, target, shares if classes else generator.normal(size=200), classes)
    known = validation_metrics(problem, classes)
    assert found.keys() == known.keys()
    assert [name for name, value in found.items() if known[name].refuses(value)] == []
    assert interval_metrics(target, np.column_stack([target - 1, target + 1])).keys() == INTERVALS.keys()
