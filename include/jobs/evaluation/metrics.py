"""Metrics of a model's predictions, flat and in the Model Registry's format."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from sklearn import metrics as sk

from include.models.config import Json
from include.models.config.metrics import THIRDS
from include.models.config.results import Reliability
from include.models.interface import Array

Metrics = dict[str, float]
TENTHS = 10  # that a probability's scale is cut into
FEWEST_FINITE = 0.95  # share of the draws in which a metric must be defined


def measure(
    problem: str, target: Array, predictions: Array, classes: list[str], labels: Array | None = None
) -> Metrics:
    """The metrics of a problem by name; nan if one is undefined, for example if a class has no rows.

    Args:
        problem: ``multiclass``, ``binary`` or ``regression``.
        target: class indices (rows,), or values for a regression.
        predictions: probabilities (rows, classes), or values (rows,).
        classes: names of the columns; for a binary problem, the second is the positive class.
        labels: decided class indices (rows,); by default the likeliest.
    """
    if problem == "regression":
        return _regression(target, predictions)
    found = labels_metrics(problem, target, predictions.argmax(axis=1) if labels is None else labels, classes)
    found |= calibration_metrics(target, predictions, classes)
    found["log_loss"] = float(sk.log_loss(target, predictions, labels=range(len(classes))))
    for index, name in enumerate(classes):
        if 0 < np.count_nonzero(target == index) < len(target):
            found[f"pr_auc_{name}"] = float(sk.average_precision_score(target == index, predictions[:, index]))
        else:
            found[f"pr_auc_{name}"] = math.nan
    return found | _ranking(target, predictions[:, 1]) if problem == "binary" else found


def labels_metrics(problem: str, target: Array, predicted: Array, classes: list[str]) -> Metrics:
    """Metrics that need no probabilities. Macro F1 is the mean over the classes that occur, in truth or in prediction;
    0/0 counts as 0 for each class, and as nan for the positive class."""
    counts = confusion(target, predicted, classes)
    found = {name: float(value[0]) for name, value in measure_counts(problem, counts[None], classes).items()}
    of_each = {f"{metric}_{name}" for metric in ("precision", "recall", "f1") for name in classes}
    return {name: 0.0 if name in of_each and math.isnan(value) else value for name, value in found.items()}


def measure_counts(problem: str, counts: Array, classes: list[str]) -> dict[str, Array]:
    """The same from counts (draws, true class, predicted class), each of (draws,); nan for 0/0."""
    right = np.diagonal(counts, axis1=1, axis2=2).astype(float)
    true, called = counts.sum(axis=2), counts.sum(axis=1)
    found = {"accuracy": shares(right.sum(axis=1), true.sum(axis=1))}
    f1 = shares(2 * right, true + called)
    found["macro_f1"] = shares(np.nansum(f1, axis=1), np.isfinite(f1).sum(axis=1))
    precision, recall = shares(right, called), shares(right, true)
    for index, name in enumerate(classes):
        for metric, values in (("precision", precision), ("recall", recall), ("f1", f1)):
            found[f"{metric}_{name}"] = values[:, index]
    if problem == "binary":
        looked_for = {"precision": precision[:, 1], "recall": recall[:, 1], "f1": f1[:, 1]}
        found |= looked_for | {"specificity": recall[:, 0], "npv": precision[:, 0]}
    return found


def calibration_metrics(target: Array, predictions: Array, classes: list[str]) -> Metrics:
    """The Brier score, and the expected calibration error of each class and their mean: the distance between the mean
    probability in a tenth of the scale and the rate there, weighted by the tenth's rows."""
    errors = {f"ece_{name}": _far_off(one) for name, one in reliability(target, predictions, classes).items()}
    brier = ((predictions - np.eye(len(classes))[target]) ** 2).sum(axis=1).mean()
    return {"brier": float(brier), "ece": float(np.mean(list(errors.values()))), **errors}


def reliability(target: Array, predictions: Array, classes: list[str]) -> dict[str, list[Reliability]]:
    """By class, the tenths of its probability that have rows."""
    found = {}
    for place, name in enumerate(classes):
        tenth = tenths(predictions[:, place])
        rows, predicted, observed = (
            np.bincount(tenth, weights=one, minlength=TENTHS)
            for one in (None, predictions[:, place], (target == place).astype(float))
        )
        found[name] = [
            Reliability(int(rows[one]), float(predicted[one] / rows[one]), float(observed[one] / rows[one]))
            for one in np.flatnonzero(rows)
        ]
    return found


def tenths(probability: Array) -> Array:
    return np.clip((probability * TENTHS).astype(np.int64), 0, TENTHS - 1)


def _far_off(tenths: list[Reliability]) -> float:
    every = sum(one.rows for one in tenths)
    return sum(one.rows * abs(one.predicted - one.observed) for one in tenths) / every


def interval_metrics(target: Array, intervals: Array) -> Metrics:
    """The share of values inside their intervals (rows, 2), overall and for each third of the values, and the
    intervals' width, in the values' unit."""
    low, high = intervals.T
    inside = (low <= target) & (target <= high)
    found = {"interval_coverage": float(inside.mean()), "interval_width": float((high - low).mean())}
    third = thirds(target)
    for place, name in enumerate(THIRDS):
        found[f"interval_coverage_{name}"] = (
            float(inside[third == place].mean()) if (third == place).any() else math.nan
        )
    return found


def thirds(target: Array) -> Array:
    """The third that each value is in (rows,): 0, 1 or 2; equal values are in the same."""
    return np.searchsorted(np.quantile(target, (1 / 3, 2 / 3)), target)


def confusion(target: Array, predicted: Array, classes: list[str]) -> Array:
    """Counts (true class, predicted class)."""
    counts: Array = sk.confusion_matrix(target, predicted, labels=range(len(classes)))
    return counts


def registry_statistics(
    problem: str,
    target: Array,
    predictions: Array,
    classes: list[str],
    draws: Mapping[str, Array],
    labels: Array | None = None,
) -> dict[str, Json]:
    """``evaluation.json``: the model quality statistics of SageMaker's ModelMetrics.

    Args:
        draws: each metric's values in bootstrap draws, for its deviation and interval.
        labels: as in ``measure``.
    """
    if problem == "regression":
        return {"regression_metrics": _as_statistics(_regression(target, predictions), draws)}
    predicted = predictions.argmax(axis=1) if labels is None else labels
    counts = confusion(target, predicted, classes)
    matrix = {
        name: {other: int(counts[row, column]) for column, other in enumerate(classes)}
        for row, name in enumerate(classes)
    }
    found = measure(problem, target, predictions, classes, predicted)
    if problem == "binary":
        names = {"roc_auc": "auc", "recall": "recall", "precision": "precision", "accuracy": "accuracy", "f1": "f1"}
        stated = {name: found[metric] for metric, name in names.items()}
        drawn = {name: draws[metric] for metric, name in names.items() if metric in draws}
        return {"binary_classification_metrics": {"confusion_matrix": matrix, **_as_statistics(stated, drawn)}}
    weighted = sk.precision_recall_fscore_support(target, predicted, average="weighted", zero_division=0.0)
    stated = {"accuracy": found["accuracy"], "macro_f1": found["macro_f1"], "log_loss": found["log_loss"]}
    stated |= dict(zip(("weighted_precision", "weighted_recall", "weighted_f1"), map(float, weighted), strict=False))
    constant = np.full_like(predicted, np.bincount(target).argmax())
    stated["accuracy_best_constant_classifier"] = float(np.mean(constant == target))
    return {"multiclass_classification_metrics": {"confusion_matrix": matrix, **_as_statistics(stated, draws)}}


def interval(values: Array) -> tuple[float, float] | None:
    """The range of 95 % of the draws; None if the metric is undefined in too many of them."""
    known = values[np.isfinite(values)]
    if len(known) < FEWEST_FINITE * len(values):
        return None
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)


def plain(found: Mapping[str, float]) -> dict[str, float | None]:
    """For JSON: None if a metric is not a finite number."""
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _ranking(target: Array, scores: Array) -> Metrics:
    """What needs probabilities of the positive class."""
    positive = np.count_nonzero(target)
    return {
        "roc_auc": float(sk.roc_auc_score(target, scores)) if 0 < positive < len(target) else math.nan,
        "pr_auc": float(sk.average_precision_score(target, scores)) if positive else math.nan,
    }


def _regression(target: Array, predictions: Array) -> Metrics:
    mse = float(sk.mean_squared_error(target, predictions))
    return {
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": float(sk.mean_absolute_error(target, predictions)),
        "r2": float(sk.r2_score(target, predictions)),
    }


def shares(part: Array, whole: Array) -> Array:
    """nan where the whole is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def _as_statistics(found: Mapping[str, float], draws: Mapping[str, Array]) -> dict[str, dict[str, Json]]:
    """The registry's format, with the ends of the interval, if there is one."""
    stated: dict[str, dict[str, Json]] = {}
    for name, value in plain(found).items():
        stated[name] = {"value": value, "standard_deviation": "NaN"}
        if name in draws and (ends := interval(draws[name])):
            stated[name] |= {"standard_deviation": float(np.nanstd(draws[name])), "interval_95": list(ends)}
    return stated
