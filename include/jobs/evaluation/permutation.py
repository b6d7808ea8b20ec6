"""What a model's answers rest on: how much worse they get when one feature's values are dealt out at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl
from sklearn.inspection import permutation_importance

from include.jobs.evaluation.metrics import measure
from include.jobs.serving.artifact import LoadedModel
from include.models.config import ModelConfig
from include.models.interface import Array, Examples

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 2000  # of the test split, evenly spaced: enough for an order of features
REPEATS = 3
OF_PROBLEM: dict[str, tuple[str, Literal["minimize", "maximize"]]] = {
    "regression": ("mse", "minimize"),
    "binary": ("f1", "maximize"),
    "multiclass": ("macro_f1", "maximize"),
}


@dataclass(frozen=True)
class Importances:
    """By feature: how much of the metric is lost, in its units; about 0 for what is not needed."""

    metric: str
    lost: dict[str, float]


class _Fitted:
    """A model as scikit-learn takes it; nothing fits it again."""

    def fit(self) -> None:
        raise NotImplementedError


def importances(config: ModelConfig, model: LoadedModel, test: pl.DataFrame, truth: Examples) -> Importances:
    """In the metric that a candidate is held to the champion by, or where that is one of the model's own, in the usual
    one of its problem."""
    every = max(1, -(-len(test) // MOST_ROWS))
    rows = test.select(model.feature_order).gather_every(every)
    target = truth.target[::every]
    metric, direction = config.champion.metric, config.champion.direction
    if metric not in measure(config.problem, target, model.predict(rows), truth.classes):
        metric, direction = OF_PROBLEM[config.problem]
    sign = 1.0 if direction == "maximize" else -1.0

    def score(_: _Fitted, values: pd.DataFrame, target: Array) -> float:
        answers = model.predict(pl.from_pandas(values, schema_overrides=rows.schema))
        return sign * measure(config.problem, target, answers, truth.classes)[metric]

    found = permutation_importance(
        _Fitted(), rows.to_pandas(), target, scoring=score, n_repeats=REPEATS, random_state=0
    )
    lost = {name: float(value) for name, value in zip(rows.columns, found.importances_mean, strict=True)}
    return Importances(metric, lost)
