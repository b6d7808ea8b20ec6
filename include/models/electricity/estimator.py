"""LightGBM, stopped early on the validation split, which comes right after the training split.

Without ``history`` it sees only the last half-hour of the market, not its course: ``make bench`` measures what such a
model loses as the market drifts, and regains by retraining.
"""

from __future__ import annotations

from collections.abc import Mapping

import lightgbm as lgb
import numpy as np
import polars as pl

from include.models.boosting import contributions, importance, load, save
from include.models.boosting import train as train_booster
from include.models.config import Scalar
from include.models.electricity.features import PLACE, STATE
from include.models.interface import Array, Examples

__all__ = ["contributions", "describe", "fit", "importance", "load", "predict", "refit", "save"]


def fit(train: Examples, validation: Examples, hyperparameters: Mapping[str, Scalar]) -> lgb.Booster:
    return _learn(train, validation, hyperparameters)


def refit(model: lgb.Booster, rows: Examples, hyperparameters: Mapping[str, Scalar]) -> lgb.Booster:
    return _learn(rows, None, {**hyperparameters, "num_boost_round": model.current_iteration()})


def _learn(train: Examples, validation: Examples | None, hyperparameters: Mapping[str, Scalar]) -> lgb.Booster:
    """Without a validation split, it runs the maximum number of rounds."""
    parameters = dict(hyperparameters)
    rounds, patience = int(parameters.pop("num_boost_round")), int(parameters.pop("early_stopping_rounds"))
    names = train.features.columns if parameters.pop("history") else [*PLACE, *STATE]
    # one thread: on so few rows more of them only wait for each other
    parameters |= {"bagging_freq": 1, "deterministic": True, "force_row_wise": True, "verbose": -1, "num_threads": 1}
    parameters |= {"objective": "binary", "metric": "binary_logloss"}
    data = lgb.Dataset(train.features.select(names).to_numpy(), train.target, feature_name=names)
    held_out = None
    if validation:
        held_out = lgb.Dataset(validation.features.select(names), validation.target, reference=data)
    return train_booster(parameters, data, rounds, held_out, patience=patience)


def predict(model: lgb.Booster, features: pl.DataFrame) -> Array:
    up = np.asarray(model.predict(features.select(model.feature_name()).to_numpy(), num_threads=1))
    return np.column_stack([1 - up, up])


def describe(model: lgb.Booster) -> dict[str, Scalar]:
    return {"trees": model.num_trees(), "features_used": len(model.feature_name())}
