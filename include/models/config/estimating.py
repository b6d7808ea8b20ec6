"""Estimates performance from predictions by a version's calibration: Airflow's side for days, jobs for test windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .watching import Calibration, ClassAnswers, ValueAnswers

if TYPE_CHECKING:
    from .model import ModelConfig

# the first is used if the champion's metric cannot be estimated
_ESTIMATED = {
    "multiclass": ("macro_f1", "accuracy"),
    "binary": ("f1", "accuracy", "macro_f1"),
    "regression": ("mse", "mae"),
}


def watched_metric(config: ModelConfig) -> str:
    """The monitored metric: the champion's, if it can be estimated from predictions alone."""
    known = _ESTIMATED[config.problem]
    return config.champion.metric if config.champion.metric in known else known[0]


def estimated(calibration: Calibration, answers: ClassAnswers | ValueAnswers) -> dict[str, float]:
    """The expected metrics of counted predictions; none without a row.

    For classes: the expected rows by true and predicted class, scaled so that each predicted class has its counted
        rows,
    then accuracy, and F1 by class and over the classes that occur. For values: ``mse`` and ``mae``.
    """
    if "truth" in calibration:
        return _of_classes(calibration["truth"], answers)  # type: ignore[arg-type] # counts of classes
    return _of_values(calibration, answers)  # type: ignore[arg-type] # counts of values


def _of_values(calibration: Calibration, answers: ValueAnswers) -> dict[str, float]:
    rows = sum(answers)
    if not rows or len(answers) != len(calibration["errors"]):
        return {}
    named = {"mse": calibration["squares"], "mae": calibration["errors"]}
    return {name: sum(n * mean for n, mean in zip(answers, means, strict=True)) / rows for name, means in named.items()}


def _of_classes(truth: list[list[float]], answers: ClassAnswers) -> dict[str, float]:
    size = range(len(truth))
    if len(answers) != len(truth):
        return {}
    expected: list[list[float]] = []  # [predicted class][true class]
    for by_class in answers:
        rows = sum(by_class[0])
        likely = [sum(n * share for n, share in zip(by_class[code], truth[code], strict=True)) for code in size]
        scale = rows / total if (total := sum(likely)) else 0.0
        expected.append([one * scale for one in likely])
    called: list[float] = [sum(one, 0.0) for one in expected]
    total_rows = sum(called, 0.0)
    if not total_rows:
        return {}
    right = [expected[code][code] for code in size]
    true = [sum(one[code] for one in expected) for code in size]
    f1 = [2 * r / (t + c) for r, t, c in zip(right, true, called, strict=True) if t + c >= 1]
    found = {"accuracy": sum(right) / total_rows, "macro_f1": sum(f1) / len(f1)}
    if len(truth) == 2:
        found["f1"] = 2 * right[1] / (true[1] + called[1]) if true[1] + called[1] else 0.0
    return found
