"""The performance of a scored day once labels arrive: ``performance.json``, written by a job, read by Airflow's side.

Beside it is ``rows.parquet``: key, time, label, ``prediction`` and the probabilities of each labelled row, named as in
``columns``. With ``labels.ask``, ``to_label.csv`` has the rows that people are asked to label.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from .challenger import Paired
from .results import Metrics, Segment
from .watching import TableCounts

Intervals = dict[str, tuple[float, float]]
WEEK = 7  # days that a replay measures together


class Sampled(TypedDict):
    """What a random sample of labelled rows says about all scored rows: ``value`` of ``metric``, by prediction-powered
    inference, with its 95 % interval, both within the metric's range. ``labelled`` of ``asked`` rows have a label.
    ``exact``: the value and half of the interval before they were cut to that range, for days to be combined."""

    metric: str
    value: float
    interval: tuple[float, float]
    exact: NotRequired[tuple[float, float]]
    asked: int
    labelled: int


class WindowPerformance(TypedDict):
    """The labelled ``days`` of one version in the ``monitoring.window_days`` that end with a day, taken together.

    ``labelled`` of the ``rows`` that the version scored in the window have a label, also of days without any label.
    ``evidence``: the number of independent units (machines, days, or rows) with a label other than the most common one;
    for a regression, with any label.
    """

    days: list[str]
    rows: int
    labelled: int
    evidence: int
    metrics: Metrics
    intervals: Intervals
    sampled: Sampled | None


def sample_that_counts(window: WindowPerformance, min_rows: int) -> Sampled | None:
    """The sample that people labelled, until so many rows have a label that these tell the performance themselves."""
    sampled = window["sampled"]
    return sampled if sampled and window["labelled"] < min_rows else None


class Performance(TypedDict):
    """``performance.json`` of a day. All of it is about the one version that scored the day.

    ``labelled`` of ``rows`` scored rows have a label; the others are ignored. ``metrics`` are the evaluation's,
    computed by the same function on these rows; empty without labels. ``segments`` are by slice, ``baselines`` by name.
    ``challengers`` are the candidates that also scored the day, by version, ``shadows`` those that were the endpoint's
    shadow. ``made_of`` is the digest of the scores and labels that it was made from. ``tables``: the day's rows in the
    raw table of labels, if scoring does not read it. ``unusable``: why the newest labels cannot be used; all else is
    what was known before they came.
    """

    model: str
    date: str
    model_version: int
    rows: int
    labelled: int
    metrics: Metrics
    intervals: Intervals
    segments: dict[str, list[Segment]]
    baselines: dict[str, Metrics]
    sampled: Sampled | None
    window: WindowPerformance
    made_of: str
    challengers: NotRequired[dict[str, Paired]]
    shadows: NotRequired[dict[str, Paired]]
    tables: NotRequired[dict[str, TableCounts]]
    unusable: NotRequired[str]
