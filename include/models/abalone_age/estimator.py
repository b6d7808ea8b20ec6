"""LightGBM on the squared error, stopped early, with two more models for the ends of an interval.

The ends are quantiles learned as such, moved by as much as they need to hold their share of the validation split
(conformalized quantile regression, https://arxiv.org/abs/1905.03222): wide for old animals, whose rings are
hard to tell, narrow for young ones. The test split says whether they keep their word (``interval_coverage``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl

from include.models.config import Scalar
from include.models.interface import Array, Examples

SEXES = ("F", "I", "M")
PARTS = ("value", "low", "high")  # one file each
MARGIN_FILE = "interval.json"
QUANTILE_ROUNDS = 200
Callback = Callable[[lgb.callback.CallbackEnv], None]


@dataclass(frozen=True)
class Fitted:
    """Boosters by what they predict, and how far the interval's ends are moved outwards, in rings."""

    boosters: dict[str, lgb.Booster]
    margin: float


def design(features: pl.DataFrame) -> pl.DataFrame:
    """The measures, sex one-hot (an unknown one is none of the three), and how the weight is made up."""
    whole = pl.when(pl.col("whole_weight") > 0).then(pl.col("whole_weight"))
    return features.select(
        *((pl.col("sex") == sex).fill_null(value=False).cast(pl.Float64).alias(f"sex_{sex.lower()}") for sex in SEXES),
        pl.exclude("sex").cast(pl.Float64),
        (pl.col("shell_weight") / whole).alias("shell_share"),
        (pl.col("shucked_weight") / whole).alias("shucked_share"),
        (pl.col("whole_weight") - pl.sum_horizontal(pl.col("^(shucked|viscera|shell)_weight$"))).alias("lost_weight"),
    )


def fit(train: Examples, validation: Examples, hyperparameters: Mapping[str, Scalar]) -> Fitted:
    parameters = dict(hyperparameters)
    rounds, patience = int(parameters.pop("num_boost_round")), int(parameters.pop("early_stopping_rounds"))
    coverage = float(parameters.pop("interval_coverage"))
    if not 0 < coverage < 1:
        raise ValueError(f"interval_coverage is {coverage}; allowed is a share between 0 and 1")
    # one thread: on so few rows more of them only wait for each other
    parameters |= {"bagging_freq": 1, "deterministic": True, "force_row_wise": True, "verbose": -1, "num_threads": 1}
    rows, held_out = design(train.features), design(validation.features)

    def learn(
        objective: Mapping[str, Scalar], rounds: int, callbacks: list[Callable[[lgb.callback.CallbackEnv], None]]
    ) -> lgb.Booster:
        data = lgb.Dataset(rows.to_numpy(), train.target, feature_name=rows.columns)
        valid = lgb.Dataset(held_out.to_numpy(), validation.target, reference=data)
        return lgb.train({**parameters, **objective}, data, rounds, valid_sets=[valid], callbacks=list(callbacks))

    outside = (1 - coverage) / 2
    ends = {"low": outside, "high": 1 - outside}
    try:
        stop = lgb.early_stopping(patience, verbose=False)
        boosters = {"value": learn({"objective": "regression", "metric": "l2"}, rounds, [stop])}
        for name, alpha in ends.items():
            boosters[name] = learn({"objective": "quantile", "alpha": alpha}, min(rounds, QUANTILE_ROUNDS), [])
    except lgb.basic.LightGBMError as error:
        raise ValueError(f"LightGBM refuses the hyperparameters {dict(hyperparameters)}: {error}") from error
    low, high = (np.asarray(boosters[name].predict(held_out.to_numpy())) for name in ends)
    missed_by = np.maximum(low - validation.target, validation.target - high)
    level = min(coverage * (1 + 1 / len(missed_by)), 1.0)
    return Fitted(boosters, float(np.quantile(missed_by, level, method="higher")))


def predict(model: Fitted, features: pl.DataFrame) -> Array:
    return np.asarray(model.boosters["value"].predict(design(features).to_numpy(), num_threads=1))


def intervals(model: Fitted, features: pl.DataFrame) -> Array:
    """(rows, 2) in rings; an end never crosses the value."""
    rows = design(features).to_numpy()
    value, low, high = (np.asarray(model.boosters[name].predict(rows, num_threads=1)) for name in PARTS)
    return np.column_stack([np.minimum(low - model.margin, value), np.maximum(high + model.margin, value)])


def save(model: Fitted, folder: Path) -> None:
    """LightGBM's text format, up to the best round."""
    for name in PARTS:
        booster = model.boosters[name]
        booster.save_model(folder / f"{name}.txt", num_iteration=booster.best_iteration)
    (folder / MARGIN_FILE).write_text(json.dumps({"margin": model.margin}), encoding="utf-8")


def load(folder: Path) -> Fitted:
    boosters = {name: lgb.Booster(model_file=folder / f"{name}.txt") for name in PARTS}
    return Fitted(boosters, float(json.loads((folder / MARGIN_FILE).read_text(encoding="utf-8"))["margin"]))


def describe(model: Fitted) -> dict[str, Scalar]:
    return {"trees": model.boosters["value"].num_trees(), "interval_margin": round(model.margin, 4)}


def importance(model: Fitted) -> dict[str, float]:
    """Total gain of each column's splits."""
    booster = model.boosters["value"]
    gains = booster.feature_importance("gain")
    return {name: float(gain) for name, gain in zip(booster.feature_name(), gains, strict=True)}
