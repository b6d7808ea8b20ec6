"""Kinds of columns, the half that handles values: how to read cells, what is wrong with unreadable ones, how to
recognise a kind, what a model learns from it, and how to describe and generate its values.

Timestamps become naive Datetime(us), UTC by convention; integers Int64; numbers Float64. Blanks around a cell are
ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from include.models.config import Column, Kind
from include.models.config.kinds import STRING, WHITESPACE
from include.models.raw.numbers import Numbers, WholeNumbers
from include.models.raw.reading import Cell, Distribution, Misread, Reading, choose
from include.models.raw.times import Timestamps

MAX_CATEGORIES = 200  # distinct values of a text that a model uses, and that a profile lists


class Texts(Reading):
    kind = STRING
    dtype = pl.String()

    def _parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        return pl.when(text != "").then(text)

    def misread(self, texts: pl.Series, values: pl.Series, column: Column) -> Iterator[Misread]:
        if column.multiline:
            return
        broken = texts.str.contains_any(["\n", "\r"])
        action = "Look for a quote that is opened and never closed, or declare the column multiline in model.yaml."
        yield Misread("values_are_on_one_line", broken, "a line break within a cell", "text on one line", action)

    def recognise(self, known: pl.Series) -> Column | None:
        return Column(kind=self.kind)

    def feature(self, value: pl.Expr) -> pl.Expr:
        return value

    def cell(self, value: object, column: Column) -> Cell:
        if value is None or (isinstance(value, str) and _is_unicode(value)):
            text = (value or "").strip(WHITESPACE)
            return None if text.lower() in column.missing else text
        raise ValueError(f"{value!r:.60} is not text")

    def describe(self, known: pl.Series) -> Distribution:
        counts = known.value_counts(sort=True).head(MAX_CATEGORIES)
        total = counts["count"].sum()
        return {"shares": {value: count / total for value, count in counts.iter_rows()}}

    def draw(self, rng: np.random.Generator, lie: Distribution, count: int) -> pl.Series:
        return choose(rng, lie["shares"], count).cast(pl.String)

    def invent(self, rng: np.random.Generator, count: int) -> pl.Series:
        return pl.Series([f"text-{value}" for value in super().invent(rng, count)])

    def number(self, name: str, numbers: pl.Expr) -> pl.Expr:
        return pl.format("{}-{}", pl.lit(name), numbers).alias(name)


# in the order in which cells are tried
READINGS: Mapping[str, Reading] = {
    reading.kind.name: reading for reading in (WholeNumbers(), Numbers(), Timestamps(), Texts())
}


def reading_of(kind: Kind) -> Reading:
    return READINGS[kind.name]


def feature_kind(dtype: pl.DataType) -> Kind:
    """The kind of features of this type."""
    return next(reading.kind for reading in READINGS.values() if reading.holds(dtype))


def _is_unicode(text: str) -> bool:
    """JSON can contain lone surrogates, which are not text, and NUL, which files must not contain."""
    return not any("\ud800" <= character <= "\udfff" or character == "\0" for character in text)
