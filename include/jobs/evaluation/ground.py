"""The basis of an evaluation: enough rows, no dead features, and no leaking one."""

from __future__ import annotations

import numpy as np
import polars as pl

from include.jobs.evaluation.metrics import Metrics
from include.models.config import DriftProfile, FeatureProfile, ModelConfig
from include.models.interface import Examples
from include.models.tabular.first_look.leaks import suspects
from include.models.tabular.single_feature import alone

FEWEST_ROWS, MOST_ROWS = 50, 6000  # of the test split, to suspect a feature by
BY_CHANCE = 1e-6  # probability of a test split with one value only, up to which that is none


def ground(truth: Examples, profile: DriftProfile, learned: int) -> Metrics:
    """The metrics of ``GROUND``.

    Args:
        truth: of the test split.
        profile: of the training split.
        learned: the number of its rows.
    """
    counts = np.bincount(truth.target, minlength=len(truth.classes)) if truth.classes else np.array([len(truth.target)])
    return {
        "rarest_class_rows": float(counts.min()),
        "learned_per_tested": learned / len(truth.target),
        "dead_features": float(len(dead_features(truth.features, profile))),
        "one_feature_alone": max(alone(truth).values(), default=0.0),
    }


def suspected(config: ModelConfig, truth: Examples) -> list[str]:
    """Features that nearly tell the target on their own, as ``make new-model`` looks for them in a file."""
    if len(truth.target) < FEWEST_ROWS:
        return []
    target = pl.Series(config.data.label, truth.target)
    every = -(-len(target) // MOST_ROWS)
    rows = truth.features.with_columns(target).gather_every(every)
    return suspects(rows, truth.features.columns, config.data.label, config.problem)


def dead_features(test: pl.DataFrame, profile: DriftProfile) -> list[str]:
    """Features that are constant or empty in training, or in the test split but not in training."""
    return [name for name, known in profile.items() if _dead_in_training(known) or _died(test[name], known)]


def _dead_in_training(known: FeatureProfile) -> bool:
    if "values" in known:
        return len(known["values"]) <= 1
    return "min" in known and known["min"] == known.get("max")  # both None if there is no value


def _died(test: pl.Series, known: FeatureProfile) -> bool:
    if test.drop_nulls().n_unique() > 1:
        return False
    most = max(*(share * (1 - known["missing"]) for share in known["shares"]), known["missing"], 0.0)
    return most ** len(test) < BY_CHANCE
