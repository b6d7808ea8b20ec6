"""What the raw data is, and how it is split: the sections ``data`` and ``split``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .common import Name, Section


class Table(Section):
    """One raw table: its file (``.gz`` may follow), its columns and their kinds, the columns that identify a row.

    ``every_hours`` says that rows come at this interval, one series for each value of the rest of the key; its gaps are
    then measured. ``history`` keeps rows from before a run's data window, where later rows need them. Up to
    ``max_rejected_share`` of the rows may be unreadable, infinite or repeated and are set aside; more stop the run.
    """

    file: Annotated[str, Field(pattern=r"^[\w.-]+\.csv$")]
    columns: Annotated[dict[str, Literal["timestamp", "integer", "number", "string"]], Field(min_length=1)]
    key: list[str] = []
    every_hours: Annotated[int, Field(ge=1, le=24 * 366)] | None = None
    history: bool = False
    max_rejected_share: Annotated[float, Field(ge=0, le=0.5)] = 0.0

    @model_validator(mode="after")
    def key_is_among_columns(self) -> Self:
        if unknown := set(self.key) - set(self.columns):
            raise ValueError(f"key names {sorted(unknown)}, which are not among the columns {sorted(self.columns)}")
        return self

    @model_validator(mode="after")
    def a_series_has_a_time(self) -> Self:
        times = [column for column in self.key if self.columns[column] == "timestamp"]
        if self.every_hours and len(times) != 1:
            raise ValueError(f"every_hours needs one timestamp column in the key, which has {len(times)}")
        return self


class Data(Section):
    """Raw tables, and the columns of the feature table that are no features."""

    tables: Annotated[dict[Name, Table], Field(min_length=1)]
    key: Annotated[list[str], Field(min_length=1)]
    time: str | None = None
    label: str
    classes: list[str] | None = None


class Split(Section):
    """Train, validation and test by time, counted back from the last row; gaps keep labels from looking across."""

    test_days: Annotated[int, Field(ge=1, le=3650)]
    validation_days: Annotated[int, Field(ge=1, le=3650)]
    gap_hours: Annotated[int, Field(ge=0, le=24 * 365)] = 0
