"""The distribution of rows, for a version's training split and for a day: written by jobs, read by Airflow's side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from .watching import CapturedDay, ClassAnswers, ServedDay, TableCounts, ValueAnswers


class FeatureProfile(TypedDict):
    """One feature of the training split: the share of rows without a value (``missing``), and the distribution of the
    rest.

    For a number: the minimum, the maximum and the inner ``edges`` of its quantile bins; for a text: its most frequent
    ``values``. ``shares`` are those of each bin or value among the rows with a value. Older versions have no ``min``
    and ``max``.
    """

    missing: float
    shares: list[float]
    edges: NotRequired[list[float]]
    values: NotRequired[list[str]]
    min: NotRequired[float | None]
    max: NotRequired[float | None]


DriftProfile = Mapping[str, FeatureProfile]  # drift_profile.json: by feature, in the order of the feature table


class DayProfile(TypedDict):
    """A scored day. ``features``: rows by bin, as in the job code's ``count_rows``; ``predictions``: rows by class, or
    the ``sum`` of a regression's values; ``answers``: rows by bin of the prediction; ``tables``: the raw data. Days
    scored by older code lack the last two."""

    rows: int
    features: dict[str, list[int]]
    predictions: dict[str, float]
    answers: NotRequired[ClassAnswers | ValueAnswers]
    tables: NotRequired[dict[str, TableCounts]]


class TrafficDay(TypedDict):
    """``captured.json``: a day of an endpoint. ``profile`` is of the requests that the version answered."""

    model_version: int
    model_package_arn: str
    captured: CapturedDay
    served: ServedDay
    profile: DayProfile
