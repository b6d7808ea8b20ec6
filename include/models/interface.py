"""What a model folder offers to the jobs, which know models only by name.

models/<name>/features.py      build_features(tables, with_label) -> feature table
models/<name>/estimator.py     the functions of ``Estimator``; a regression may add that of ``Intervals``, any those of
                               ``Explains`` and ``Refits``
models/<name>/evaluation.py    optional, the functions of ``DomainEvaluation``: what its numbers mean in the domain
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt
import polars as pl

from include.models.config import Scalar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]
Tables = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Examples:
    """Rows to learn from: features (rows x features, in order, null where unknown) and the target.

    ``target`` is the index into ``classes``, or the value itself for a regression, where ``classes`` is empty.
    """

    features: pl.DataFrame
    target: Array
    classes: list[str]


class FeatureBuilder(Protocol):
    def build_features(self, tables: Tables, with_label: bool = True) -> pl.DataFrame: ...


class Estimator[Model](Protocol):
    """How a model is fitted and stored; ``Model`` is any type."""

    def fit(self, train: Examples, validation: Examples, hyperparameters: Mapping[str, Scalar]) -> Model:
        """A fitted model. Raises ValueError for an invalid hyperparameter."""

    def predict(self, model: Model, features: pl.DataFrame) -> Array:
        """Probabilities (rows, classes), or values (rows,) for a regression. A row's prediction depends only on the
        row."""

    def save(self, model: Model, folder: Path) -> None:
        """Writes the model into the folder, in a format that executes nothing when it is read."""

    def load(self, folder: Path) -> Model:
        """The model that ``save`` wrote; it predicts the same bits."""

    def describe(self, model: Model) -> dict[str, Scalar]:
        """Properties of the fit, such as the number of trees."""

    def importance(self, model: Model) -> dict[str, float]:
        """How much each feature contributes, in any unit."""


AnyEstimator = Estimator[Any]  # of a model folder known only by name


class Intervals[Model](Protocol):
    def intervals(self, model: Model, features: pl.DataFrame) -> Array:
        """(rows, 2): the lower and the upper end of each value's interval. Endpoints return them."""


class Refits[Model](Protocol):
    def refit(self, model: Model, rows: Examples, hyperparameters: Mapping[str, Scalar]) -> Model:
        """The model refitted on all rows, including its validation split, with what the first fit chose, such as the
        number of rounds, taken from ``model``."""


@dataclass(frozen=True)
class Contributions:
    """What each input of a model adds to the score of a row's prediction.

    ``inputs`` (rows, names): their values, nan where unknown. ``values`` (rows, names + 1): the last is the base, to
    which the others add up to the score, so each row's sum is its score.
    """

    names: list[str]
    inputs: Array
    values: Array


class Explains[Model](Protocol):
    def contributions(self, model: Model, features: pl.DataFrame, labels: Array | None) -> Contributions | None:
        """For the class with the index in ``labels`` (rows,), or for the value; None if this model has none."""


@dataclass(frozen=True)
class DomainFindings:
    """What a model's own evaluation adds: flat metrics, sentences about them, plots by title (drawn on Axes)."""

    metrics: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    plots: dict[str, Callable[[Axes], None]] = field(default_factory=dict)


class DomainEvaluation(Protocol):
    def evaluate(self, scored: pl.DataFrame, tables: Tables) -> DomainFindings:
        """``scored``: the test split's key, time and label, and ``predicted``; ``tables``: validated raw tables."""

    def baselines(self, test: pl.DataFrame, tables: Tables) -> dict[str, pl.Series]:
        """Predictions of simple rules that a model must beat, by name."""
