"""Where the true labels of scored rows come from: the section ``labels``."""

from __future__ import annotations

from math import ceil
from typing import Annotated

from pydantic import Field

from .common import Section


class Labels(Section):
    """Where the true labels of scored rows come from, so that performance is measured, not only estimated.

    ``table`` names a raw table in the days' partitions: labels are built from it as in training, as soon as the
    partitions reach ``horizon_hours`` past the day (24 if a failure within a day counts, 0 if a row contains its own
    label). Without ``table``, labels come as files ``labels/<model>/date=<day>/*.csv`` or ``*.parquet``: key and label
    of that day's rows, all at once or in parts. If two files name a row, the last file by name counts.

    Labels are late if a day has none ``horizon_hours`` and ``scoring.wait_hours`` after its end. The daily run of
    ``monitor_<model>`` looks ``sweep_days`` back for labels that arrived or were corrected. ``ask``: this many rows of
    each scored day are drawn at random for people to label.
    """

    table: str | None = None
    horizon_hours: Annotated[int, Field(ge=0, le=24 * 365)] = 0
    sweep_days: Annotated[int, Field(ge=1, le=90)] = 30
    ask: Annotated[int, Field(ge=5, le=1000)] | None = None

    @property
    def days_ahead(self) -> int:
        """How many later partitions a day's labels depend on."""
        return ceil(self.horizon_hours / 24) if self.table else 0
