"""How rows are distributed, of a version's training split and of a day: written by jobs, read by Airflow's side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from .watching import CapturedDay, ClassAnswers, ServedDay, TableCounts, ValueAnswers


class FeatureProfile(TypedDict):
    """One feature of the training split: the share of rows without a value (``missing``), and how the others lie.

    Of a number the smallest and the largest value and the inner ``edges`` of its quantile bins, of a text its most
    frequent ``values``; ``shares`` are those of each bin or value among the rows that have one. Versions that were
    trained before the ends were kept have no ``min`` and ``max``.
    """

    missing: float
    shares: list[float]
    edges: NotRequired[list[float]]
    values: NotRequired[list[str]]
    min: NotRequired[float | None]
    max: NotRequired[float | None]


DriftProfile = Mapping[str, FeatureProfile]  # drift_profile.json: by feature, in the order of the feature table


class DayProfile(TypedDict):
    """A scored day. ``features``: rows by bin, as ``count_rows`` of the job code has them; ``predictions``: rows by
    class, or the ``sum`` of a regression's values; ``answers``: rows by the bin of what was answered; ``tables``: the
    raw data. Days that were scored by code from before these were counted have neither."""

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
