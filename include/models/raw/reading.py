"""What a kind of columns does with its values: the base that ``numbers``, ``times`` and ``kinds`` fill in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypedDict

import numpy as np
import polars as pl

from include.models.config import Column, Kind

Cell = float | str | None


class Distribution(TypedDict, total=False):
    """How a column's values lie: the share of rows without one, and one of the others, as its kind describes it."""

    missing: float
    range: list[str]
    shares: dict[str, float]
    quantiles: list[float]


@dataclass(frozen=True)
class Misread:
    """Cells of a column that cannot be used. ``wrong`` marks them; ``found`` says what they are."""

    check: str
    wrong: pl.Series
    found: str
    allowed: str
    action: str
    tolerable: bool = True


class Reading(ABC):
    """How values of one kind are handled. A further kind is a further subclass."""

    kind: ClassVar[Kind]
    dtype: ClassVar[pl.DataType]

    def missing(self, text: pl.Expr, column: Column) -> pl.Expr:
        """Whether cells say that they hold no value."""
        text = text.str.strip_chars()
        return text == "" if column.missing == ("",) else text.str.to_lowercase().is_in(column.missing)

    def parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        """The cells' values, null if there is none or it cannot be read."""
        values = self._parse(text.str.strip_chars(), column)
        return pl.when(~self.missing(text, column)).then(values) if column.null_words else values

    @abstractmethod
    def _parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        """Values of cells without blanks around."""

    def misread(self, texts: pl.Series, values: pl.Series, column: Column) -> Iterator[Misread]:
        """What is wrong with cells, given what ``parse`` made of them."""
        if values.null_count():
            wrong = values.is_null() & ~pl.select(self.missing(pl.lit(texts), column)).to_series()
            yield from self._unreadable(texts, wrong, column)

    def _unreadable(self, texts: pl.Series, wrong: pl.Series, column: Column) -> Iterator[Misread]:
        action = "Correct the cells, or leave them empty where the value is not known."
        found = f"text that is not {'an' if self.kind.name[0] in 'aeiou' else 'a'} {self.kind}"
        yield Misread("values_are_readable", wrong, found, self.allowed(column), action)

    def allowed(self, column: Column) -> str:
        return self.kind.values

    @abstractmethod
    def recognise(self, known: pl.Series) -> Column | None:
        """The column of this kind that these cells (text without spaces around, none of them missing) could be."""

    def holds(self, dtype: pl.DataType) -> bool:
        """Whether features of this type are of this kind."""
        return dtype == self.dtype

    def feature(self, value: pl.Expr) -> pl.Expr:
        """What a model learns from."""
        return value.cast(pl.Float64)

    @abstractmethod
    def cell(self, value: object, column: Column) -> Cell:
        """A feature's value as a request gives it, in JSON or as the text of a CSV cell, which is read as a file's.

        Raises:
            ValueError: it cannot be one.
        """

    @abstractmethod
    def describe(self, known: pl.Series) -> Distribution:
        """How values lie; without ``missing``."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, lie: Distribution, count: int) -> pl.Series:
        """Values that lie as described."""

    def invent(self, rng: np.random.Generator, count: int) -> pl.Series:
        """Values that nothing is known of."""
        return pl.Series(rng.integers(1, 10**9, count))

    def to_text(self, value: pl.Expr, column: Column) -> pl.Expr:
        """Values as a raw file has them."""
        return value

    def shown(self, value: pl.Expr) -> pl.Expr:
        """Values as a message has them."""
        return value.cast(pl.String)

    def number(self, name: str, numbers: pl.Expr) -> pl.Expr:
        """Values that are different in each row, of a kind that tells rows apart."""
        return numbers.alias(name)


def choose(rng: np.random.Generator, shares: Mapping[str, float], count: int) -> pl.Series:
    """Values in these shares."""
    weights = np.array(list(shares.values()))
    return pl.Series(rng.choice(np.array(list(shares), dtype=object), count, p=weights / weights.sum()))
