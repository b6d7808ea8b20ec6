"""Turns an estimator's output into calibrated probabilities, and these into labels: decision.json.

Calibration is one curve per class, fitted on the validation split; the calibrated probabilities are then normalised.
With two classes, the second has the curve, and the first gets the rest. ``isotonic`` is a step-free monotone curve
through the pooled rates; ``platt`` a logistic curve of the log-odds; ``beta`` one with a weight for each end of the
scale (Kull, Silva Filho, Flach, "Beta calibration", 2017). For the choice of a threshold see ``Decision`` in
model.yaml's schema.

A row's answer depends only on the row, to the last bit: sums run over classes one by one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from include.models.config import ModelConfig
from include.models.config.decision import Alarms, Calibration, Costs, Decision
from include.models.interface import Array

FILE = "decision.json"
LEAST = 1e-6  # probability that a curve ends at: nothing is impossible because validation has not seen it
LARGEST_EXPONENT = 700  # whose power is still a number
NEAREST_TO_CERTAIN = 1e-12  # of which there are log-odds


class Curve(TypedDict):
    """``x`` and ``y``: points to interpolate; or ``weights`` of log p, of -log(1 - p), and of 1, in log-odds."""

    x: NotRequired[list[float]]
    y: NotRequired[list[float]]
    weights: NotRequired[list[float]]


class Kept(TypedDict):
    """decision.json."""

    curves: list[Curve]
    threshold: float | None
    reached: bool


@dataclass(frozen=True)
class Judgement:
    """Curves by class (with two classes only of the second); none if nothing is calibrated. The threshold of an alarm;
    None if a row gets its likeliest class."""

    curves: tuple[Curve, ...] = ()
    threshold: float | None = None
    reached: bool = True

    def calibrated(self, probabilities: Array) -> Array:
        """Calibrated probabilities (rows, classes)."""
        if not self.curves:
            return probabilities
        if probabilities.shape[1] == 2:
            second = _apply(self.curves[0], probabilities[:, 1])
            return np.column_stack([1 - second, second])
        parts = [_apply(curve, probabilities[:, place]) for place, curve in enumerate(self.curves)]
        return np.column_stack([part / _total(parts) for part in parts])

    def labels(self, probabilities: Array) -> Array:
        """The index of each row's class (rows,), from calibrated probabilities."""
        likeliest: Array = probabilities.argmax(axis=1)
        if self.threshold is None:
            return likeliest
        return np.where(risk(probabilities) >= self.threshold, 1 + probabilities[:, 1:].argmax(axis=1), 0)

    def save(self, folder: Path) -> None:
        kept: Kept = {"curves": list(self.curves), "threshold": self.threshold, "reached": self.reached}
        (folder / FILE).write_text(json.dumps(kept, indent=1, allow_nan=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Judgement:
        """Loads what ``save`` wrote; older artifacts have none."""
        if not (folder / FILE).exists():
            return cls()
        kept: Kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(tuple(kept["curves"]), kept["threshold"], kept["reached"])


def judgement(config: ModelConfig, target: Array, answers: Array) -> Judgement:
    """Fits calibration and threshold as model.yaml says.

    Args:
        target: classes of the validation split, or values of a regression, which needs neither.
        answers: the estimator's predictions for it.
    """
    if config.problem == "regression":
        return Judgement()
    curves = calibrate(config.calibration, target, answers) if config.calibration else ()
    calibrated = Judgement(curves)
    if config.decision is None:
        return calibrated
    threshold, reached = choose(config.decision, target, calibrated.calibrated(answers))
    return Judgement(curves, threshold, reached)


def risk(probabilities: Array) -> Array:
    """The probability of any class but the first (rows,)."""
    return _total([probabilities[:, place] for place in range(1, probabilities.shape[1])])


def calibrate(how: Calibration, target: Array, probabilities: Array) -> tuple[Curve, ...]:
    """A curve per class (with two classes only for the second); classes missing from validation stay uncalibrated."""
    classes = probabilities.shape[1]
    return tuple(
        _curve(how, target == place, probabilities[:, place]) for place in ([1] if classes == 2 else range(classes))
    )


def choose(decision: Decision, target: Array, probabilities: Array) -> tuple[float, bool]:
    """The threshold for a decision, and whether its aim is reached on these rows."""
    risks = risk(probabilities)
    order = np.argsort(-risks, kind="stable")
    ends = np.flatnonzero(np.diff(risks[order], append=-1.0))  # the last row of each run of equal risks
    places, happened = risks[order][ends], target[order] != 0
    if decision.costs is not None:
        named = 1 + probabilities[order, 1:].argmax(axis=1)
        costs, change = decision.costs, np.zeros(len(target))
        change[~happened] = costs.false_alarm
        change[happened] = np.where(named == target[order], 0, costs.confused)[happened] - costs.missed
        spent = np.concatenate([[0.0], np.cumsum(change)[ends]])  # relative to no alarm at all
        fair = costs.false_alarm / (costs.false_alarm + costs.missed)  # the optimal threshold for perfect probabilities
        cuts, least = _between(places), int(spent.argmin())
        squares = np.concatenate([[0.0], np.cumsum(change**2)[ends]])
        # a threshold that differs from the cheapest by no more than chance (a standard error of the paired difference)
        # is as good, and of these the one that perfect probabilities would have is the safest on other rows
        good = np.flatnonzero(spent - spent[least] <= np.sqrt(np.abs(squares - squares[least])))
        return float(cuts[good[np.abs(cuts[good] - fair).argmin()]]), True
    caught, alarms = np.cumsum(happened)[ends], ends + 1
    cuts = _between(places)[1:]
    if decision.precision is not None:
        precise = caught / alarms
        enough = np.flatnonzero(precise >= decision.precision)
        return float(cuts[enough[-1] if len(enough) else precise.argmax()]), bool(len(enough))
    recalled = caught / max(int(happened.sum()), 1)
    enough = np.flatnonzero(recalled >= (decision.recall or 0))
    return float(cuts[enough[0] if len(enough) else -1]), bool(len(enough))


def alarms_of(costs: Costs | None, target: Array, labels: Array) -> Alarms:
    """The quality of labels as alarms."""
    alarm, happened = labels != 0, target != 0
    both = float(np.count_nonzero(alarm & happened))
    found: Alarms = {
        "precision": both / float(alarm.sum()) if alarm.any() else None,
        "recall": both / float(happened.sum()) if happened.any() else None,
        "alarms_per_1000": 1000 * float(alarm.mean()),
    }
    if costs is not None:
        found["cost_per_1000"] = 1000 * float(cost_of(costs, target, labels).mean())
    return found


def cost_of(costs: Costs, target: Array, labels: Array) -> Array:
    """The cost of each row's mistake."""
    missed, false_alarm = (target != 0) & (labels == 0), (target == 0) & (labels != 0)
    confused = (target != 0) & (labels != 0) & (labels != target)
    each: Array = missed * costs.missed + false_alarm * costs.false_alarm + confused * costs.confused
    return each


def _between(risks: Array) -> Array:
    """Thresholds half way between consecutive risks, from above all of them to below."""
    cuts: Array = (np.concatenate([[1 + 1e-9], risks]) + np.concatenate([risks, [0.0]])) / 2
    return cuts


def _curve(how: Calibration, happened: Array, probability: Array) -> Curve:
    if not 0 < np.count_nonzero(happened) < len(happened):
        return {"x": [0.0, 1.0], "y": [0.0, 1.0]}
    if how == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(y_min=LEAST, y_max=1 - LEAST, out_of_bounds="clip").fit(probability, happened)
        return {"x": fitted.X_thresholds_.tolist(), "y": fitted.y_thresholds_.tolist()}
    return {"weights": _weights(_logs(probability), happened, apart=how == "beta")}


def _weights(logs: tuple[Array, Array], happened: Array, *, apart: bool) -> list[float]:
    """The weights of the two logarithms and of 1. None is negative: calibration never reverses an order."""
    from sklearn.linear_model import LogisticRegression

    def fitted(inputs: Array) -> tuple[list[float], float]:
        model = LogisticRegression(C=1e6, max_iter=1000).fit(inputs, happened)
        return model.coef_[0].tolist(), float(model.intercept_[0])

    if apart:
        (first, second), constant = fitted(np.column_stack(logs))
        if first >= 0 and second >= 0:
            return [first, second, constant]
        kept = 1 if first < 0 else 0
        (slope,), constant = fitted(logs[kept][:, None])
        return [0.0, max(slope, 0.0), constant] if kept else [max(slope, 0.0), 0.0, constant]
    (slope,), constant = fitted((logs[0] + logs[1])[:, None])
    return [max(slope, 0.0), max(slope, 0.0), constant]


def _apply(curve: Curve, probability: Array) -> Array:
    if "weights" in curve:
        first, second, constant = curve["weights"]
        low, high = _logs(probability)
        against = -(first * low + second * high + constant)
        return np.asarray(1 / (1 + np.exp(np.minimum(against, LARGEST_EXPONENT))))
    return np.interp(probability, curve.get("x", []), curve.get("y", []))


def _logs(probability: Array) -> tuple[Array, Array]:
    """log p and -log(1 - p)."""
    inside = np.ascontiguousarray(np.clip(probability, NEAREST_TO_CERTAIN, 1 - NEAREST_TO_CERTAIN))
    return np.log(inside), -np.log1p(-inside)


def _total(parts: list[Array]) -> Array:
    """Summed from first to last, so that a row has the same sum in any batch."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
