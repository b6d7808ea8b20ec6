"""How well each feature alone predicts the target: a perfect one is a leak."""

from __future__ import annotations

import numpy as np
import polars as pl
from sklearn.metrics import f1_score, r2_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from include.models.interface import Array, Examples

MOST_ROWS = 6000  # evenly spaced: a leak shows in far fewer
LEAVES = 16
FOLDS = 3


def alone(truth: Examples) -> dict[str, float]:
    """By feature: macro F1, or R², of a small tree on it alone, over folds of the rows; 0 if there are too few to
    tell."""
    every = max(1, -(-len(truth.target) // MOST_ROWS))
    target = truth.target[::every]
    return {
        series.name: _alone(_numbers(series.gather_every(every)), target, truth.classes) for series in truth.features
    }


def _alone(values: Array, target: Array, classes: list[str]) -> float:
    if classes:
        counts = np.unique(target, return_counts=True)[1]
        if len(counts) < 2 or counts.min() < FOLDS:
            return 0.0
        tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, random_state=0)
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        return float(f1_score(target, cross_val_predict(tree, values, target, cv=folds), average="macro"))
    if len(target) < 2 * FOLDS:
        return 0.0
    regressor = DecisionTreeRegressor(max_leaf_nodes=LEAVES, random_state=0)
    answers = cross_val_predict(regressor, values, target, cv=KFold(FOLDS, shuffle=True, random_state=0))
    return float(r2_score(target, answers))


def _numbers(series: pl.Series) -> Array:
    """(rows, 1); texts by their order."""
    numbers = series.rank("dense") if series.dtype == pl.String else series
    return numbers.cast(pl.Float64).to_numpy().reshape(-1, 1)
