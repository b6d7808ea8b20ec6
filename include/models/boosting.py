"""LightGBM as estimators use it. One with a single booster takes ``save``, ``load``, ``importance`` and
``contributions`` from here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import lightgbm as lgb
import polars as pl

from include.models import trees
from include.models.config import Scalar
from include.models.interface import Array, Contributions
from include.models.rounds import feval

FILE = "model.txt"


def train(
    parameters: Mapping[str, Scalar],
    data: lgb.Dataset,
    rounds: int,
    held_out: lgb.Dataset | None = None,
    *,
    patience: int = 0,
    telling: bool = True,
) -> lgb.Booster:
    """Trains for that many rounds, or until ``patience`` of them bring no gain on the held-out rows.

    Args:
        patience: 0: it never stops early.
        telling: whether it reports its progress to a tuning job (see ``rounds``).

    Raises:
        ValueError: LightGBM rejects a hyperparameter.
    """
    watched = [] if held_out is None else [held_out]
    stop = [lgb.early_stopping(patience, verbose=False)] if watched and patience else []
    look = feval() if telling else None
    try:
        return lgb.train(dict(parameters), data, rounds, valid_sets=watched, callbacks=[*stop], feval=look)
    except lgb.basic.LightGBMError as error:
        raise ValueError(f"LightGBM rejects the hyperparameters {dict(parameters)}: {error}") from error


def save(model: lgb.Booster, folder: Path) -> None:
    """LightGBM's text format, up to the best round."""
    model.save_model(folder / FILE, num_iteration=model.best_iteration or None)


def load(folder: Path) -> lgb.Booster:
    return lgb.Booster(model_file=folder / FILE)


def importance(model: lgb.Booster) -> dict[str, float]:
    """Total gain of each feature's splits."""
    gains = model.feature_importance("gain")
    return {name: float(gain) for name, gain in zip(model.feature_name(), gains, strict=True)}


def contributions(model: lgb.Booster, features: pl.DataFrame, labels: Array | None) -> Contributions:
    names = model.feature_name()
    return trees.contributions(model, names, features.select(names).to_numpy(), labels)
