"""Measures a model's predictions on some rows: every metric's value, and its value in each draw of those rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from include.jobs.evaluation.metrics import Metrics, interval_metrics, labels_metrics, measure, shares
from include.jobs.evaluation.resampling import (
    Replicates,
    Resampled,
    interval_replicates,
    label_replicates,
    replicates,
    resampled,
    whole_replicates,
)
from include.jobs.serving.artifact import LoadedModel
from include.jobs.serving.decision import cost_of
from include.models.config import ModelConfig
from include.models.config.metrics import CONSTANT, COST
from include.models.interface import Array, DomainEvaluation, DomainFindings, Examples, Tables
from include.models.loader import domain_evaluation


@dataclass(frozen=True)
class Measured:
    """Metrics by name, and the replicates of those that have some."""

    values: Metrics
    replicates: Replicates = field(default_factory=dict)

    def __or__(self, other: Measured) -> Measured:
        return Measured(self.values | other.values, self.replicates | other.replicates)


NOTHING = Measured({})


@dataclass(frozen=True)
class Answers:
    """A model's predictions: probabilities (rows, classes) and the decided class indices (rows,), by default the
    likeliest; or values (rows,) and the ends of their intervals (rows, 2)."""

    predictions: Array
    intervals: Array | None = None
    labels: Array | None = None

    @classmethod
    def of(cls, model: LoadedModel, rows: pl.DataFrame) -> Answers:
        predictions = model.predict(rows)
        return cls(predictions, model.intervals(rows), model.labels(predictions))

    def on(self, rows: Array) -> Answers:
        """Of the rows of a mask."""
        parts = (None if part is None else part[rows] for part in (self.intervals, self.labels))
        return Answers(self.predictions[rows], *parts)


@dataclass(frozen=True)
class Measures:
    """Measures predictions on test rows, with the same draws of them for each model."""

    config: ModelConfig
    test: pl.DataFrame
    truth: Examples
    tables: Tables

    @cached_property
    def drawn(self) -> Resampled:
        return resampled(self.config, self.test)

    @cached_property
    def _own(self) -> DomainEvaluation | None:
        return domain_evaluation(self.config.name)

    @property
    def fewest(self) -> int:
        """Rows of the rarest class; for a regression, all."""
        target, classes = self.truth.target, self.truth.classes
        return int(np.bincount(target, minlength=len(classes)).min()) if classes else len(target)

    def on(self, rows: Array) -> Measures:
        """Of the rows of a mask alone."""
        truth = Examples(self.truth.features.filter(rows), self.truth.target[rows], self.truth.classes)
        return Measures(self.config, self.test.filter(rows), truth, self.tables)

    def of(self, answers: Answers) -> Measured:
        return self.of_predictions(answers) | self._in_the_field(self._predicted(answers.predictions, answers.labels))

    def of_predictions(self, answers: Answers) -> Measured:
        """Without what the model folder adds."""
        predictions, intervals, labels = answers.predictions, answers.intervals, answers.labels
        question = self.config.problem, self.truth.target, predictions, self.truth.classes, labels
        found = Measured(measure(*question), self._possible(replicates(*question, self.drawn)))
        found |= self._costs(predictions, labels)
        if intervals is not None:
            asked = self.truth.target, intervals
            found |= Measured(interval_metrics(*asked), interval_replicates(*asked, self.drawn))
        return found

    def of_baselines(self) -> dict[str, Measured]:
        """The best constant prediction, and what the model folder adds, by name."""
        constant, truth = CONSTANT[self.config.problem], self.truth
        if not truth.classes:
            return {constant: self.of(Answers(np.full_like(truth.target, truth.target.mean())))}
        majority = np.full_like(truth.target, np.bincount(truth.target).argmax())
        rules = {constant: self._names(majority)} | (self._own.baselines(self.test, self.tables) if self._own else {})
        return {name: self._of_labels(predicted) for name, predicted in rules.items()}

    def findings(self, predictions: Array, labels: Array | None = None) -> DomainFindings:
        """The model folder's findings about predictions."""
        return self._findings(self._predicted(predictions, labels), np.ones(len(self.test), dtype=bool))

    def _of_labels(self, predicted: pl.Series) -> Measured:
        classes = self.truth.classes
        codes = predicted.replace_strict(classes, range(len(classes)), return_dtype=pl.Int64).to_numpy()
        question = self.config.problem, self.truth.target, codes, classes
        found = Measured(labels_metrics(*question), label_replicates(*question, self.drawn))
        return found | Measured(self._findings(predicted, np.ones(len(self.test), dtype=bool)).metrics)

    def _in_the_field(self, predicted: pl.Series) -> Measured:
        def metrics(rows: Array) -> Metrics:
            return self._findings(predicted, rows).metrics

        found = metrics(np.ones(len(self.test), dtype=bool))
        return Measured(found, self._possible(whole_replicates(found, metrics, self.drawn)))

    def _possible(self, draws: Replicates) -> Replicates:
        """Within the metrics' ranges: approximate draws of a share may be above 1."""
        known = self.config.evaluation_metrics
        return {name: np.clip(one, *known[name].ends) if name in known else one for name, one in draws.items()}

    def _findings(self, predicted: pl.Series, rows: Array) -> DomainFindings:
        if self._own is None:
            return DomainFindings()
        scored = self.test.select(self.config.data.not_features).with_columns(predicted.alias("predicted"))
        return self._own.evaluate(scored.filter(rows), self.tables)

    def _costs(self, predictions: Array, labels: Array | None) -> Measured:
        costs = self.config.decision.costs if self.config.decision else None
        if costs is None:
            return NOTHING
        each = cost_of(costs, self.truth.target, predictions.argmax(axis=1) if labels is None else labels)
        total, rows = self.drawn.sums(each, np.ones(len(each)))
        return Measured({COST: 1000 * float(each.mean())}, {COST: 1000 * shares(total, rows)})

    def _predicted(self, predictions: Array, labels: Array | None) -> pl.Series:
        if not self.truth.classes:
            return pl.Series(predictions)
        return self._names(predictions.argmax(axis=1) if labels is None else labels)

    def _names(self, codes: Array) -> pl.Series:
        return pl.Series(np.array(self.truth.classes)[codes])


def mean_of(each: Sequence[Measured], rows: Sequence[int]) -> Measured:
    """``rolling_<metric>``: the mean over several tests, each counting by its rows."""
    first = each[0]
    values = {
        f"rolling_{name}": float(np.average([one.values[name] for one in each], weights=rows)) for name in first.values
    }
    draws = {
        f"rolling_{name}": np.asarray(np.average([one.replicates[name] for one in each], axis=0, weights=rows))
        for name in first.replicates
    }
    return Measured(values, draws)
