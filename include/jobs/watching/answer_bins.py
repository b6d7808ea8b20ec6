"""A day's answers in bins, so their quality can be estimated without reading them: classes by predicted probability,
values by size."""

from __future__ import annotations

import numpy as np

from include.models.config.watching import ClassAnswers, ValueAnswers
from include.models.interface import Array

MOST_CLASSES = 20  # with more bins, the counts would be larger than the scores
# of a probability: evenly spaced in log odds, as calibration curves bend at both ends
LOG_ODDS = np.linspace(-8, 8, 33)
EDGES = 1 / (1 + np.exp(-LOG_ODDS))
BINS = len(EDGES) + 1
VALUE_BINS = 20


def bins_of(probability: Array) -> Array:
    return np.searchsorted(EDGES, probability, side="right")


def count_probabilities(probabilities: Array, predicted: Array) -> ClassAnswers:
    """[predicted class][class][bin], of probabilities (rows, classes) and the class indices that were decided for
    (rows,); None if there are too many classes."""
    classes = probabilities.shape[1]
    if classes > MOST_CLASSES:
        return []
    bins = bins_of(probabilities)
    cells = (predicted[:, None] * classes + np.arange(classes)) * BINS + bins
    counted: ClassAnswers = (
        np.bincount(cells.ravel(), minlength=classes**2 * BINS).reshape(classes, classes, BINS).tolist()
    )
    return counted


def value_edges(values: Array) -> list[float]:
    """Inner edges of about equally filled bins of a regression's predictions."""
    return [float(edge) for edge in np.unique(np.quantile(values, np.linspace(0, 1, VALUE_BINS + 1)[1:-1]))]


def count_values(values: Array, edges: list[float]) -> ValueAnswers:
    counted: ValueAnswers = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1).tolist()
    return counted


def add_answers(one: list, other: list) -> list:  # type: ignore[type-arg] # nested lists of counts, of one shape
    """The sum of both; either may be empty."""
    added: list = np.add(one, other).tolist() if one and other else one or other  # type: ignore[type-arg]
    return added
