"""The uncertainty of a metric: its values if the test split were drawn again.

A bootstrap of independent units: the clusters of ``split.cluster`` (a machine's rows are alike), blocks of
``split.block_days`` (an hour is like the one before), or rows if neither is given. With both, each is drawn separately
and a row counts by the product, which is conservative (Owen, "The pigeonhole bootstrap", 2007,
https://arxiv.org/abs/0712.1111). The draws depend only on the rows' clusters and blocks, so two models measured on the
same rows are compared draw by draw: a paired bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from include.jobs.evaluation.metrics import TENTHS, Metrics, interval, measure_counts, shares, tenths, thirds
from include.models.config import ModelConfig
from include.models.config.metrics import THIRDS
from include.models.interface import Array

DRAWS = 1000
MOST_UNITS = 5000  # if there are more rows without cluster or block, they are drawn in this many random bags
MOST_SEGMENTS = 400  # of a ranking, each with about equally many rows of either kind
GROUPS = 20  # left out in turn, for metrics that need all rows

Replicates = dict[str, Array]  # a metric's value in each draw; nan if it is not defined


@dataclass(frozen=True)
class Resampled:
    """``unit``: each row's unit. ``draws`` (draws, units): how often a unit counts. ``group``: each row's group of
    independent clusters or blocks, at most ``GROUPS``; ``group_draws`` (draws, groups)."""

    unit: Array
    draws: Array
    group: Array
    group_draws: Array

    def sums(self, *columns: Array) -> list[Array]:
        """Each column's sum over the rows, in each draw."""
        units = self.draws.shape[1]
        return [self.draws @ np.bincount(self.unit, weights=column, minlength=units) for column in columns]

    def counts(self, codes: Array, size: int) -> Array:
        """(draws, size): how many rows have each code."""
        units = self.draws.shape[1]
        cells = np.bincount(self.unit * size + codes, minlength=units * size).reshape(units, size)
        return np.asarray(self.draws @ cells.astype(self.draws.dtype))


def resampled(config: ModelConfig, frame: pl.DataFrame) -> Resampled:
    """The draws of these rows: the same for the same rows."""
    factors = _factors(config, frame)
    rng = np.random.default_rng(0)
    counts = [
        rng.multinomial(levels, np.full(levels, 1 / levels), size=DRAWS)
        for levels in (int(f.max()) + 1 for f in factors)
    ]
    cells = np.column_stack(factors)
    distinct, unit = np.unique(cells, axis=0, return_inverse=True)
    draws = np.ones((DRAWS, len(distinct)), dtype=np.float32)
    for number, count in enumerate(counts):
        draws *= count[:, distinct[:, number]]
    levels = int(factors[0].max()) + 1
    groups = min(GROUPS, levels)
    group_draws = rng.multinomial(groups, np.full(groups, 1 / groups), size=DRAWS)
    return Resampled(unit.ravel(), draws, factors[0] * groups // levels, group_draws)


def replicates(
    problem: str, target: Array, predictions: Array, classes: list[str], labels: Array | None, drawn: Resampled
) -> Replicates:
    """Every metric of ``measure``, in each draw. Rankings are computed in segments, and shifted to the exact value."""
    if problem == "regression":
        return _regression(target, predictions, drawn)
    predicted = predictions.argmax(axis=1) if labels is None else labels
    found = label_replicates(problem, target, predicted, classes, drawn)
    likelihood = np.take_along_axis(predictions, target[:, None], axis=1)[:, 0]
    loss = -np.log(np.clip(likelihood / predictions.sum(axis=1), np.finfo(predictions.dtype).eps, 1))
    total, rows = drawn.sums(loss, np.ones(len(loss)))
    found["log_loss"] = shares(total, rows)
    found |= _calibration(target, predictions, classes, drawn)
    for index, name in enumerate(classes):
        found[f"pr_auc_{name}"], area = _ranking(target == index, predictions[:, index], drawn)
        if problem == "binary" and index == 1:
            found |= {"pr_auc": found[f"pr_auc_{name}"], "roc_auc": area}
    return found


def _calibration(target: Array, predictions: Array, classes: list[str], drawn: Resampled) -> Replicates:
    squares, rows = drawn.sums(((predictions - np.eye(len(classes))[target]) ** 2).sum(axis=1), np.ones(len(target)))
    found = {"brier": shares(squares, rows)}
    units = drawn.draws.shape[1]
    for place, name in enumerate(classes):
        cells = drawn.unit * TENTHS + tenths(predictions[:, place])
        excess = np.bincount(cells, weights=predictions[:, place] - (target == place), minlength=units * TENTHS)
        found[f"ece_{name}"] = shares(np.abs(drawn.draws @ excess.reshape(units, TENTHS)).sum(axis=1), rows)
    found["ece"] = np.mean([found[f"ece_{name}"] for name in classes], axis=0)
    return found


def label_replicates(problem: str, target: Array, predicted: Array, classes: list[str], drawn: Resampled) -> Replicates:
    """The metrics that need no probabilities, in each draw."""
    size = len(classes)
    counts = drawn.counts(target * size + predicted, size * size).reshape(DRAWS, size, size)
    return measure_counts(problem, counts, classes)


def interval_replicates(target: Array, intervals: Array, drawn: Resampled) -> Replicates:
    low, high = intervals.T
    held, third = (low <= target) & (target <= high), thirds(target)
    inside, width, rows = drawn.sums(held, high - low, np.ones(len(target)))
    found = {"interval_coverage": shares(inside, rows), "interval_width": shares(width, rows)}
    for place, name in enumerate(THIRDS):
        found[f"interval_coverage_{name}"] = shares(*drawn.sums(held & (third == place), third == place))
    return found


def whole_replicates(found: Metrics, without: Callable[[Array], Metrics], drawn: Resampled) -> Replicates:
    """Replicates of metrics that need all rows: a bootstrap of their influence functions, each the change of the metric
    as one of the groups is left out (the delete-a-group jackknife; Efron, "The Jackknife, the Bootstrap and Other
    Resampling Plans", 1982, chapter 6).

    Args:
        without: the metrics on the rows of a mask.
    """
    groups = drawn.group_draws.shape[1]
    if not found or groups < 2:  # nothing would be left without the only group
        return {}
    left = [without(drawn.group != number) for number in range(groups)]
    scale = np.sqrt(groups / max(groups - 1, 1))
    return {
        name: value
        + (drawn.group_draws - 1) @ np.array([(groups - 1) * (value - one[name]) for one in left]) * scale / groups
        for name, value in found.items()
    }


def intervals_of(found: Mapping[str, Array]) -> dict[str, tuple[float, float]]:
    """Intervals by metric, for those that have one."""
    return {name: ends for name, values in found.items() if (ends := interval(values))}


def _factors(config: ModelConfig, frame: pl.DataFrame) -> list[Array]:
    """The independent factors: each row's cluster, its block of days, or its bag of rows."""
    factors = []
    if config.split.cluster:
        clusters = frame.select(pl.struct(config.split.cluster).rank("dense").alias("cluster") - 1)
        factors.append(clusters["cluster"].cast(pl.Int64).to_numpy())
    if days := config.split.block_days:
        time = frame[str(config.data.time)]
        passed = (time - time.min()).dt.total_seconds() // (days * 24 * 3600)
        factors.append(passed.rank("dense").cast(pl.Int64).to_numpy() - 1)
    if not factors:
        bags = min(len(frame), MOST_UNITS)
        factors.append(np.random.default_rng(1).permutation(len(frame)) % bags)
    return factors


def _ranking(positive: Array, score: Array, drawn: Resampled) -> tuple[Array, Array]:
    """Average precision and the area under the ROC curve, in each draw. nan where a kind has no rows."""
    order = np.argsort(-score, kind="stable")
    happened, units = positive[order], drawn.unit[order]
    hits, misses = happened.sum(), (~happened).sum()
    if not hits or not misses:
        nothing = np.full(DRAWS, np.nan)
        return nothing, nothing
    reached = np.cumsum(happened) / hits + np.cumsum(~happened) / misses
    last_of_tie = np.searchsorted(-score[order], -score[order], side="right") - 1
    segment = np.minimum((reached[last_of_tie] / 2 * MOST_SEGMENTS).astype(int), MOST_SEGMENTS - 1)
    size = drawn.draws.shape[1]

    def per_segment(rows: Array) -> Array:
        cells = np.bincount(units[rows] * MOST_SEGMENTS + segment[rows], minlength=size * MOST_SEGMENTS)
        return cells.reshape(size, MOST_SEGMENTS).astype(np.float32)

    parts = per_segment(happened), per_segment(~happened)
    precision, area = _areas(*(drawn.draws @ part for part in parts))
    whole = _areas(*(part.sum(axis=0)[None, :] for part in parts))
    exact = _exact_areas(happened, score[order])
    return np.clip(precision + (exact[0] - whole[0]), 0, 1), np.clip(area + (exact[1] - whole[1]), 0, 1)


def _areas(hits: Array, misses: Array) -> tuple[Array, Array]:
    reached, false = np.cumsum(hits, axis=1), np.cumsum(misses, axis=1)
    every, wrong = reached[:, -1], false[:, -1]
    precision = shares((hits * np.nan_to_num(shares(reached, reached + false))).sum(axis=1), every)
    return precision, shares((misses * (reached - hits / 2)).sum(axis=1), every * wrong)


def _exact_areas(happened: Array, score: Array) -> tuple[float, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    return float(average_precision_score(happened, score)), float(roc_auc_score(happened, score))


def _regression(target: Array, predictions: Array, drawn: Resampled) -> Replicates:
    error = predictions - target
    squares, sizes, values, values_squared, rows = drawn.sums(
        error**2, np.abs(error), target, target**2, np.ones(len(target))
    )
    mse = shares(squares, rows)
    spread = values_squared - shares(values**2, rows)
    return {"mse": mse, "rmse": np.sqrt(mse), "mae": shares(sizes, rows), "r2": 1 - shares(squares, spread)}
