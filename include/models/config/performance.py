"""What is known of a scored day once labels are there: ``performance.json``, written by a job, read by Airflow's side.

Beside it lies ``rows.parquet``: key, time, label, ``prediction`` and the probabilities of each labelled row, as
``columns`` names them. Where ``labels.ask`` is set, ``to_label.csv`` has the rows that a person is asked for.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from .challenger import Paired
from .results import Metrics, Segment

Intervals = dict[str, tuple[float, float]]


class Sampled(TypedDict):
    """What a random sample of labelled rows says of all that were scored: ``value`` of ``metric``, prediction-powered,
    with its 95 % interval. ``labelled`` of ``asked`` rows have a label."""

    metric: str
    value: float
    interval: tuple[float, float]
    asked: int
    labelled: int


class WindowPerformance(TypedDict):
    """The labelled days of one version that end with a day, of the last ``monitoring.window_days``, taken together.

    ``evidence``: in how many independent units (machines, days, or rows) there is a label other than the most common
    one; of a regression, all."""

    days: list[str]
    rows: int
    labelled: int
    evidence: int
    metrics: Metrics
    intervals: Intervals
    sampled: Sampled | None


class Performance(TypedDict):
    """``performance.json`` of a day. All of it is of the one version that scored the day.

    ``labelled`` of ``rows`` scored rows have a label; the others count for nothing. ``metrics`` are those of the
    evaluation, by the same function on these rows; empty without a label. ``segments`` are by slice, ``baselines`` by
    name. ``challengers`` are the candidates that scored the day too, by version. ``made_of`` is the digest of scores
    and labels that it follows from.
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
