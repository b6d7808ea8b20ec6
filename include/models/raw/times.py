"""Timestamps: how cells are read, and in which formats."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import polars as pl

from include.models.config import Column
from include.models.config.kinds import TIMESTAMP
from include.models.raw.reading import Cell, Distribution, Misread, Reading

ISO_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
EPOCHS = {"epoch": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000, "epoch_ns": 1_000_000_000}  # counts per second
EXCEL_DAYS = "excel_days"
COUNTED = (*EPOCHS, EXCEL_DAYS)
EXCEL_1970 = 25_569  # Excel's number of 1970-01-01
FIRST_YEAR = 1000  # 31/01/24 is not in the year 24
ZONE = r"\d{2}:\d{2}(:\d{2}(\.\d+)?)? ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$"
EXAMPLE = datetime(2015, 1, 31, 6, tzinfo=UTC)
DAY_SECONDS = 24 * 3600


def moments(text: pl.Expr, form: str) -> pl.Expr:
    """Stripped cells parsed in one format, naive and in UTC; null if they do not match.

    A month without a day is its first day, a week its Monday, an hour without minutes is on the hour.
    """
    if form in COUNTED:
        return _counted(text, form).cast(pl.Datetime("us"))
    for lacking, of, value in (
        ("%d", "%m", "01"),
        ("%d", "%b", "01"),
        ("%u", "%V", "1"),
        ("%M", "%H", "00"),
        ("%M", "%I", "00"),
    ):
        if of in form and lacking not in form:
            form, text = f"{form} {lacking}", text + f" {value}"
    if "%z" in form:  # %#z also reads Z and +02
        named = text.str.replace(r" ?(?:UTC|GMT)$", "Z")
        read = named.str.to_datetime(form.replace("%z", "%#z"), time_unit="us", strict=False)
        read = read.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    else:
        read = text.str.to_datetime(form, time_unit="us", strict=False)
    return pl.when(read.dt.year() >= FIRST_YEAR).then(read)


def _counted(text: pl.Expr, form: str) -> pl.Expr:
    """Microseconds from 1970 on."""
    count = text.cast(pl.Float64, strict=False)
    if form == EXCEL_DAYS:  # the fraction of a day is precise to milliseconds
        return (((count - EXCEL_1970) * DAY_SECONDS * 1_000).round() * 1_000).cast(pl.Int64, strict=False)
    if form == "epoch_ns":  # more digits than a float holds
        return pl.coalesce(text.cast(pl.Int64, strict=False) // 1_000, (count / 1_000).cast(pl.Int64, strict=False))
    return (count * (1_000_000 // EPOCHS[form])).cast(pl.Int64, strict=False)


def _count(moment: pl.Expr, form: str) -> pl.Expr:
    """The inverse of ``_counted``."""
    micros = moment.dt.epoch("us")
    if form == EXCEL_DAYS:
        return micros / (DAY_SECONDS * 1_000_000) + EXCEL_1970
    every = EPOCHS[form]
    return micros * (every // 1_000_000) if every > 1_000_000 else micros // (1_000_000 // every)


def example(form: str) -> str:
    """An example in this format."""
    if form in COUNTED:
        return str(pl.select(_count(pl.lit(EXAMPLE.replace(tzinfo=None)), form)).item())
    return EXAMPLE.strftime(form.replace("%.f", "").replace("%-", "%"))


class Timestamps(Reading):
    kind = TIMESTAMP
    dtype = pl.Datetime("us")

    def _parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        return pl.coalesce(moments(text, form) for form in column.formats or ISO_FORMATS)

    def _unreadable(self, texts: pl.Series, wrong: pl.Series, column: Column) -> Iterator[Misread]:
        zoned = wrong & texts.str.strip_chars().str.contains(ZONE)
        action = "Convert the column to UTC and write it without zone or offset, or declare its format with %z."
        allowed = "timestamps without one, in UTC"
        yield Misread("timestamps_have_no_zone", zoned, "timestamps with a time zone", allowed, action, tolerable=False)
        yield from super()._unreadable(texts, wrong & ~zoned, column)

    def allowed(self, column: Column) -> str:
        return "timestamps as " + " or ".join(example(form) for form in column.formats or ISO_FORMATS[:1])

    def recognise(self, known: pl.Series) -> Column | None:
        column = Column(kind=self.kind)
        read = known.to_frame().select(self.parse(pl.col(known.name), column)).to_series()
        return None if read.null_count() else column

    def cell(self, value: object, column: Column) -> Cell:
        raise ValueError(f"{value!r:.60}: a timestamp is not a feature")

    def describe(self, known: pl.Series) -> Distribution:
        return {"range": [str(known.min()), str(known.max())]}

    def draw(self, rng: np.random.Generator, lie: Distribution, count: int) -> pl.Series:
        first, last = (datetime.fromisoformat(text) for text in lie["range"])
        seconds = rng.uniform(0, (last - first).total_seconds(), count)
        step = DAY_SECONDS if (last - first).total_seconds() > 0 and first.time() == last.time() else 1
        return pl.Series((seconds // step * step * 1e6).astype(np.int64)).cast(pl.Duration("us")) + first

    def invent(self, rng: np.random.Generator, count: int) -> pl.Series:
        return pl.Series(rng.integers(1, 10**9, count) * 1_000_000).cast(pl.Datetime("us"))  # seconds from 1970 on

    def shown(self, value: pl.Expr) -> pl.Expr:
        return value.dt.strftime("%Y-%m-%d %H:%M:%S")

    def to_text(self, value: pl.Expr, column: Column) -> pl.Expr:
        form = column.formats[0] if column.formats else "%Y-%m-%d %H:%M:%S"
        if form in COUNTED:
            return _count(value, form)
        return value.dt.replace_time_zone("UTC").dt.strftime(form)
