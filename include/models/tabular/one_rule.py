"""The best single rule on a table, "above 30 it fails": what a model of many columns has to beat.

One split on one column for each class, learned as the trees of ``tabular.estimator`` are (Holte, "Very Simple
Classification Rules Perform Well on Most Commonly Used Datasets", 1993, says why to look).
"""

from __future__ import annotations

import polars as pl

from include.models.config import ModelConfig, Scalar
from include.models.interface import Array, Examples
from include.models.tabular.estimator import TabularEstimator

MOST_ROWS = 50_000  # evenly spaced: one split needs no more
RULE: dict[str, Scalar] = {
    "num_boost_round": 1,
    "early_stopping_rounds": 0,
    "learning_rate": 1.0,
    "num_leaves": 2,
    "class_balance": 0.0,
    "seed": 0,
}


def one_rule(config: ModelConfig, train: Examples, rows: pl.DataFrame) -> Array:
    """Probabilities (rows, classes), or values (rows,), of the rule learned from ``train``."""
    every = max(1, -(-len(train.target) // MOST_ROWS))
    some = Examples(train.features.gather_every(every), train.target[::every], train.classes)
    own = TabularEstimator(config)
    return own.predict(own.fit(some, some, RULE), rows)
