"""Numbers and whole numbers: how to read, describe and generate them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import polars as pl

from include.models.config import Column
from include.models.config.kinds import INTEGER, NUMBER, is_missing, number_in
from include.models.config.spelling import Spelling
from include.models.raw.reading import Cell, Distribution, Misread, Reading, choose

QUANTILES = np.linspace(0, 1, 21)
DIGITS = 19  # of the largest whole number that is exact


def plain(text: pl.Expr, spelling: Spelling) -> pl.Expr:
    """Cells as programs write numbers, null if they are not numbers; see ``Spelling.plain``."""
    if spelling.is_plain:
        return text
    for pattern, replacement in spelling.steps:
        text = text.str.replace(pattern, replacement)
    written = text
    for mark, programs in spelling.marks:
        written = written.str.replace_all(mark, programs, literal=True)
    return pl.when(text.str.contains(spelling.number)).then(written)


def names_things(known: pl.Series) -> bool:
    """Whether digits are identifiers rather than numbers: with leading zeros, as in a postal code, or too many."""
    return bool(known.str.contains(rf"^0[0-9]+$|^[0-9]{{{DIGITS},}}$").any())


class Numbers(Reading):
    kind = NUMBER
    dtype: ClassVar[pl.DataType] = pl.Float64()

    def _parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        return plain(text, column.spelling).cast(pl.Float64, strict=False).fill_nan(None)

    def misread(self, texts: pl.Series, values: pl.Series, column: Column) -> Iterator[Misread]:
        if values.dtype.is_float():
            action = "Correct the source, or leave the cell empty if the value is unknown."
            infinite = (values == math.inf) | (values == -math.inf)
            yield Misread("values_are_finite", infinite, "infinite values", "finite numbers", action)
        yield from super().misread(texts, values, column)

    def recognise(self, known: pl.Series) -> Column | None:
        if not known.cast(pl.Float64, strict=False).fill_nan(None).null_count() and not names_things(known):
            return Column(kind=self.kind)
        return None

    def holds(self, dtype: pl.DataType) -> bool:
        return dtype != pl.String

    def cell(self, value: object, column: Column) -> Cell:
        if value is None or (isinstance(value, str) and is_missing(value, column.missing)):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(f"{value!r:.60} is not a number")  # noqa: TRY004 - of a request, not of the code
        try:
            number = number_in(value, column.spelling) if isinstance(value, str) else float(value)
        except ValueError:
            raise ValueError(f"{value!r:.60} is not a number") from None
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            raise ValueError(f"{value!r:.60} is not finite")
        return None if math.isnan(number) else number

    def to_text(self, value: pl.Expr, column: Column) -> pl.Expr:
        if column.decimal == ".":
            return value
        return value.cast(pl.String).str.replace(".", column.decimal, literal=True)

    def describe(self, known: pl.Series) -> Distribution:
        return {"quantiles": [float(f"{value:.6g}") for value in np.quantile(known.to_numpy(), QUANTILES)]}

    def draw(self, rng: np.random.Generator, lie: Distribution, count: int) -> pl.Series:
        if "shares" in lie:
            return choose(rng, lie["shares"], count).cast(pl.String)
        return self._round(np.interp(rng.random(count), QUANTILES, lie["quantiles"]))

    def _round(self, drawn: np.ndarray[tuple[int], np.dtype[np.float64]]) -> pl.Series:
        return pl.Series(np.round(drawn, 6))


class WholeNumbers(Numbers):
    kind = INTEGER
    dtype = pl.Int64()

    def _parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        text = plain(text, column.spelling)
        number = text.cast(pl.Float64, strict=False)
        whole = pl.when(number == number.floor()).then(number).cast(pl.Int64, strict=False)  # 7.0, as pandas writes a 7
        return pl.coalesce(text.cast(pl.Int64, strict=False), whole)

    def recognise(self, known: pl.Series) -> Column | None:
        if not known.cast(pl.Int64, strict=False).null_count() and not names_things(known):
            return Column(kind=self.kind)
        return None

    def holds(self, dtype: pl.DataType) -> bool:
        return False

    def draw(self, rng: np.random.Generator, lie: Distribution, count: int) -> pl.Series:
        return super().draw(rng, lie, count).cast(pl.Int64)

    def _round(self, drawn: np.ndarray[tuple[int], np.dtype[np.float64]]) -> pl.Series:
        return pl.Series(np.round(drawn).astype(np.int64))
