"""A model on the segments of the test split that model.yaml's ``slices`` name: each measured separately."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from include.jobs.evaluation.measuring import NOTHING, Answers, Measured, Measures
from include.jobs.evaluation.metrics import Metrics, interval, plain
from include.models.config import Gate, ModelConfig, Slice
from include.models.config.references import table_of_slice
from include.models.config.results import Segment
from include.models.interface import Array, Tables

PARTS = {"weekday": "%A", "month": "%Y-%m", "hour": "%H"}
SHOWN = ("accuracy", "precision", "recall", "mae")  # of each segment, besides the judged metrics


@dataclass(frozen=True)
class Sliced:
    """The segments of a slice that have rows, by name: their sizes and metrics."""

    about: Slice
    rows: dict[str, int]
    measured: dict[str, Measured]

    def judged(self, metric: str) -> dict[str, Measured]:
        """Segments with enough rows, on which the metric is defined."""
        return {
            name: one
            for name, one in self.measured.items()
            if self.rows[name] >= self.about.min_rows and np.isfinite(one.values.get(metric, np.nan))
        }


def slice_of(config: ModelConfig, one: Slice, test: pl.DataFrame, tables: Tables) -> pl.Series:
    """Each row's segment, as text; null if its value is missing."""
    values = test[one.of] if one.of in test.columns else _looked_up(config, one, test, tables)
    if one.part:
        return values.dt.to_string(PARTS[one.part])
    if one.bands:
        ends = [f"{end:g}" for end in one.bands]
        between = [f"{low} to {high}" for low, high in pairwise(ends)]
        labels = [f"under {ends[0]}", *between, f"{ends[-1]} and more"]
        return values.cast(pl.Float64).cut(one.bands, labels=labels, left_closed=True).cast(pl.String)
    return values.cast(pl.String)


def _looked_up(config: ModelConfig, one: Slice, test: pl.DataFrame, tables: Tables) -> pl.Series:
    name = str(table_of_slice(config, one))
    key = config.data.tables[name].key
    once = tables[name].select(*key, one.of).unique(key)
    return test.select(key).join(once, on=key, how="left", maintain_order="left")[one.of]


def sliced(measures: Measures, answers: Answers) -> list[Sliced]:
    """The metrics of predictions alone, on each segment of each slice."""
    config, found = measures.config, []
    for one in config.slices:
        segments = slice_of(config, one, measures.test, measures.tables).to_numpy()
        masks = {str(name): segments == name for name in sorted({name for name in segments if name is not None})}
        measured = {name: measures.on(rows).of_predictions(answers.on(rows)) for name, rows in masks.items()}
        found.append(Sliced(one, {name: int(rows.sum()) for name, rows in masks.items()}, measured))
    return found


def worst_of_gates(config: ModelConfig, found: list[Sliced]) -> tuple[Measured, dict[str, str]]:
    """The values for gates of slices, under the gates' names, and the worst segments that they come from. Missing if no
    segment can be judged."""
    by_name = {one.about.name: one for one in found}
    measured, segments = NOTHING, {}
    for gate in config.gates:
        judged = by_name[gate.slice].judged(gate.metric) if gate.slice else {}
        if judged:
            name, worst = min(judged.items(), key=lambda one: _held(gate, one[1]) * (1 if gate.max is None else -1))
            draws = {gate.measured: worst.replicates[gate.metric]} if gate.metric in worst.replicates else {}
            measured |= Measured({gate.measured: worst.values[gate.metric]}, draws)
            segments[gate.measured] = name
    return measured, segments


def told(config: ModelConfig, found: list[Sliced]) -> dict[str, list[Segment]]:
    """The segments by slice, for JSON: the worst by the champion's metric first, those without enough rows last."""
    rule = config.champion
    sign = 1 if rule.direction == "maximize" else -1

    def place(segment: Segment) -> tuple[bool, float]:
        value = segment["metrics"].get(rule.metric)
        return not segment["enough"], np.inf if value is None else sign * value

    outcome = {}
    for one in found:
        shown = {rule.metric, *SHOWN, *(gate.metric for gate in config.gates if gate.slice == one.about.name)}
        segments = [_segment(one, name, shown) for name in one.measured]
        outcome[one.about.name] = sorted(segments, key=place)
    return outcome


def fairness(measures: Measures, answers: Answers) -> Metrics:
    """How differently a model treats the segments of the protected slices: the largest difference between two of them.

    Source of the formulas: https://fairlearn.org/main/user_guide/assessment/common_fairness_metrics.html
    """
    found: Metrics = {}
    for one in measures.config.slices:
        if one.protected:
            segments = slice_of(measures.config, one, measures.test, measures.tables).fill_null("unknown").to_numpy()
            decided = answers.predictions if answers.labels is None else answers.labels
            differences = _differences(measures.config, measures.truth.target, decided, segments)
            found |= {f"{name}_{one.name}": value for name, value in differences.items()}
    return found


def _differences(config: ModelConfig, target: Array, predictions: Array, segments: Array) -> Metrics:
    """For values (rows,), class indices (rows,), or probabilities (rows, classes)."""
    from fairlearn import metrics as fair  # 0.5 s, which only evaluations with a protected slice pay for
    from sklearn.metrics import accuracy_score, mean_absolute_error

    if config.problem == "regression":
        frame = fair.MetricFrame(
            metrics={"mae_difference": mean_absolute_error, "prediction_difference": fair.mean_prediction},
            y_true=target,
            y_pred=predictions,
            sensitive_features=segments,
        )
        return {str(name): float(value) for name, value in frame.difference().items()}
    predicted = predictions.argmax(axis=1) if predictions.ndim > 1 else predictions
    by = {"y_true": target, "y_pred": predicted, "sensitive_features": segments}
    found = {"accuracy_difference": float(fair.MetricFrame(metrics=accuracy_score, **by).difference())}
    if config.problem == "binary":
        found["demographic_parity_difference"] = float(fair.demographic_parity_difference(**by))
        found["equalized_odds_difference"] = float(fair.equalized_odds_difference(**by))
    return found


def _held(gate: Gate, one: Measured) -> float:
    """The number that the gate checks; the value if there is no interval."""
    ends = interval(one.replicates[gate.metric]) if gate.interval and gate.metric in one.replicates else None
    return one.values[gate.metric] if ends is None else ends[0 if gate.max is None else 1]


def _segment(one: Sliced, name: str, shown: set[str]) -> Segment:
    measured = one.measured[name]
    known = sorted(shown & measured.values.keys())
    ends = {metric: interval(measured.replicates[metric]) for metric in known if metric in measured.replicates}
    return {
        "segment": name,
        "rows": one.rows[name],
        "enough": one.rows[name] >= one.about.min_rows,
        "metrics": {metric: _short(value) for metric, value in plain({m: measured.values[m] for m in known}).items()},
        "intervals": {metric: (float(f"{low:.4g}"), float(f"{high:.4g}")) for metric, (low, high) in _known(ends)},
    }


def _known(ends: dict[str, tuple[float, float] | None]) -> list[tuple[str, tuple[float, float]]]:
    return [(metric, found) for metric, found in ends.items() if found is not None]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
