"""The metrics that an evaluation has, known before there is one: what gates, champion and tuning may ask for.

The jobs compute them (``include.jobs.evaluation.metrics``); a test there holds the two together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Metric:
    """Between which values it lies, and which way it is better; None where that is not known."""

    low: float | None = None
    high: float | None = None
    better: Direction | None = None

    def refuses(self, bound: float) -> bool:
        """Whether the bound is beyond every value that there can be."""
        return (self.low is not None and bound < self.low) or (self.high is not None and bound > self.high)

    @property
    def range(self) -> str:
        if self.low is None:
            return f"is at most {self.high:g}"
        return f"is at least {self.low:g}" if self.high is None else f"lies between {self.low:g} and {self.high:g}"


SHARE = Metric(0, 1, "maximize")
LOSS = Metric(0, None, "minimize")
REGRESSION = {"mse": LOSS, "rmse": LOSS, "mae": LOSS, "r2": Metric(None, 1, "maximize")}
OF_CLASSES = {"accuracy": SHARE, "macro_f1": SHARE, "log_loss": LOSS}
OF_EACH_CLASS = ("precision", "recall", "f1", "pr_auc")
BINARY = dict.fromkeys(("precision", "recall", "specificity", "npv", "f1", "roc_auc", "pr_auc"), SHARE)
INTERVALS = {"interval_coverage": Metric(0, 1), "interval_width": LOSS}
ROLLING = "rolling_"


def validation_metrics(problem: str, classes: Collection[str]) -> dict[str, Metric]:
    """What predictions alone are measured by: all that a training job knows."""
    if problem == "regression":
        return dict(REGRESSION)
    of_each = {f"{metric}_{name}": SHARE for name in classes for metric in OF_EACH_CLASS}
    return OF_CLASSES | of_each | (BINARY if problem == "binary" else {})


def evaluation_metrics(
    problem: str, classes: Collection[str], *, intervals: bool, own: Mapping[str, Metric], rolling: bool
) -> dict[str, Metric]:
    """What a candidate is measured by on the test split.

    Args:
        intervals: whether the estimator answers with intervals.
        own: what the model's evaluation.py adds.
        rolling: whether refits at earlier ends of the data are measured too.
    """
    everywhere = validation_metrics(problem, classes) | dict(own)
    refits = {f"{ROLLING}{name}": metric for name, metric in everywhere.items()} if rolling else {}
    return everywhere | (INTERVALS if intervals else {}) | refits
