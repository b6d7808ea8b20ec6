"""Moments in formats that people and programs write give the same instant, in UTC."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest

from include.models.config import Column
from include.models.config.kinds import TIMESTAMP
from include.models.raw.kinds import reading_of
from include.models.raw.times import COUNTED

TIMES = reading_of(TIMESTAMP)


def read(text: str, form: str | list[str]) -> datetime | None:
    column = Column(kind=TIMESTAMP, format=form)
    found = pl.DataFrame({"x": [text]}).select(TIMES.parse(pl.col("x"), column)).item()
    assert found is None or isinstance(found, datetime)
    return found


@pytest.mark.parametrize(
    ("text", "form", "moment"),
    [
        ("2024-01-31T12:00:00Z", "%Y-%m-%dT%H:%M:%S%z", "2024-01-31 12:00"),
        ("2024-01-31T12:00:00+02:00", "%Y-%m-%dT%H:%M:%S%z", "2024-01-31 10:00"),
        ("2024-01-31 12:00:00.5 -0130", "%Y-%m-%d %H:%M:%S%.f %z", "2024-01-31 13:30:00.5"),
        ("2024-01-31 12:00:00 UTC", "%Y-%m-%d %H:%M:%S%z", "2024-01-31 12:00"),
        ("1/31/2024 1:05:09 PM", "%m/%d/%Y %I:%M:%S %p", "2024-01-31 13:05:09"),
        ("31.01.2024 00:15", "%d.%m.%Y %H:%M", "2024-01-31 00:15"),
        ("31-Jan-24", "%d-%b-%y", "2024-01-31"),
        ("20240131", "%Y%m%d", "2024-01-31"),
        ("1706702400", "epoch", "2024-01-31 12:00"),
        ("1706702400000", "epoch_ms", "2024-01-31 12:00"),
        ("1706702400000001", "epoch_us", "2024-01-31 12:00:00.000001"),
        ("1706702400000001999", "epoch_ns", "2024-01-31 12:00:00.000001"),
        ("45322.5", "excel_days", "2024-01-31 12:00"),
        ("45322.50001157", "excel_days", "2024-01-31 12:00:01"),
        ("9" * 300, "excel_days", None),
        ("31/01/2024 1 PM", "%d/%m/%Y %I %p", "2024-01-31 13:00"),
        ("2024-01", "%Y-%m", "2024-01-01"),
        ("2024-W05", "%G-W%V", "2024-01-29"),
        ("2024-01-31 07", "%Y-%m-%d %H", "2024-01-31 07:00"),
        ("31.01.2024", ["%Y-%m-%d", "%d.%m.%Y"], "2024-01-31"),
        ("31/01/24", "%d/%m/%Y", None),
        ("31.13.2024", "%d.%m.%Y", None),
    ],
)
def test_a_moment_is_read(text: str, form: str | list[str], moment: str | None) -> None:
    assert read(text, form) == (datetime.fromisoformat(moment) if moment else None)


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S%z", "%d.%m.%Y %H:%M", *COUNTED, "%Y%m%d%H%M"])
def test_what_is_written_is_read_back(form: str) -> None:
    moment, column = datetime.fromisoformat("2024-01-31 07:05"), Column(kind=TIMESTAMP, format=form)
    written = pl.DataFrame({"x": [moment]}).select(TIMES.to_text(pl.col("x"), column).cast(pl.String)).item()
    assert read(written, form) == moment
