"""The metrics of an evaluation, known in advance: what gates, champion and tuning may use.

The jobs compute them (``include.jobs.evaluation.metrics``); a test there keeps the two in step.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Metric:
    """A metric's range, and which direction is better; None if unknown."""

    low: float | None = None
    high: float | None = None
    better: Direction | None = None

    def refuses(self, bound: float) -> bool:
        """Whether the bound lies outside the metric's range."""
        return (self.low is not None and bound < self.low) or (self.high is not None and bound > self.high)

    @property
    def best(self) -> float | None:
        """The best possible value."""
        return {"minimize": self.low, "maximize": self.high, None: None}[self.better]

    @property
    def ends(self) -> tuple[float, float]:
        """Of the range, infinite where it is open."""
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high

    @property
    def span(self) -> float | None:
        """The largest possible difference of two values."""
        return None if self.low is None or self.high is None else self.high - self.low

    def gain(self, *, share: bool) -> Metric:
        """The metric for being better than another model; as a share of what is possible, if ``share``."""
        if share:
            return Metric(None, 1, "maximize")
        return Metric(None if self.span is None else -self.span, self.span, "maximize")

    @property
    def range(self) -> str:
        if self.low is None and self.high is None:
            return "can have any value"
        if self.low is None:
            return f"is at most {self.high:g}"
        return f"is at least {self.low:g}" if self.high is None else f"lies between {self.low:g} and {self.high:g}"


SHARE = Metric(0, 1, "maximize")
LOSS = Metric(0, None, "minimize")
REGRESSION = {"mse": LOSS, "rmse": LOSS, "mae": LOSS, "r2": Metric(None, 1, "maximize")}
ERROR_SHARE = Metric(0, 1, "minimize")
# brier: the mean squared error over all classes; ece: the mean calibration error over classes, in ten bins
OF_CLASSES = {
    "accuracy": SHARE,
    "macro_f1": SHARE,
    "log_loss": LOSS,
    "brier": Metric(0, 2, "minimize"),
    "ece": ERROR_SHARE,
}
OF_EACH_CLASS = ("precision", "recall", "f1", "pr_auc")
BINARY = dict.fromkeys(("precision", "recall", "specificity", "npv", "f1", "roc_auc", "pr_auc"), SHARE)
THIRDS = ("low", "middle", "high")  # of the true values
INTERVALS = {"interval_coverage": Metric(0, 1), "interval_width": LOSS} | {
    f"interval_coverage_{name}": Metric(0, 1) for name in THIRDS
}
COST = "cost_per_1000"  # per 1,000 rows, of the mistakes priced in model.yaml's decision
# the largest difference between two segments of a protected slice, whose name is the suffix
_OF_CLASSES = {"accuracy_difference": Metric(0, 1, "minimize")}
FAIRNESS = {
    "multiclass": _OF_CLASSES,
    "binary": _OF_CLASSES
    | dict.fromkeys(("demographic_parity_difference", "equalized_odds_difference"), Metric(0, 1, "minimize")),
    "regression": {"mae_difference": LOSS, "prediction_difference": LOSS},
}
ROLLING = "rolling_"
# what an evaluation says about its own data, so that gates can check it too
GROUND = {
    "rarest_class_rows": Metric(0, None, "maximize"),  # of the test split; for a regression all of its rows
    "learned_per_tested": Metric(0, None, "maximize"),  # training rows per test row
    "dead_features": LOSS,  # with a single value, or none, throughout the training or the test split
    "one_feature_alone": Metric(None, 1),  # macro F1 (R² of a regression) of the best small tree on a single feature
}
ONE_RULE = "one_rule"  # a single split on a single column, learned from the training split, as a baseline
PRODUCTION = "production"  # the best of the versions that were last in production, as a baseline
CONSTANT = {"regression": "mean", "binary": "majority", "multiclass": "majority"}  # the best constant prediction


def validation_metrics(problem: str, classes: Collection[str]) -> dict[str, Metric]:
    """The metrics of predictions alone, which is all that a training job has."""
    if problem == "regression":
        return dict(REGRESSION)
    of_each = {f"{metric}_{name}": SHARE for name in classes for metric in OF_EACH_CLASS}
    of_each |= {f"ece_{name}": ERROR_SHARE for name in classes}
    return OF_CLASSES | of_each | (BINARY if problem == "binary" else {})


def evaluation_metrics(
    problem: str,
    classes: Collection[str],
    *,
    intervals: bool,
    own: Mapping[str, Metric],
    rolling: bool,
    protected: Collection[str] = (),
    costs: bool = False,
) -> dict[str, Metric]:
    """The metrics of a candidate on the test split.

    Args:
        intervals: whether the estimator predicts intervals.
        own: what the model's evaluation.py adds.
        rolling: whether refits at earlier ends of the data are evaluated too.
        protected: slices whose segments must be treated alike.
        costs: whether mistakes have costs.
    """
    everywhere = validation_metrics(problem, classes) | dict(own) | ({COST: LOSS} if costs else {})
    refits = {f"{ROLLING}{name}": metric for name, metric in everywhere.items()} if rolling else {}
    return everywhere | (INTERVALS if intervals else {}) | refits | fairness_metrics(problem, protected) | GROUND


def fairness_metrics(problem: str, protected: Collection[str]) -> dict[str, Metric]:
    return {f"{name}_{one}": metric for one in protected for name, metric in FAIRNESS[problem].items()}


def against_baselines(problem: str, classes: Collection[str], baseline: str | None = None) -> set[str]:
    """The metrics that a baseline also has: it predicts values, or labels without probabilities; of the built-in ones
    only the single rule has probabilities."""
    ranked = {"log_loss", "roc_auc", "pr_auc", "brier", "ece"}
    ranked |= {f"{metric}_{name}" for name in classes for metric in ("pr_auc", "ece")}
    return set(validation_metrics(problem, classes)) - (set() if baseline == ONE_RULE else ranked)
