"""Estimates the quality of answers before labels arrive, from their quality on the test split. For classes: how often
rows belong to a class, given the bin of its predicted probability, made monotone (isotonic regression, one class
against the rest). Expected counts of true and predicted classes follow from the bins of a day alone:
confidence-based performance estimation (Humblot-Renaux et al.; NannyML's CBPE is the same idea by row). Of values: the
mean error by bin of the predicted value. Neither detects a change in what features mean: this is an early sign, not a
verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.isotonic import IsotonicRegression

from include.jobs.evaluation.metrics import measure, plain
from include.jobs.watching.answer_bins import BINS, bins_of
from include.models.config import ModelConfig
from include.models.config.estimating import estimated, watched_metric
from include.models.config.watching import Calibration
from include.models.interface import Array, Examples


def calibrate(
    config: ModelConfig,
    truth: Examples,
    predictions: Array,
    labels: Array | None,
    count: Callable[[Array], list],  # type: ignore[type-arg] # ClassAnswers, or ValueAnswers
    windows: Sequence[Array],
) -> Calibration | None:
    """The calibration on the test split; None if answers cannot be counted.

    Args:
        labels: class indices that were decided for (rows,); None for a regression.
        count: rows' answers by bin.
        windows: the rows of each window of the split.
    """
    counted = count(np.arange(len(predictions)))
    if not counted:
        return None
    metric = watched_metric(config)
    found: Calibration = {
        "metric": metric,
        "metrics": plain(measure(config.problem, truth.target, predictions, truth.classes, labels)),
        "windows": [],
    }
    if truth.classes:
        bins = bins_of(predictions)
        found["truth"] = [_monotone(bins[:, code], truth.target == code) for code in range(len(truth.classes))]
    else:
        error = predictions - truth.target
        of_bins = _bins_of_values(counted, predictions)
        found["errors"] = _means(of_bins, np.abs(error), len(counted))
        found["squares"] = _means(of_bins, error**2, len(counted))
    for rows in windows:
        decided = None if labels is None else labels[rows]
        measured = measure(config.problem, truth.target[rows], predictions[rows], truth.classes, decided)[metric]
        expected = estimated(found, count(rows)).get(metric)
        if expected is not None and np.isfinite(measured):
            found["windows"].append((expected, measured))
    return found


def _monotone(bins: Array, happened: Array) -> list[float]:
    rows = np.bincount(bins, minlength=BINS)
    share = np.bincount(bins, weights=happened, minlength=BINS) / np.maximum(rows, 1)
    known = np.flatnonzero(rows)
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(
        known, share[known], sample_weight=rows[known]
    )
    return [float(value) for value in fitted.predict(np.arange(BINS))]


def _bins_of_values(counted: list[int], predictions: Array) -> Array:
    """Each row's bin: bins are ordered by size, so sorted rows fill them in turn."""
    bins = np.empty(len(predictions), dtype=np.int64)
    bins[np.argsort(predictions, kind="stable")] = np.repeat(np.arange(len(counted)), counted)
    return bins


def _means(bins: Array, values: Array, size: int) -> list[float]:
    rows = np.bincount(bins, minlength=size)
    means = np.bincount(bins, weights=values, minlength=size) / np.maximum(rows, 1)
    return [float(mean) if count else float(values.mean()) for mean, count in zip(means, rows, strict=True)]
