"""The performance of a window's predictions: estimated from the predictions alone, and realised, once labels arrive.
Pure.

Realised performance takes precedence. It is a loss if it is below the evaluation's by more than
``monitoring.max_loss`` and by more than chance explains; if chance may explain it, there is too little to say. The
performance of a fully labelled window is certain; chance remains only in the evaluation, and in rows of the window
without labels. A version that was trained because the world had changed is compared with its evaluation since then. An
estimate counts only where it was right on the test split's windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, sqrt
from typing import Any, Literal, NotRequired, TypedDict

from include.models.config import DayProfile, ModelConfig
from include.models.config.estimating import estimated, watched_metric
from include.models.config.metrics import BINARY, OF_CLASSES, REGRESSION
from include.models.config.performance import Performance, WindowPerformance, sample_that_counts
from include.models.config.results import Evaluation, Segment
from include.models.config.watching import ClassAnswers, Reference, ValueAnswers
from include.models.config.wording import counted
from include.platform.pages import short

SURE = 1.645  # standard errors by which a loss must exceed zero
OF_95 = 1.96  # half of a 95 % interval in standard errors
FEWEST_SAMPLED = 30  # rows labelled by people
METRICS = REGRESSION | OF_CLASSES | BINARY  # a version may have been trained for another problem than model.yaml's now
FEWEST_UNITS = 5  # with fewer failed machines, or days, a single one determines the metric

Interval = tuple[float, float] | None


class PerformanceJson(TypedDict):
    """For one metric: its evaluated value (with its 95 % interval, of the test split since the day ``evaluated_since``
    unless that is None), its value estimated from the window's predictions, the mean error of such estimates on the
    test split's windows, and its realised value with a 95 % interval; None if unknown. ``unclear``: it has dropped, but
    the evaluation is too uncertain to call that a loss.

    ``labelled`` of ``scored`` rows have a label, in the window that ends with the day ``until``; ``sampled``: they are
    a random sample that people labelled. ``faulty``: of a realised loss, the labelled days with a data fault."""

    metric: str
    evaluated: float | None
    evaluated_interval: Interval
    evaluated_since: str | None
    estimated: float | None
    error: float | None
    realised: float | None
    interval: Interval
    labelled: int
    scored: int
    until: str | None
    sampled: bool
    loss: Literal["realised", "estimated"] | None
    unclear: bool
    faulty: NotRequired[list[str]]


@dataclass(frozen=True)
class Realised:
    """The newest window of labelled days of the version that scored the day. ``overlaps``: it includes some of the
    judged days, so it is about them."""

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
    """The performance of the window's predictions; None if nothing is known.

    Args:
        days: the window's, by date.
        evaluation: of the version; without it there is nothing to compare with.
    """
    calibration = reference["calibration"] if reference else None
    if model.monitoring is None or (calibration is None and realised is None):
        return None
    metric = calibration["metric"] if calibration else watched_metric(model)
    found: PerformanceJson = {
        "metric": metric,
        "evaluated": calibration["metrics"].get(metric) if calibration else None,
        "evaluated_interval": None,
        "evaluated_since": None,
        "estimated": None,
        "error": None,
        "realised": None,
        "interval": None,
        "labelled": 0,
        "scored": 0,
        "until": None,
        "sampled": False,
        "loss": None,
        "unclear": False,
    }
    _compare_with(found, evaluation)
    if calibration:
        answers = _together([one.get("answers") or [] for one in days.values()])
        found["estimated"] = estimated(calibration, answers).get(metric)
        errors = [abs(expected - measured) for expected, measured in calibration["windows"]]
        found["error"] = sum(errors) / len(errors) if errors else None
    usual = calibration["windows"] if calibration else []
    if realised is not None and _add_realised(model, found, realised, evaluation, usual) and realised.overlaps:
        return found  # labels take precedence
    value, evaluated = found["estimated"], found["evaluated"]
    if value is not None and evaluated is not None and may_decide(model, found):
        better = METRICS[metric].better
        lowest = max((_lost(better, evaluated, expected) for expected, _ in usual), default=0.0)
        lost = is_loss(model, metric, (evaluated, found["evaluated_interval"]), (value, None), 0.0, [])
        if _lost(better, evaluated, value) > lowest:
            found["loss"], found["unclear"] = "estimated" if lost else None, lost is None
    return found


def _compare_with(found: PerformanceJson, evaluation: Evaluation | None) -> None:
    """Adds the evaluated value of the metric: since the change that the version was trained for, if there was one.

    That may rest on few failures, of which none went wrong: then up to 1 - .05 ** (1 / n) of all may (95 %; Hanley and
    Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249, 1983).
    """
    metric = found["metric"]
    since = evaluation.get("since") if evaluation else None
    if since is None:
        if evaluation and metric in evaluation["metrics"]:
            found["evaluated"] = evaluation["metrics"][metric]
            found["evaluated_interval"] = evaluation.get("intervals", {}).get(metric)
        return
    value, ends = since["metrics"].get(metric), since["intervals"].get(metric)
    found["evaluated"], found["evaluated_since"] = value, since["day"]
    if value is None or METRICS[metric].better == "minimize":
        found["evaluated_interval"] = ends
        return
    least = value * 0.05 ** (1 / max(since["evidence"], 1))
    found["evaluated_interval"] = (min(least, ends[0]), ends[1]) if ends else (least, value)


def may_decide(model: ModelConfig, found: PerformanceJson) -> bool:
    """Whether estimates were close enough on the test split's windows to call a loss: off by no more than half of what
    is allowed."""
    error, allowed = found["error"], model.monitoring.max_loss if model.monitoring else 0.0
    return error is not None and error / _scale(model, found["evaluated"]) <= allowed / 2


def _add_realised(
    model: ModelConfig,
    found: PerformanceJson,
    realised: Realised,
    evaluation: Evaluation | None,
    usual: list[tuple[float, float]],
) -> bool:
    """Adds what labels show; returns whether there are enough to decide."""
    window, fewest = realised.window, model.monitoring.min_rows if model.monitoring else 0
    value: float | None
    interval: Interval
    if sampled := sample_that_counts(window, fewest):
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
        found["metric"], found["evaluated"], found["evaluated_interval"] = metric, None, None
        found["estimated"], found["error"], usual = None, None, []
        _compare_with(found, evaluation)
    found["realised"], found["interval"], found["until"] = value, interval, realised.until
    found["labelled"], found["scored"] = labelled, window["rows"]
    if not enough or evaluation is None or found["evaluated"] is None:
        return enough
    compared = found["evaluated"], found["evaluated_interval"]
    if realised.overlaps:
        lost = is_loss(model, metric, compared, (value, interval), missing, usual)
        found["loss"], found["unclear"] = "realised" if lost else None, lost is None
    return True


def is_loss(
    model: ModelConfig,
    metric: str,
    evaluated: tuple[float, Interval],
    realised: tuple[float, Interval],
    missing: float,
    usual: list[tuple[float, float]],
) -> bool | None:
    """Whether a metric has dropped by more than is allowed, and by more than chance explains; None if it has, but
    chance may explain it. Metrics near their best vary more towards worse values: the wider half of an interval counts.

    Args:
        evaluated, realised: the value, and its 95 % interval if known.
        missing: the share of the window's rows without a label, which is left to chance.
        usual: the expected and the measured values in windows of the test split.
    """
    allowed = model.monitoring.max_loss if model.monitoring else 0.0
    better, scale = METRICS[metric].better, _scale(model, evaluated[0])
    if model.problem == "regression":  # whose weekly error varies naturally
        allowed = max([allowed, *(_lost(better, evaluated[0], measured) / scale for _, measured in usual)])
    lost = _lost(better, evaluated[0], realised[0])
    if lost / scale <= allowed:
        return False
    before, now = (max(value - ends[0], ends[1] - value) if ends else 0.0 for value, ends in (evaluated, realised))
    return True if lost > SURE / OF_95 * hypot(before, now * sqrt(missing)) else None


def _scale(model: ModelConfig, evaluated: float | None) -> float:
    """The scale of a loss: relative for errors, as they have a unit."""
    return evaluated if model.problem == "regression" and evaluated else 1.0


def _lost(better: str | None, evaluated: float | None, value: float) -> float:
    """By how much a value is worse; negative if it is better."""
    if evaluated is None:
        return 0.0
    return value - evaluated if better == "minimize" else evaluated - value


def in_words(found: PerformanceJson | None) -> str:
    if found is None or (found["realised"] is None and found["estimated"] is None):
        return "performance is unknown: no labels, and the version has no calibration"
    evaluated = f", evaluated {short(found['evaluated'])}" if found["evaluated"] is not None else ""
    if found["evaluated_since"] and found["evaluated_interval"]:
        low, high = found["evaluated_interval"]
        evaluated += f" on test rows since {found['evaluated_since']} (95 % {short(low)} to {short(high)})"
    if found["realised"] is not None:
        ends = f", 95 % {' to '.join(map(short, found['interval']))}" if found["interval"] else ""
        rows = f"labels of {found['labelled']:,} of {counted(found['scored'], 'row')}, up to {found['until']}"
        if faulty := found.get("faulty"):
            rows += f"; days with a data fault are among them: {', '.join(faulty)}"
        return f"{found['metric']} is {short(found['realised'])}{ends}{evaluated} ({rows})"
    off = f" (such estimates were {short(found['error'])} off)" if found["error"] is not None else ""
    return f"{found['metric']} is estimated at {short(found['estimated'])}{off}{evaluated}"


def worst_first(metric: str, worth: Performance) -> dict[str, list[Segment]]:
    """The segments of each slice by a metric; those with few rows, or without a value, last."""
    better = METRICS[metric].better

    def rank(one: Segment) -> tuple[bool, bool, float]:
        value = one["metrics"].get(metric)
        return value is None, not one["enough"], 0.0 if value is None else -_lost(better, 0.0, value)

    return {name: sorted(segments, key=rank) for name, segments in worth["segments"].items()}


def _together(every: list[ClassAnswers | ValueAnswers]) -> ClassAnswers | ValueAnswers:
    """The sum of counts of the same shape."""
    given = [one for one in every if one]
    added: ClassAnswers | ValueAnswers = _add(given) if given else []
    return added


def _add(counts: list[Any]) -> Any:
    return [_add(list(some)) for some in zip(*counts, strict=True)] if isinstance(counts[0], list) else sum(counts)
