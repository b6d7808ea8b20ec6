"""How a kind of columns handles its values: the base class for ``numbers``, ``times`` and ``kinds``."""

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
    """A column's distribution: the share of rows without a value, and one other key, depending on the kind."""

    missing: float
    range: list[str]
    shares: dict[str, float]
    quantiles: list[float]


@dataclass(frozen=True)
class Misread:
    """Invalid cells of a column. ``wrong`` marks them; ``found`` describes them."""

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
        """Whether cells spell a missing value."""
        text = text.str.strip_chars()
        return text == "" if column.missing == ("",) else text.str.to_lowercase().is_in(column.missing)

    def parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        """The cells' values, null if missing or unreadable."""
        values = self._parse(text.str.strip_chars(), column)
        return pl.when(~self.missing(text, column)).then(values) if column.null_words else values

    @abstractmethod
    def _parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        """The values of stripped cells."""

    def misread(self, texts: pl.Series, values: pl.Series, column: Column) -> Iterator[Misread]:
        """What is wrong with cells, given the results of ``parse``."""
        if values.null_count():
            wrong = values.is_null() & ~pl.select(self.missing(pl.lit(texts), column)).to_series()
            yield from self._unreadable(texts, wrong, column)

    def _unreadable(self, texts: pl.Series, wrong: pl.Series, column: Column) -> Iterator[Misread]:
        action = "Correct the cells, or leave them empty if the value is unknown."
        found = f"text that is not {'an' if self.kind.name[0] in 'aeiou' else 'a'} {self.kind}"
        yield Misread("values_are_readable", wrong, found, self.allowed(column), action)

    def allowed(self, column: Column) -> str:
        return self.kind.values

    @abstractmethod
    def recognise(self, known: pl.Series) -> Column | None:
        """The column of this kind that these cells (stripped, none missing) could be; None if they are not."""

    def holds(self, dtype: pl.DataType) -> bool:
        """Whether features of this type are of this kind."""
        return dtype == self.dtype

    def feature(self, value: pl.Expr) -> pl.Expr:
        """The value that a model uses."""
        return value.cast(pl.Float64)

    @abstractmethod
    def cell(self, value: object, column: Column) -> Cell:
        """A feature's value in a request, from JSON or from the text of a CSV cell, read like a file's.

        Raises:
            ValueError: it is not a valid value.
        """

    @abstractmethod
    def describe(self, known: pl.Series) -> Distribution:
        """The distribution of values, without ``missing``."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, lie: Distribution, count: int) -> pl.Series:
        """Random values with this distribution."""

    def invent(self, rng: np.random.Generator, count: int) -> pl.Series:
        """Arbitrary values."""
        return pl.Series(rng.integers(1, 10**9, count))

    def to_text(self, value: pl.Expr, column: Column) -> pl.Expr:
        """Values as in a raw file."""
        return value

    def shown(self, value: pl.Expr) -> pl.Expr:
        """Values for messages."""
        return value.cast(pl.String)

    def number(self, name: str, numbers: pl.Expr) -> pl.Expr:
        """Unique values, for a kind that may be a key."""
        return numbers.alias(name)


def choose(rng: np.random.Generator, shares: Mapping[str, float], count: int) -> pl.Series:
    """Random values with these shares."""
    weights = np.array(list(shares.values()))
    return pl.Series(rng.choice(np.array(list(shares), dtype=object), count, p=weights / weights.sum()))
