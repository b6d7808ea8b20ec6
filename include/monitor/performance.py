"""What a window's answers are worth: estimated from the answers alone, and realised, where labels have come. Pure.

Realised performance decides. It is a loss where it is below the evaluation's by more than ``monitoring.max_loss`` and
by more than chance explains. What a window with all of its labels was worth is a fact; what chance is left lies in the
evaluation, and in the rows of the window whose labels are missing. An estimate counts where it was right on the test
split's windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Any, Literal, TypedDict

from include.models.config import DayProfile, ModelConfig
from include.models.config.estimating import estimated, watched_metric
from include.models.config.performance import WindowPerformance
from include.models.config.results import Evaluation
from include.models.config.watching import ClassAnswers, Reference, ValueAnswers

SURE = 1.645  # standard errors that a loss is above none
OF_95 = 2 * 1.96  # standard errors that an interval of 95 % is wide
FEWEST_SAMPLED = 30  # rows that a person labelled
FEWEST_UNITS = 5  # with fewer machines that failed, or days, one of them is the metric

Interval = tuple[float, float] | None


class PerformanceJson(TypedDict):
    """In one metric, what evaluation measured, what can be expected of the window's answers, how far such estimates
    were off on the test split's windows (mean), and what labels show with its 95 % interval; None what is not known.

    ``labelled`` of ``scored`` rows have a label, in the window that ends with the day ``until``; ``sampled``: they are
    a random sample that a person labelled."""

    metric: str
    evaluated: float | None
    estimated: float | None
    error: float | None
    realised: float | None
    interval: tuple[float, float] | None
    labelled: int
    scored: int
    until: str | None
    sampled: bool
    loss: Literal["realised", "estimated"] | None


@dataclass(frozen=True)
class Realised:
    """The newest window of labelled days of the version that scored the day. ``overlaps``: it reaches into the days
    that are judged, so that what it says is about them."""

    until: str
    window: WindowPerformance
    overlaps: bool = True


def performance_of(
    model: ModelConfig,
    reference: Reference | None,
    days: Mapping[str, DayProfile],
    realised: Realised | None,
    evaluation: Evaluation | None,
) -> PerformanceJson | None:
    """What the window's answers are worth; None where nothing is known of that.

    Args:
        days: the window's, by date.
        evaluation: of the version; without it labels are held against nothing.
    """
    calibration = reference["calibration"] if reference else None
    if model.monitoring is None or (calibration is None and realised is None):
        return None
    metric = calibration["metric"] if calibration else watched_metric(model)
    found: PerformanceJson = {
        "metric": metric,
        "evaluated": calibration["metrics"].get(metric) if calibration else None,
        "estimated": None,
        "error": None,
        "realised": None,
        "interval": None,
        "labelled": 0,
        "scored": 0,
        "until": None,
        "sampled": False,
        "loss": None,
    }
    if calibration:
        answers = _together([one.get("answers") or [] for one in days.values()])
        found["estimated"] = estimated(calibration, answers).get(metric)
        errors = [abs(expected - measured) for expected, measured in calibration["windows"]]
        found["error"] = sum(errors) / len(errors) if errors else None
    usual = calibration["windows"] if calibration else []
    if realised is not None and _add_realised(model, found, realised, evaluation, usual) and realised.overlaps:
        return found  # labels decide
    value, evaluated, allowed = found["estimated"], found["evaluated"], model.monitoring.max_loss
    scale = _scale(model, evaluated)
    if value is not None and found["error"] is not None and found["error"] / scale <= allowed / 2:
        better = model.evaluation_metrics[metric].better
        lowest = max((_lost(better, evaluated, expected) for expected, _ in usual), default=0.0)
        if _lost(better, evaluated, value) / scale > max(allowed, lowest / scale):
            found["loss"] = "estimated"
    return found


def _add_realised(
    model: ModelConfig,
    found: PerformanceJson,
    realised: Realised,
    evaluation: Evaluation | None,
    usual: list[tuple[float, float]],
) -> bool:
    """Add what labels show; whether there are enough of them to decide by."""
    window, sampled = realised.window, realised.window["sampled"]
    fewest = model.monitoring.min_rows if model.monitoring else 0
    value: float | None
    interval: Interval
    if sampled and window["labelled"] < fewest:
        metric, value, interval = sampled["metric"], sampled["value"], sampled["interval"]
        labelled, enough, missing = sampled["labelled"], sampled["labelled"] >= FEWEST_SAMPLED, 1.0
        found["sampled"] = True
    else:
        metric, value = found["metric"], window["metrics"].get(found["metric"])
        interval = window["intervals"].get(metric)
        labelled, enough = window["labelled"], window["labelled"] >= fewest and window["evidence"] >= FEWEST_UNITS
        missing = 1 - labelled / window["rows"]
    if value is None:
        return False
    if metric != found["metric"]:
        found["metric"], found["evaluated"], found["estimated"], usual = metric, None, None, []
    found["realised"], found["interval"], found["until"] = value, interval, realised.until
    found["labelled"], found["scored"] = labelled, window["rows"]
    evaluated = evaluation["metrics"].get(metric) if evaluation else None
    if evaluated is not None:
        found["evaluated"] = evaluated
    if not enough or evaluated is None:
        return enough
    ends = evaluation.get("intervals", {}).get(metric) if evaluation else None
    if realised.overlaps and is_loss(model, metric, (evaluated, ends), (value, interval), missing, usual):
        found["loss"] = "realised"
    return True


def is_loss(
    model: ModelConfig,
    metric: str,
    evaluated: tuple[float, Interval],
    realised: tuple[float, Interval],
    missing: float,
    usual: list[tuple[float, float]],
) -> bool:
    """Whether a metric has fallen by more than may be, and by more than chance.

    Args:
        evaluated, realised: the value, and its 95 % interval where one is known.
        missing: the share of the window's rows that have no label, of which chance decides.
        usual: what was expected of, and measured in, windows of the test split.
    """
    allowed = model.monitoring.max_loss if model.monitoring else 0.0
    better, scale = model.evaluation_metrics[metric].better, _scale(model, evaluated[0])
    if model.problem == "regression":  # of which a week's error varies on its own
        allowed = max([allowed, *(_lost(better, evaluated[0], measured) / scale for _, measured in usual)])
    lost = _lost(better, evaluated[0], realised[0])
    errors = [(ends[1] - ends[0]) / OF_95 if ends else 0.0 for _, ends in (evaluated, realised)]
    error = hypot(errors[0], errors[1] * sqrt(missing))
    return lost / scale > allowed and lost > SURE * error


def _scale(model: ModelConfig, evaluated: float | None) -> float:
    """Of an error a loss is a share, as it has a unit."""
    return evaluated if model.problem == "regression" and evaluated else 1.0


def _lost(better: str | None, evaluated: float | None, value: float) -> float:
    """By how much a value is worse; below 0 where it is better."""
    if evaluated is None:
        return 0.0
    return value - evaluated if better == "minimize" else evaluated - value


def in_words(found: PerformanceJson | None) -> str:
    if found is None or (found["realised"] is None and found["estimated"] is None):
        return "nothing says what the predictions are worth: no labels, and the version has no calibration"
    evaluated = f", evaluated {found['evaluated']:.3f}" if found["evaluated"] is not None else ""
    if found["realised"] is not None:
        ends = f", 95 % {found['interval'][0]:.3f} to {found['interval'][1]:.3f}" if found["interval"] else ""
        rows = f"{found['labelled']:,} of {found['scored']:,} rows have a label, up to {found['until']}"
        return f"{found['metric']} is {found['realised']:.3f}{ends}{evaluated} ({rows})"
    off = f" (such estimates were {found['error']:.3f} off)" if found["error"] is not None else ""
    return f"{found['metric']} is estimated at {found['estimated']:.3f}{off}{evaluated}"


def _together(every: list[ClassAnswers | ValueAnswers]) -> ClassAnswers | ValueAnswers:
    """Counts of the same shape, added up."""
    given = [one for one in every if one]
    added: ClassAnswers | ValueAnswers = _add(given) if given else []
    return added


def _add(counts: list[Any]) -> Any:
    return [_add(list(some)) for some in zip(*counts, strict=True)] if isinstance(counts[0], list) else sum(counts)
