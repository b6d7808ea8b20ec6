"""Compares a candidate with other models on the same rows, draw by draw: how much better it is, and how certainly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from include.jobs.evaluation.measuring import NOTHING, Answers, Measured, Measures
from include.jobs.serving.artifact import LoadedModel
from include.models.config import Gate, ModelConfig
from include.models.config.metrics import PRODUCTION, Direction, Metric
from include.models.config.results import Comparison, Rival
from include.models.errors import JobError
from include.models.interface import Array

POWER = 1.645 + 0.842  # standard deviations from 5 % one-sided at a power of 80 %


@dataclass(frozen=True)
class InProduction:
    """A current or former production version. ``learned``: whether it was trained on each row of the test split; None
    if unknown."""

    version: int | None
    model: LoadedModel
    learned: Array | None


@dataclass(frozen=True)
class Beside:
    """The candidate and a version of production, measured on the same rows; both None if that is impossible."""

    rival: Rival
    ours: Measured | None = None
    theirs: Measured | None = None


def beside(measures: Measures, candidate: Answers, ours: Measured, other: InProduction) -> Beside:
    """The candidate beside a production version, on the rows of the test split that it was not trained on.

    Args:
        ours: the candidate, measured on all of the test split.
    """
    config, rows = measures.config, len(measures.test)
    seen = None if other.learned is None else int(other.learned.sum())
    facts: Rival = {"version": other.version, "of": rows, "seen": seen, "comparison": None, "why_not": None}
    if other.learned is None:
        return Beside({**facts, "why_not": "its artifact does not say which of these rows it was trained on"})
    left = ~other.learned
    if seen:
        measures, candidate = measures.on(left), candidate.on(left)
        if measures.fewest < config.min_positives:
            few = f"{measures.fewest} of the rarest class" if config.data.classes else f"{measures.fewest} rows"
            why = f"only {few} are left that it was not trained on, but min_positives requires {config.min_positives}"
            return Beside({**facts, "why_not": why})
    try:
        answers = Answers.of(other.model, measures.test)
    except JobError as error:
        return Beside({**facts, "why_not": str(error)})
    theirs = measures.of(answers)
    ours = measures.of(candidate) if seen else ours
    comparison = compare(config, ours, theirs)
    why_not = None if comparison else f"one of the two has no {config.champion.metric} on these rows"
    return Beside({**facts, "comparison": comparison, "why_not": why_not}, ours, theirs)


def gains(
    config: ModelConfig, ours: Measured, baselines: Mapping[str, Measured], production: Sequence[Beside]
) -> Measured:
    """The values for gates over baselines, under the gates' names; only for existing baselines. Of the production
    versions it is the one with the smallest gain."""
    found = NOTHING
    known = config.evaluation_metrics
    in_production = [(one.ours, one.theirs) for one in production if one.ours and one.theirs]
    for gate in config.gates:
        others = in_production if gate.over == PRODUCTION else [(ours, baselines.get(gate.over or "", NOTHING))]
        each = [
            _gain(gate, known[gate.metric], mine, other)
            for mine, other in others
            if gate.metric in mine.values and gate.metric in other.values
        ]
        if each:
            found |= min(each, key=lambda one: np.nan_to_num(one.values[gate.measured], nan=-np.inf))
    return found


def compare(config: ModelConfig, ours: Measured, theirs: Measured) -> Comparison | None:
    """The candidate beside a version, in the champion's metric; None if that has no value or no replicates."""
    rule = config.champion
    if rule.metric not in ours.replicates or rule.metric not in theirs.replicates:
        return None
    difference = _better(rule.direction, ours.values[rule.metric], theirs.values[rule.metric])
    draws = _better(rule.direction, ours.replicates[rule.metric], theirs.replicates[rule.metric])
    known = draws[np.isfinite(draws)]
    if not len(known) or not np.isfinite(difference):
        return None
    low, high = np.quantile(known, (0.025, 0.975))
    return {
        "candidate": ours.values[rule.metric],
        "production": theirs.values[rule.metric],
        "difference": float(difference),
        "low": float(low),
        "high": float(high),
        "worse": float(np.mean(known < -rule.margin)),
        "smallest": float(POWER * known.std()),
    }


def _gain(gate: Gate, metric: Metric, ours: Measured, theirs: Measured) -> Measured:
    better = metric.better or "maximize"
    best = metric.best if gate.share else None
    name = gate.measured
    value = _of_possible(better, best, ours.values[gate.metric], theirs.values[gate.metric])
    if gate.metric not in ours.replicates or gate.metric not in theirs.replicates:
        return Measured({name: float(value)})
    draws = _of_possible(better, best, ours.replicates[gate.metric], theirs.replicates[gate.metric])
    return Measured({name: float(value)}, {name: draws})


def _of_possible(better: Direction, best: float | None, ours: float | Array, theirs: float | Array) -> Array:
    gain = _better(better, ours, theirs)
    if best is None:
        return gain
    possible = _better(better, best, theirs)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(possible > 0, gain / possible, np.nan)


def _better(better: Direction, ours: float | Array, theirs: float | Array) -> Array:
    return np.asarray(np.subtract(ours, theirs) if better == "maximize" else np.subtract(theirs, ours))
