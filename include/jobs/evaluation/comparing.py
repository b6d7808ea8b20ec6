"""A candidate beside other models on the same rows, draw by draw: how much better it is, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from include.jobs.evaluation.measuring import NOTHING, Measured
from include.models.config import Gate, ModelConfig
from include.models.config.metrics import Direction, Metric
from include.models.config.results import Comparison
from include.models.interface import Array

POWER = 1.645 + 0.842  # standard deviations from 5 % one-sided at a power of 80 %


def gains(config: ModelConfig, ours: Measured, others: Mapping[str, Measured]) -> Measured:
    """What the gates over baselines ask for, under the gates' names; those of baselines that there are."""
    found = NOTHING
    known = config.evaluation_metrics
    for gate in config.gates:
        beside = others.get(gate.over) if gate.over else None
        if beside is not None and gate.metric in beside.values:
            found |= _gain(gate, known[gate.metric], ours, beside)
    return found


def compare(config: ModelConfig, ours: Measured, theirs: Measured) -> Comparison | None:
    """The candidate beside the champion, in the champion's metric; None where that has no value or no replicates."""
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
