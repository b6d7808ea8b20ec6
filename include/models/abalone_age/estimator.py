"""LightGBM on the squared error, stopped early, with two more models for the ends of an interval.

The ends are quantiles learned as such, moved by as much as needed to cover their share of the validation split
(conformalized quantile regression, https://arxiv.org/abs/1905.03222). Young, middle and old animals, a third of the
validation split each, have separate margins; otherwise the old ones, who are estimated too young, would be missed far
more often than promised. A number of rings is in the interval if the margin of its own third reaches it (label
conditional, or Mondrian, conformal prediction; Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005,
chapter 4). The interval spans all of these, so the margins are fitted to its overall coverage. The test split shows
whether it keeps its promise (``interval_coverage``, and that of each third).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import polars as pl

from include.models import boosting, trees
from include.models.config import Scalar
from include.models.interface import Array, Contributions, Examples

SEXES = ("F", "I", "M")
PARTS = ("value", "low", "high")  # one file each
MARGIN_FILE = "interval.json"
QUANTILE_ROUNDS = 200
THIRDS = (1 / 3, 2 / 3)
ROUNDS, STEP = 30, 1.5  # of fitting margins; rings for each unit of coverage that is missing


@dataclass(frozen=True)
class Fitted:
    """Boosters by what they predict; how far the interval's ends are moved outwards, in rings, for animals up to each
    of ``edges`` and beyond the last."""

    boosters: dict[str, lgb.Booster]
    margins: list[float]
    edges: list[float]


def design(features: pl.DataFrame) -> pl.DataFrame:
    """The measures, sex one-hot (all zero if unknown), and the composition of the weight."""
    whole = pl.when(pl.col("whole_weight") > 0).then(pl.col("whole_weight"))
    return features.select(
        *((pl.col("sex") == sex).fill_null(value=False).cast(pl.Float64).alias(f"sex_{sex.lower()}") for sex in SEXES),
        pl.exclude("sex").cast(pl.Float64),
        (pl.col("shell_weight") / whole).alias("shell_share"),
        (pl.col("shucked_weight") / whole).alias("shucked_share"),
        (pl.col("whole_weight") - pl.sum_horizontal(pl.col("^(shucked|viscera|shell)_weight$"))).alias("lost_weight"),
    )


def fit(train: Examples, validation: Examples, hyperparameters: Mapping[str, Scalar]) -> Fitted:
    coverage = float(hyperparameters["interval_coverage"])
    if not 0 < coverage < 1:
        raise ValueError(f"interval_coverage is {coverage}; allowed is a share between 0 and 1")
    rounds = int(hyperparameters["num_boost_round"])
    ends = min(rounds, QUANTILE_ROUNDS)
    boosters = _learn(train, validation, hyperparameters, {"value": rounds, "low": ends, "high": ends})
    held_out = design(validation.features).to_numpy()
    value, low, high = (np.asarray(boosters[name].predict(held_out)) for name in PARTS)
    edges = np.quantile(validation.target, THIRDS).tolist()
    return Fitted(boosters, _margins(validation.target, value, (low, high), edges, coverage), edges)


def refit(model: Fitted, rows: Examples, hyperparameters: Mapping[str, Scalar]) -> Fitted:
    """The margins stay: training rows do not tell how wide an interval must be."""
    rounds = {name: booster.current_iteration() for name, booster in model.boosters.items()}
    return replace(model, boosters=_learn(rows, None, hyperparameters, rounds))


def _learn(
    train: Examples, validation: Examples | None, hyperparameters: Mapping[str, Scalar], rounds: Mapping[str, int]
) -> dict[str, lgb.Booster]:
    """The three boosters; without a validation split, each has the maximum number of rounds."""
    parameters = dict(hyperparameters)
    del parameters["num_boost_round"]
    patience, outside = (
        int(parameters.pop("early_stopping_rounds")),
        (1 - float(parameters.pop("interval_coverage"))) / 2,
    )
    # one thread: on so few rows more of them only wait for each other
    parameters |= {"bagging_freq": 1, "deterministic": True, "force_row_wise": True, "verbose": -1, "num_threads": 1}
    objectives: dict[str, dict[str, Scalar]] = {
        "value": {"objective": "regression", "metric": "l2"},
        "low": {"objective": "quantile", "alpha": outside},
        "high": {"objective": "quantile", "alpha": 1 - outside},
    }
    rows, boosters = design(train.features), {}
    for name, objective in objectives.items():
        data = lgb.Dataset(rows.to_numpy(), train.target, feature_name=rows.columns)
        held_out, is_value = None, name == "value"
        if validation:
            held_out = lgb.Dataset(design(validation.features), validation.target, reference=data)
        boosters[name] = boosting.train(
            {**parameters, **objective},
            data,
            rounds[name],
            held_out,
            patience=patience if is_value else 0,
            telling=is_value,
        )
    return boosters


def _margins(
    target: Array, value: Array, ends: tuple[Array, Array], edges: list[float], coverage: float
) -> list[float]:
    """The margin of each part with which intervals cover their share of its values: first each separately, then
    iteratively what they cover together."""
    part = np.searchsorted(edges, target)
    missed_by = np.maximum(ends[0] - target, target - ends[1])
    levels = [min(coverage * (1 + 1 / max(int((part == one).sum()), 1)), 1.0) for one in range(len(edges) + 1)]
    margins = [
        float(np.quantile(missed_by[part == one] if (part == one).any() else missed_by, level, method="higher"))
        for one, level in enumerate(levels)
    ]
    for _ in range(ROUNDS):
        for one in set(part.tolist()):
            low, high = _spanned(value, ends, edges, margins)
            held = ((low <= target) & (target <= high))[part == one].mean()
            margins[one] += STEP * float(levels[one] - held)
    return margins


def _spanned(value: Array, ends: tuple[Array, Array], edges: list[float], margins: list[float]) -> tuple[Array, Array]:
    """The ends of intervals; the learned ones if no part is reached. The value is always within."""
    lowest, highest = np.full(len(value), np.inf), np.full(len(value), -np.inf)
    borders = [-np.inf, *edges, np.inf]
    for margin, start, end in zip(margins, borders, borders[1:], strict=False):
        low, high = np.maximum(ends[0] - margin, start), np.minimum(ends[1] + margin, end)
        lowest = np.where(low <= high, np.minimum(lowest, low), lowest)
        highest = np.where(low <= high, np.maximum(highest, high), highest)
    nothing = lowest > highest
    lowest, highest = np.where(nothing, ends[0], lowest), np.where(nothing, ends[1], highest)
    return np.minimum(lowest, value), np.maximum(highest, value)


def predict(model: Fitted, features: pl.DataFrame) -> Array:
    return np.asarray(model.boosters["value"].predict(design(features).to_numpy(), num_threads=1))


def intervals(model: Fitted, features: pl.DataFrame) -> Array:
    """(rows, 2) in rings; an end never crosses the value."""
    rows = design(features).to_numpy()
    value, low, high = (np.asarray(model.boosters[name].predict(rows, num_threads=1)) for name in PARTS)
    return np.column_stack(_spanned(value, (low, high), model.edges, model.margins))


def contributions(model: Fitted, features: pl.DataFrame, labels: Array | None) -> Contributions:
    """In rings."""
    rows = design(features)
    return trees.contributions(model.boosters["value"], rows.columns, rows.to_numpy(), labels)


def save(model: Fitted, folder: Path) -> None:
    """LightGBM's text format, up to the best round."""
    for name in PARTS:
        booster = model.boosters[name]
        booster.save_model(folder / f"{name}.txt", num_iteration=booster.best_iteration)
    (folder / MARGIN_FILE).write_text(json.dumps({"margins": model.margins, "edges": model.edges}), encoding="utf-8")


def load(folder: Path) -> Fitted:
    boosters = {name: lgb.Booster(model_file=folder / f"{name}.txt") for name in PARTS}
    kept = json.loads((folder / MARGIN_FILE).read_text(encoding="utf-8"))
    # older artifacts have one margin for all
    return Fitted(boosters, kept.get("margins") or [kept["margin"]], kept.get("edges", []))


def describe(model: Fitted) -> dict[str, Scalar]:
    margins = {f"interval_margin_{number}": round(margin, 4) for number, margin in enumerate(model.margins, 1)}
    return {"trees": model.boosters["value"].num_trees(), **margins}


def importance(model: Fitted) -> dict[str, float]:
    """Total gain of each column's splits."""
    booster = model.boosters["value"]
    gains = booster.feature_importance("gain")
    return {name: float(gain) for name, gain in zip(booster.feature_name(), gains, strict=True)}
