"""What a model's predictions are worth: flat metrics, and the shape that the Model Registry reads."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from sklearn import metrics as sk

from include.models.config import Json
from include.models.interface import Array

Metrics = dict[str, float]


def measure(problem: str, target: Array, predictions: Array, classes: list[str]) -> Metrics:
    """The metrics of a problem by name; nan where one is not defined, as where a class has no rows.

    Args:
        problem: ``multiclass``, ``binary`` or ``regression``.
        target: class indices (rows,), or values for a regression.
        predictions: probabilities (rows, classes), or values (rows,).
        classes: names of the columns; of a binary problem, the second is the one looked for.
    """
    if problem == "regression":
        return _regression(target, predictions)
    found = labels_metrics(problem, target, predictions.argmax(axis=1), classes)
    found["log_loss"] = float(sk.log_loss(target, predictions, labels=range(len(classes))))
    for index, name in enumerate(classes):
        if 0 < np.count_nonzero(target == index) < len(target):
            found[f"pr_auc_{name}"] = float(sk.average_precision_score(target == index, predictions[:, index]))
        else:
            found[f"pr_auc_{name}"] = math.nan
    return found | _ranking(target, predictions[:, 1]) if problem == "binary" else found


def labels_metrics(problem: str, target: Array, predicted: Array, classes: list[str]) -> Metrics:
    """What needs no probabilities. Macro F1 is the mean over the classes that occur, in truth or in prediction."""
    found = {"accuracy": float(np.mean(target == predicted))}
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        target, predicted, labels=range(len(classes)), zero_division=0.0
    )
    occurs = (support > 0) | np.isin(np.arange(len(classes)), predicted)
    found["macro_f1"] = float(f1[occurs].mean())
    for index, name in enumerate(classes):
        found |= {f"precision_{name}": float(precision[index]), f"recall_{name}": float(recall[index])}
        found[f"f1_{name}"] = float(f1[index])
    return found | _binary(target, predicted) if problem == "binary" else found


def interval_metrics(target: Array, intervals: Array) -> Metrics:
    """How many of the values their intervals (rows, 2) hold, and how wide these are, in the values' unit."""
    low, high = intervals.T
    inside = (low <= target) & (target <= high)
    return {"interval_coverage": float(inside.mean()), "interval_width": float((high - low).mean())}


def confusion(target: Array, predicted: Array, classes: list[str]) -> Array:
    """Counts (true class, predicted class)."""
    counts: Array = sk.confusion_matrix(target, predicted, labels=range(len(classes)))
    return counts


def registry_statistics(problem: str, target: Array, predictions: Array, classes: list[str]) -> dict[str, Json]:
    """``evaluation.json``: the model quality statistics of SageMaker's ModelMetrics."""
    if problem == "regression":
        return {"regression_metrics": _as_statistics(_regression(target, predictions))}
    predicted = predictions.argmax(axis=1)
    counts = confusion(target, predicted, classes)
    matrix = {
        name: {other: int(counts[row, column]) for column, other in enumerate(classes)}
        for row, name in enumerate(classes)
    }
    found = measure(problem, target, predictions, classes)
    if problem == "binary":
        names = {"roc_auc": "auc", "recall": "recall", "precision": "precision", "accuracy": "accuracy", "f1": "f1"}
        stated = {name: found[metric] for metric, name in names.items()}
        return {"binary_classification_metrics": {"confusion_matrix": matrix, **_as_statistics(stated)}}
    weighted = sk.precision_recall_fscore_support(target, predicted, average="weighted", zero_division=0.0)
    stated = {"accuracy": found["accuracy"], "macro_f1": found["macro_f1"], "log_loss": found["log_loss"]}
    stated |= dict(zip(("weighted_precision", "weighted_recall", "weighted_f1"), map(float, weighted), strict=False))
    constant = np.full_like(predicted, np.bincount(target).argmax())
    stated["accuracy_best_constant_classifier"] = float(np.mean(constant == target))
    return {"multiclass_classification_metrics": {"confusion_matrix": matrix, **_as_statistics(stated)}}


def plain(found: Mapping[str, float]) -> dict[str, float | None]:
    """As JSON has it: None where a metric is no finite number."""
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _binary(target: Array, predicted: Array) -> Metrics:
    """Of the class looked for, the second."""
    counts = confusion(target, predicted, ["no", "yes"])
    negative, positive = counts.sum(axis=1)
    called_negative, called_positive = counts.sum(axis=0)
    return {
        "precision": _share(counts[1, 1], called_positive),
        "recall": _share(counts[1, 1], positive),
        "specificity": _share(counts[0, 0], negative),
        "npv": _share(counts[0, 0], called_negative),
        "f1": _share(2 * counts[1, 1], positive + called_positive),
    }


def _ranking(target: Array, scores: Array) -> Metrics:
    """What needs probabilities of the class looked for."""
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


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else math.nan


def _as_statistics(found: Mapping[str, float]) -> dict[str, dict[str, Json]]:
    """The registry's form; one test split says nothing of the deviation."""
    return {name: {"value": value, "standard_deviation": "NaN"} for name, value in plain(found).items()}
