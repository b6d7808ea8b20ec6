"""LightGBM, one tree per class and round, stopped early on the validation split's log loss.

Imbalance: about 2 % of the rows precede a failure, thousands in total. Rows are weighted by
``(1 / class share) ** class_balance``: 0 leaves the data as it is, 1 makes all classes weigh the same. Half way, as in
model.yaml, the rare classes' early rounds are steadier, and macro F1 and log loss on later months are better than at
either end; the probabilities stay close to the true rates (the report's calibration plot shows how close).

Deterministic: the same data, hyperparameters and number of threads give the same model.
"""

from __future__ import annotations

from collections.abc import Mapping

import lightgbm as lgb
import numpy as np
import polars as pl

from include.models import trees
from include.models.boosting import contributions, importance, load, save
from include.models.boosting import train as train_booster
from include.models.config import Scalar
from include.models.interface import Array, Examples
from include.models.tabular.large_table import learned_from

__all__ = ["contributions", "describe", "fit", "importance", "load", "predict", "refit", "save"]

FEW_ROWS = 64  # up to here, starting threads costs more than they save


def fit(train: Examples, validation: Examples, hyperparameters: Mapping[str, Scalar]) -> lgb.Booster:
    return _learn(train, validation, hyperparameters)


def refit(model: lgb.Booster, rows: Examples, hyperparameters: Mapping[str, Scalar]) -> lgb.Booster:
    return _learn(rows, None, {**hyperparameters, "num_boost_round": model.current_iteration()})


def _learn(train: Examples, validation: Examples | None, hyperparameters: Mapping[str, Scalar]) -> lgb.Booster:
    """Without a validation split, it runs the maximum number of rounds."""
    parameters = dict(hyperparameters)
    rounds, patience = int(parameters.pop("num_boost_round")), int(parameters.pop("early_stopping_rounds"))
    balance = float(parameters.pop("class_balance"))
    parameters |= {"objective": "multiclass", "num_class": len(train.classes), "metric": "multi_logloss"}
    parameters |= {"bagging_freq": 1, "deterministic": True, "force_row_wise": True, "verbose": -1}
    shares = np.bincount(train.target, minlength=len(train.classes)) / len(train.target)
    data = lgb.Dataset(
        learned_from(train.features),
        train.target,
        weight=(1 / shares[train.target]) ** balance,
        feature_name=train.features.columns,
    )
    held_out = lgb.Dataset(validation.features, validation.target, reference=data) if validation else None
    return train_booster(parameters, data, rounds, held_out, patience=patience)


def predict(model: lgb.Booster, features: pl.DataFrame) -> Array:
    threads = 1 if len(features) <= FEW_ROWS else 0  # 0: as many as there are cores
    return trees.in_blocks(features, lambda rows: model.predict(rows.to_numpy(), num_threads=threads))


def describe(model: lgb.Booster) -> dict[str, Scalar]:
    return {"best_iteration": model.best_iteration, "trees": model.num_trees()}
