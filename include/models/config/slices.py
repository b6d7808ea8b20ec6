"""Segments of the data on which a model must be good too: the section ``slices``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .common import SLICE, Section

COLUMN = Annotated[str, Field(min_length=1, max_length=100)]


class Slice(Section):
    """Segments of the test split, each measured separately; in model.yaml just the column, if that is all.

    ``column`` (by default the name) is one of the feature table, or of a raw table that has one row per value of its
    key. Numbers are cut into bands at ``bands``, each the first value of the next; for a time, the ``part`` counts.
    Gates judge segments of ``min_rows`` or more. For a ``protected`` slice the evaluation also measures how differently
    its segments are treated.
    """

    name: Annotated[str, Field(pattern=SLICE)]
    column: COLUMN | None = None
    bands: list[float] = []
    part: Literal["weekday", "month", "hour"] | None = None
    min_rows: Annotated[int, Field(ge=1, le=1_000_000_000)] = 30
    protected: bool = False

    @property
    def of(self) -> str:
        """The column that defines the segments."""
        return self.column or self.name

    @model_validator(mode="after")
    def bands_or_a_part(self) -> Slice:
        if self.bands and self.part:
            raise ValueError("a slice has bands, of a number, or a part, of a time")
        if self.bands != sorted(set(self.bands)):
            raise ValueError(f"bands follow each other upwards; found {self.bands}")
        return self


def from_column(given: object) -> object:
    """A slice given as just its column."""
    return {"name": given} if isinstance(given, str) else given
