"""``reference.json``: a version's training, counted like the days that it scores, and written beside its evaluation.

Raw tables are counted day by day up to the test split (to the end, where that was learned from too), features over
windows of the training split's days, answers over windows of the test split. If rows have no time, blocks of
consecutive rows, in the order of the file, replace days and windows, as consecutive rows are alike there too.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import numpy as np
import polars as pl

from include.jobs.evaluation.resampling import Resampled, resampled
from include.jobs.features.drift_profile import Counts, add_counts, count_rows
from include.jobs.features.feature_table import blocks, rows_of
from include.jobs.watching.answer_bins import count_probabilities, count_values
from include.jobs.watching.calibration import calibrate
from include.jobs.watching.table_counts import count_days, no_rows, time_of
from include.models.config import LINE, DriftProfile, ModelConfig, RandomSplit, TimeSplit
from include.models.config.faulty_values import FEWEST_STILL
from include.models.config.watching import (
    Days,
    Reference,
    SegmentColumn,
    SegmentReference,
    TableCounts,
    Window,
    deviation_of,
)
from include.models.interface import Array, Examples, Tables

BLOCKS = 20  # of rows without a time
FEWEST_WINDOWS = 8  # windows are shorter if the split is too short for this many
MOST_DAYS = 366
FEWEST_SEGMENTS = 20  # days of segments with enough rows, to leave out those with few
POOLS = 50  # of groups, to measure how similar the rows of each are


def reference(
    config: ModelConfig,
    tables: Tables,
    train: pl.LazyFrame,
    test: pl.DataFrame,
    truth: Examples,
    predictions: Array,
    labels: Array | None,
    profile: DriftProfile,
    edges: list[float],
) -> Reference:
    """The reference of an evaluated version.

    Args:
        tables: if rows have no time, with their lines in the file, or in its order.
        train: read block by block.
        predictions: of the test split, whose target is ``truth``.
        labels: class indices that were decided for (rows,), the likeliest unless given.
        profile: of the training split.
        edges: of the bins of what a regression predicts.
    """
    time = config.data.time
    before = None
    if isinstance(config.split, TimeSplit) and time:
        began = test[time].min()
        if train.select(pl.col(time).max()).collect().item() < began:
            before = began.date()  # type: ignore[union-attr] # a datetime column
    days = days_of(config, tables, before)
    days_in_window = config.monitoring.window_days if config.monitoring else 7

    if truth.classes and labels is None:
        labels = predictions.argmax(axis=1)

    def count(rows: Array) -> list:  # type: ignore[type-arg] # ClassAnswers, or ValueAnswers
        answers = predictions[rows]
        if labels is not None:
            return count_probabilities(answers, labels[rows])
        return count_values(answers, edges) if edges else []

    number = windows_of(config, test.lazy(), days_in_window)
    of_test = [np.flatnonzero(number == window) for window in np.unique(number[number >= 0])]
    kept: Reference = {
        "timed": config.data.time is not None,
        "days": {day: {name: _plain(counts) for name, counts in one.items()} for day, one in days.items()},
        "segments": {name: found for name in config.data.tables if (found := segments_of(days, name))},
        "windows": _windows(config, train, windows_of(config, train, days_in_window), profile),
        "design": design(config, train, profile),
        "answers": [count(rows) for rows in of_test],
        "answer_design": [] if labels is None else answer_design(labels, len(truth.classes), resampled(config, test)),
        "calibration": calibrate(config, truth, predictions, labels, count, of_test),
    }
    if labels is None:
        kept["answer_mean"] = float(predictions.mean())
    return kept


def windows_of(config: ModelConfig, table: pl.LazyFrame, days: int) -> Array:
    """The number of each row's window (rows,), -1 of those in a window that is half empty. Windows have this many days,
    or fewer if there would be fewer than ``FEWEST_WINDOWS`` windows, and end with the newest day: what is left of the
    oldest days is one, too. Without times, they are blocks of consecutive rows."""
    time = config.data.time
    if time is None:
        rows = rows_of(table)
        return np.arange(rows) // max(1, -(-rows // BLOCKS))
    dates = table.select(pl.col(time).dt.date()).collect().to_series()
    ago = (dates - dates.max()).dt.total_days().abs().to_numpy()
    span = int(ago.max()) + 1
    length = max(1, min(days, span // FEWEST_WINDOWS))
    count = -(-span // length)
    number = count - 1 - ago // length
    full = np.bincount(number, minlength=count) > len(dates) / (span / length) / 2
    return np.where(full[number], number, -1)


def _windows(config: ModelConfig, table: pl.LazyFrame, number: Array, profile: DriftProfile) -> list[Window]:
    windows = count_windows(table, number, profile)
    if config.data.time:
        day = pl.col(config.data.time).dt.date().max()
        numbered = table.select(config.data.time).collect().with_columns(_window=number).filter(pl.col("_window") >= 0)
        newest = numbered.group_by("_window").agg(day).sort("_window")[config.data.time]
        for window, until in zip(windows, newest, strict=True):
            window["until"] = str(until)
    return windows


def count_windows(table: pl.LazyFrame, number: Array, profile: DriftProfile) -> list[Window]:
    """The distribution of each window's features, given each row's window number (rows,)."""
    rows, counts = Counter[int](), dict[int, Counts]()
    begin = 0
    for block in blocks(table.select(*profile)):
        mine = number[begin : begin + len(block)]
        for window in np.unique(mine[mine >= 0]).tolist():
            some = block.filter(mine == window)
            rows[window] += len(some)
            counts[window] = add_counts(counts.get(window, {}), count_rows(some, profile))
        begin += len(block)
    return [{"rows": rows[window], "features": counts[window]} for window in sorted(rows)]


def design(config: ModelConfig, train: pl.LazyFrame, profile: DriftProfile) -> dict[str, float]:
    """The design effect of each feature, as rows of a group resemble each other: chi-squared over its degrees of
    freedom, of groups pooled at random against all rows (the first-order correction of Rao and Scott, Annals of
    Statistics 12, 1984). Only for a split that keeps groups together: one by time has the same groups in each window.
    """
    if not isinstance(config.split, RandomSplit) or not config.split.group_by:
        return {}
    groups = train.select(config.split.group_by).collect()
    pools = min(POOLS, groups.n_unique() // 4)
    if pools < 2:
        return {}
    counted = count_windows(train, (groups.hash_rows(seed=0) % pools).to_numpy(), profile)
    return {name: _scatter(np.array([one["features"][name] for one in counted])) for name in profile}


def answer_design(labels: Array, classes: int, drawn: Resampled) -> list[float]:
    """The variance over the mean of each predicted class's rows per independent unit, such as a machine's week; at
    least 1."""
    counts = np.zeros((int(drawn.unit.max()) + 1, classes))
    np.add.at(counts, (drawn.unit, labels), 1)
    return [max(1.0, float(one.var() / one.mean())) if one.any() else 1.0 for one in counts.T]


def _scatter(counts: Array) -> float:
    """At least 1, of counts (pools, bins)."""
    counts = counts[:, counts.sum(axis=0) > 0]
    rows, expected = counts.sum(axis=1, keepdims=True), counts.sum(axis=0) / counts.sum()
    freedom = (len(counts) - 1) * (counts.shape[1] - 1)
    if freedom < 1:
        return 1.0
    return max(1.0, float(((counts - rows * expected) ** 2 / (rows * expected)).sum() / freedom))


def days_of(config: ModelConfig, tables: Tables, before: date | None) -> dict[str, dict[str, TableCounts]]:
    """By day, or by block: the rows of the scored tables and of that of labels. The first and the last day of the data
    may be cut off."""
    names = config.labelled.daily_scoring.tables if config.scoring else [*config.data.tables]
    counted: dict[str, dict[str, TableCounts]] = {}
    for name in names:
        table, frame = config.data.tables[name], _in_file_order(tables[name])
        time = time_of(config, table)
        if time is not None:
            frame = frame.filter(pl.col(time).dt.date() < before) if before else frame
            counted[name] = count_days(config, table, frame, frame[time].dt.date())
        elif config.data.time is None:
            blocks = (pl.int_range(len(frame), eager=True) * BLOCKS // max(1, len(frame))).cast(pl.String)
            counted[name] = count_days(config, table, frame, blocks.str.zfill(2))
        else:
            counted[name] = count_days(config, table, frame, pl.repeat("always", len(frame), eager=True))
    main = next(name for name in names if config.data.time is None or time_of(config, config.data.tables[name]))
    days = sorted(counted[main])
    if config.data.time:
        within = days[1:-1] or days
        first, last = date.fromisoformat(within[0]), date.fromisoformat(within[-1])
        days = [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)][-MOST_DAYS:]
    return {
        day: {
            name: counted[name].get("always") or counted[name].get(day) or no_rows(config, config.data.tables[name])
            for name in names
        }
        for day in days
    }


def _in_file_order(table: pl.DataFrame) -> pl.DataFrame:
    """A key may sort rows at random, as a digest does: their blocks would differ less than days do."""
    return table.sort(LINE).drop(LINE) if LINE in table.columns else table


def _plain(counts: TableCounts) -> TableCounts:
    return {**counts, "segment": None, "segments": {}}


def segments_of(days: Days, name: str) -> SegmentReference | None:
    """The days of single segments."""
    found = [one for day in days.values() if (one := day.get(name)) is not None and one["rows"] and one.get("segments")]
    if not found:
        return None
    seen: dict[str, int] = {}
    for one in found:
        for segment in one["segments"]:
            seen[segment] = seen.get(segment, 0) + 1
    return {
        "present": sorted(segment for segment, count in seen.items() if count == len(days)),
        "numbers": {column: _column(found, column) for column in found[0]["numbers"]},
    }


def _column(days: list[TableCounts], column: str) -> SegmentColumn:
    every = [(one["rows"], one["numbers"][column]) for day in days for one in day["segments"].values()]
    enough = [one for one in every if one[0] >= FEWEST_STILL]  # others are not judged, and scatter far
    every = enough if len(enough) >= FEWEST_SEGMENTS else every
    known = [sums for _, sums in every if sums[0] >= 2]
    means = np.array([sums[1] / sums[0] for sums in known] or [0.0])
    deviations = np.array([deviation_of(sums) for sums in known] or [0.0])
    return {
        "missing": max((rows - sums[0]) / rows for rows, sums in every),
        "still": float(np.mean([sums[3] == sums[4] for sums in known])) if known else 1.0,
        "mean": (float(means.min()), float(np.median(means)), float(means.max())),
        "deviation": (float(deviations.min()), float(np.median(deviations)), float(deviations.max())),
    }
