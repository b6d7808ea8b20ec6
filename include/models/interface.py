"""What a model folder offers to the jobs, which know models only by name.

models/<name>/features.py      build_features(tables, with_label) -> feature table
models/<name>/estimator.py     the functions of ``Estimator``; a regression may add that of ``Intervals``
models/<name>/evaluation.py    optional, the functions of ``DomainEvaluation``: what its numbers mean in the field
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

Array = np.ndarray[Any, np.dtype[Any]]
Scalar = int | float | str | bool
Tables = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Examples:
    """Rows to learn from: features (rows x features, in order, null where unknown) and what is to be predicted.

    ``target`` is the index into ``classes``, or the value itself for a regression, where ``classes`` is empty.
    """

    features: pl.DataFrame
    target: Array
    classes: list[str]


class FeatureBuilder(Protocol):
    def build_features(self, tables: Tables, with_label: bool = True) -> pl.DataFrame: ...


class Estimator(Protocol):
    def fit(self, train: Examples, validation: Examples, hyperparameters: Mapping[str, Scalar]) -> Any:
        """A fitted model. Raises ValueError for a hyperparameter's value that cannot be used."""

    def predict(self, model: Any, features: pl.DataFrame) -> Array:
        """Probabilities (rows, classes), or values (rows,) for a regression. A row's answer depends on nothing but the
        row."""

    def save(self, model: Any, folder: Path) -> None:
        """Write the model into the folder, in a format that executes nothing when it is read."""

    def load(self, folder: Path) -> Any:
        """The model that ``save`` wrote; it predicts the same bits."""

    def describe(self, model: Any) -> dict[str, Scalar]:
        """Facts of the fit, such as the number of trees."""

    def importance(self, model: Any) -> dict[str, float]:
        """How much each feature contributes, in any unit."""


class Intervals(Protocol):
    def intervals(self, model: Any, features: pl.DataFrame) -> Array:
        """(rows, 2): the lower and upper end that each value is expected to lie between. Endpoints answer with them."""


@dataclass(frozen=True)
class DomainFindings:
    """What a model's own evaluation adds: flat metrics, sentences about them, plots by title (drawn on Axes)."""

    metrics: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    plots: dict[str, Callable[[Any], None]] = field(default_factory=dict)


class DomainEvaluation(Protocol):
    def evaluate(self, scored: pl.DataFrame, tables: Tables) -> DomainFindings:
        """``scored``: the test split's key, time and label, and ``predicted``; ``tables``: validated raw tables."""

    def baselines(self, test: pl.DataFrame, tables: Tables) -> dict[str, pl.Series]:
        """Predictions of rules simple enough that a model must beat them, by name."""
