"""Permutation importance: how much worse predictions get when one feature's values are shuffled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from include.jobs.evaluation.metrics import labels_metrics, measure
from include.jobs.serving.artifact import LoadedModel
from include.models.config import ModelConfig
from include.models.interface import Array, Examples

MOST_ROWS = 2000  # of the test split, evenly spaced: enough for an order of features
REPEATS = 3
OF_PROBLEM: dict[str, tuple[str, Literal["minimize", "maximize"]]] = {
    "regression": ("mse", "minimize"),
    "binary": ("f1", "maximize"),
    "multiclass": ("macro_f1", "maximize"),
}


@dataclass(frozen=True)
class Importances:
    """By feature: the loss of the metric, in its units; about 0 for unneeded features."""

    metric: str
    lost: dict[str, float]


def importances(config: ModelConfig, model: LoadedModel, test: pl.DataFrame, truth: Examples) -> Importances:
    """In the champion's metric or, if that is the model's own, in the usual one of its problem.

    The rows of all features' permutations are one table, which the model predicts at once, on all cores: many small
    calls would cost more than the predictions. Breiman, Random Forests, 2001, section 10.
    """
    every = max(1, -(-len(test) // MOST_ROWS))
    rows = test.select(model.feature_order).gather_every(every)
    target = truth.target[::every]
    metric, direction = config.champion.metric, config.champion.direction
    answers = model.predict(rows)
    if metric not in measure(config.problem, target, answers, truth.classes):
        metric, direction = OF_PROBLEM[config.problem]
    sign = 1.0 if direction == "maximize" else -1.0

    def score(answers: Array) -> float:
        if truth.classes:  # most metrics need only the labels, which are a tenth of the work
            found = labels_metrics(config.problem, target, model.judgement.labels(answers), truth.classes)
            if metric in found:
                return sign * found[metric]
        return sign * measure(config.problem, target, answers, truth.classes)[metric]

    orders = list(_orders(len(rows)))
    dealt_out = pl.concat(rows.with_columns(rows[name][order]) for name in rows.columns for order in orders)
    scores = [score(part) for part in np.split(model.predict(dealt_out), len(rows.columns) * REPEATS)]
    lost = score(answers) - np.reshape(scores, (-1, REPEATS)).mean(axis=1)
    return Importances(metric, dict(zip(rows.columns, map(float, lost), strict=True)))


def _orders(rows: int) -> Iterator[Array]:
    """The permutations: those of scikit-learn's ``permutation_importance`` with ``random_state=0``, each applied to the
    previous one, so that rankings can be compared with its."""
    rng = np.random.RandomState(np.random.RandomState(0).randint(2**31))
    step, order = np.arange(rows), np.arange(rows)
    for _ in range(REPEATS):
        rng.shuffle(step)
        order = order[step]
        yield order
