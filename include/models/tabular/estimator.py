"""LightGBM on a table of numbers and categories, for classes or values, as its columns were at training.

Missing values need no filling: trees learn where to send them. Classes may be rare: rows are weighted by
``(1 / class share) ** class_balance``: 0 leaves the data as it is, 1 gives all classes the same weight. Training stops
early when the validation split no longer improves, if ``early_stopping_rounds`` is above 0.

Deterministic: the same data, hyperparameters and number of threads give the same model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl

from include.models import boosting, trees
from include.models.config import ModelConfig, Scalar
from include.models.interface import Array, Contributions, Examples
from include.models.tabular.large_table import learned_from
from include.models.tabular.schema import Schema, infer

FEW_ROWS = 64  # up to here, starting threads costs more than they save


@dataclass(frozen=True)
class TabularModel:
    booster: lgb.Booster
    schema: Schema


@dataclass(frozen=True)
class TabularEstimator:
    """The ``Estimator`` for model folders without an estimator.py."""

    config: ModelConfig

    def fit(self, train: Examples, validation: Examples, hyperparameters: Mapping[str, Scalar]) -> TabularModel:
        return self._learn(train, validation, hyperparameters)

    def refit(self, model: TabularModel, rows: Examples, hyperparameters: Mapping[str, Scalar]) -> TabularModel:
        rounds = {"num_boost_round": model.booster.current_iteration(), "early_stopping_rounds": 0}
        return self._learn(rows, None, {**hyperparameters, **rounds})

    def _learn(
        self, train: Examples, validation: Examples | None, hyperparameters: Mapping[str, Scalar]
    ) -> TabularModel:
        schema = infer(train.features, self.config.features.derived)
        parameters = dict(hyperparameters)
        rounds, patience = int(parameters.pop("num_boost_round")), int(parameters.pop("early_stopping_rounds"))
        balance = float(parameters.pop("class_balance"))
        parameters |= _objective(len(train.classes))
        parameters |= {"bagging_freq": 1, "deterministic": True, "force_row_wise": True, "verbose": -1}
        names = [f"Column_{place}" for place in range(len(schema.names))]  # LightGBM refuses some that columns have
        data = lgb.Dataset(
            learned_from(train.features, schema.matrix),
            train.target,
            weight=_weights(train, balance) if train.classes else None,
            feature_name=names,
            categorical_feature=schema.categories,
            params={"verbose": -1},
        )
        held_out = None
        if validation:
            columns = schema.table(validation.features)
            held_out = lgb.Dataset(columns, validation.target, reference=data, feature_name=names)
        return TabularModel(boosting.train(parameters, data, rounds, held_out, patience=patience), schema)

    def predict(self, model: TabularModel, features: pl.DataFrame) -> Array:
        threads = 1 if len(features) <= FEW_ROWS else 0  # 0: as many as there are cores
        found = trees.in_blocks(
            features, lambda rows: model.booster.predict(model.schema.matrix(rows), num_threads=threads)
        )
        return np.column_stack([1 - found, found]) if self.config.problem == "binary" else found

    def contributions(self, model: TabularModel, features: pl.DataFrame, labels: Array | None) -> Contributions:
        return trees.contributions(model.booster, model.schema.names, model.schema.matrix(features), labels)

    def save(self, model: TabularModel, folder: Path) -> None:
        """The schema, and LightGBM's text format up to the best round."""
        model.schema.save(folder)
        boosting.save(model.booster, folder)

    def load(self, folder: Path) -> TabularModel:
        return TabularModel(boosting.load(folder), Schema.load(folder))

    def describe(self, model: TabularModel) -> dict[str, Scalar]:
        dropped = [f"{column.name} ({column.dropped})" for column in model.schema.columns if column.dropped]
        facts: dict[str, Scalar] = {"inputs": len(model.schema.names), "trees": model.booster.num_trees()}
        return facts | ({"dropped_columns": ", ".join(dropped)} if dropped else {})

    def importance(self, model: TabularModel) -> dict[str, float]:
        """Total gain of each input's splits."""
        gains = model.booster.feature_importance("gain")
        return {name: float(gain) for name, gain in zip(model.schema.names, gains, strict=True)}


def _objective(classes: int) -> dict[str, Scalar]:
    if classes > 2:
        return {"objective": "multiclass", "num_class": classes, "metric": "multi_logloss"}
    return (
        {"objective": "binary", "metric": "binary_logloss"} if classes else {"objective": "regression", "metric": "l2"}
    )


def _weights(train: Examples, balance: float) -> Array:
    shares = np.bincount(train.target, minlength=len(train.classes)) / len(train.target)
    return np.asarray((1 / shares[train.target]) ** balance)
