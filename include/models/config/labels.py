"""Where the truth about scored rows comes from: the section ``labels``."""

from __future__ import annotations

from math import ceil
from typing import Annotated

from pydantic import Field

from .common import Section


class Labels(Section):
    """Where the truth about scored rows comes from, so that performance is measured and not only estimated.

    ``table`` names a raw table that the days' partitions hold: labels are made of it as in training, as soon as the
    partitions reach ``horizon_hours`` past the day (24 where a failure within a day counts, 0 where a row holds its own
    label). Without ``table``, labels come as files ``labels/<model>/date=<day>/*.csv`` or ``*.parquet``: key and label
    of that day's rows, all at once or in parts. Where files name a row twice, the last file by name counts.

    Labels are late where a day has none ``horizon_hours`` and ``scoring.wait_hours`` after its end. The daily run of
    ``monitor_<model>`` looks ``sweep_days`` back for labels that came or were corrected. With ``ask``, so many rows of
    each scored day are drawn at random for a person to label.
    """

    table: str | None = None
    horizon_hours: Annotated[int, Field(ge=0, le=24 * 365)] = 0
    sweep_days: Annotated[int, Field(ge=1, le=90)] = 30
    ask: Annotated[int, Field(ge=5, le=1000)] | None = None

    @property
    def days_ahead(self) -> int:
        """How many partitions after a day's own its labels are made of."""
        return ceil(self.horizon_hours / 24) if self.table else 0
