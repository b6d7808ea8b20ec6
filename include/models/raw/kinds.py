"""Kinds of columns, the half that handles their values: how cells are read, what is wrong with those that cannot be,
how a kind is recognised, what a model learns of it, and how its values are described and made up.

Timestamps become naive Datetime(us), which are UTC by agreement, integers Int64, numbers Float64.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, TypedDict

import numpy as np
import polars as pl

from include.models.config import Column, Kind
from include.models.config.kinds import INTEGER, NUMBER, STRING, TIMESTAMP, is_missing, number_in

ISO_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
OTHER_FORMATS = (  # that new models' data is tried with
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
)
ZONE = r"\d{2}:\d{2}(:\d{2}(\.\d+)?)? ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$"
EXAMPLE = datetime.fromisoformat("2015-01-31T06:00:00")
QUANTILES = np.linspace(0, 1, 21)
MAX_CATEGORIES = 200  # values of a text that a model tells apart, and that a profile lists
DAY_SECONDS = 24 * 3600
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

    def missing(self, text: pl.Expr) -> pl.Expr:
        """Whether cells say that they hold no value."""
        if self.kind.missing == ("",):
            return text == ""
        return text.str.strip_chars().str.to_lowercase().is_in(self.kind.missing)

    @abstractmethod
    def parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        """The cells' values, null where there is none or it cannot be read."""

    def misread(self, texts: pl.Series, values: pl.Series, column: Column) -> Iterator[Misread]:
        """What is wrong with cells, given what ``parse`` made of them."""
        if values.null_count():
            wrong = values.is_null() & ~pl.select(self.missing(pl.lit(texts))).to_series()
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
    def cell(self, value: object) -> Cell:
        """A feature's value as a request gives it, in JSON or as the text of a CSV cell.

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


class Timestamps(Reading):
    kind = TIMESTAMP
    dtype = pl.Datetime("us")

    def parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        text = text.str.strip_chars()
        formats = [column.format] if column.format else ISO_FORMATS
        return pl.coalesce(text.str.to_datetime(form, time_unit="us", strict=False) for form in formats)

    def _unreadable(self, texts: pl.Series, wrong: pl.Series, column: Column) -> Iterator[Misread]:
        zoned = wrong & texts.str.strip_chars().str.contains(ZONE)
        action = "Convert the column to UTC and write it without zone or offset."
        allowed = "timestamps without one, in UTC"
        yield Misread("timestamps_have_no_zone", zoned, "timestamps with a time zone", allowed, action, tolerable=False)
        yield from super()._unreadable(texts, wrong & ~zoned, column)

    def allowed(self, column: Column) -> str:
        return f"timestamps as {EXAMPLE.strftime(column.format or ISO_FORMATS[0].removesuffix('%.f'))}"

    def recognise(self, known: pl.Series) -> Column | None:
        for form in (*ISO_FORMATS, *OTHER_FORMATS):
            if not known.str.to_datetime(form, strict=False).null_count():
                return Column(kind=self.kind, format=None if form in ISO_FORMATS else form)
        return None

    def cell(self, value: object) -> Cell:
        raise ValueError(f"{value!r:.60}: a timestamp is not a feature")

    def describe(self, known: pl.Series) -> Distribution:
        return {"range": [str(known.min()), str(known.max())]}

    def draw(self, rng: np.random.Generator, lie: Distribution, count: int) -> pl.Series:
        first, last = (datetime.fromisoformat(text) for text in lie["range"])
        seconds = rng.uniform(0, (last - first).total_seconds(), count)
        step = DAY_SECONDS if (last - first).total_seconds() > 0 and first.time() == last.time() else 1
        return pl.Series((seconds // step * step * 1e6).astype(np.int64)).cast(pl.Duration("us")) + first

    def shown(self, value: pl.Expr) -> pl.Expr:
        return value.dt.strftime("%Y-%m-%d %H:%M:%S")

    def to_text(self, value: pl.Expr, column: Column) -> pl.Expr:
        return value.dt.strftime(column.format or "%Y-%m-%d %H:%M:%S")


class Texts(Reading):
    kind = STRING
    dtype = pl.String()

    def parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        return pl.when(text != "").then(text)

    def misread(self, texts: pl.Series, values: pl.Series, column: Column) -> Iterator[Misread]:
        broken = texts.str.contains_any(["\n", "\r"])
        action = "Look for a quote that is opened and never closed: it swallows the rows after it."
        yield Misread("values_are_on_one_line", broken, "a line break within a cell", "text on one line", action)

    def recognise(self, known: pl.Series) -> Column | None:
        return Column(kind=self.kind)

    def feature(self, value: pl.Expr) -> pl.Expr:
        return value

    def cell(self, value: object) -> Cell:
        if value is None or (isinstance(value, str) and _is_unicode(value)):
            return value or None
        raise ValueError(f"{value!r:.60} is not text")

    def describe(self, known: pl.Series) -> Distribution:
        counts = known.value_counts(sort=True).head(MAX_CATEGORIES)
        total = counts["count"].sum()
        return {"shares": {value: count / total for value, count in counts.iter_rows()}}

    def draw(self, rng: np.random.Generator, lie: Distribution, count: int) -> pl.Series:
        return _choose(rng, lie["shares"], count).cast(pl.String)

    def invent(self, rng: np.random.Generator, count: int) -> pl.Series:
        return pl.Series([f"text-{value}" for value in super().invent(rng, count)])

    def number(self, name: str, numbers: pl.Expr) -> pl.Expr:
        return pl.format("{}-{}", pl.lit(name), numbers).alias(name)


class Numbers(Reading):
    kind = NUMBER
    dtype: ClassVar[pl.DataType] = pl.Float64()

    def parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        return text.str.strip_chars().cast(pl.Float64, strict=False).fill_nan(None)

    def misread(self, texts: pl.Series, values: pl.Series, column: Column) -> Iterator[Misread]:
        if values.dtype.is_float():
            action = "Correct the source, or leave the cell empty where the value is not known."
            yield Misread("values_are_finite", values.is_infinite(), "infinite values", "finite numbers", action)
        yield from super().misread(texts, values, column)

    def recognise(self, known: pl.Series) -> Column | None:
        numbers = known.cast(pl.Float64, strict=False).fill_nan(None)
        return None if numbers.null_count() else Column(kind=self.kind)

    def holds(self, dtype: pl.DataType) -> bool:
        return dtype != pl.String

    def cell(self, value: object) -> Cell:
        if value is None or (isinstance(value, str) and is_missing(value)):
            return None
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(f"{value!r:.60} is not a number")  # noqa: TRY004 - of a request, not of the code
        try:
            number = number_in(value) if isinstance(value, str) else float(value)
        except ValueError:
            raise ValueError(f"{value!r:.60} is not a number") from None
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            raise ValueError(f"{value!r:.60} is not finite")
        return None if math.isnan(number) else number

    def describe(self, known: pl.Series) -> Distribution:
        return {"quantiles": [float(f"{value:.6g}") for value in np.quantile(known.to_numpy(), QUANTILES)]}

    def draw(self, rng: np.random.Generator, lie: Distribution, count: int) -> pl.Series:
        if "shares" in lie:
            return _choose(rng, lie["shares"], count).cast(pl.String)
        return self._round(np.interp(rng.random(count), QUANTILES, lie["quantiles"]))

    def _round(self, drawn: np.ndarray[tuple[int], np.dtype[np.float64]]) -> pl.Series:
        return pl.Series(np.round(drawn, 6))


class WholeNumbers(Numbers):
    kind = INTEGER
    dtype = pl.Int64()

    def parse(self, text: pl.Expr, column: Column) -> pl.Expr:
        text = text.str.strip_chars()
        number = text.cast(pl.Float64, strict=False)
        whole = pl.when(number == number.floor()).then(number).cast(pl.Int64, strict=False)  # 7.0, as pandas writes a 7
        return pl.coalesce(text.cast(pl.Int64, strict=False), whole)

    def recognise(self, known: pl.Series) -> Column | None:
        return None if known.cast(pl.Int64, strict=False).null_count() else Column(kind=self.kind)

    def holds(self, dtype: pl.DataType) -> bool:
        return False

    def draw(self, rng: np.random.Generator, lie: Distribution, count: int) -> pl.Series:
        return super().draw(rng, lie, count).cast(pl.Int64)

    def _round(self, drawn: np.ndarray[tuple[int], np.dtype[np.float64]]) -> pl.Series:
        return pl.Series(np.round(drawn).astype(np.int64))


# in the order in which cells are tried
READINGS: Mapping[str, Reading] = {
    reading.kind.name: reading for reading in (WholeNumbers(), Numbers(), Timestamps(), Texts())
}


def reading_of(kind: Kind) -> Reading:
    return READINGS[kind.name]


def feature_kind(dtype: pl.DataType) -> Kind:
    """The kind of features of this type."""
    return next(reading.kind for reading in READINGS.values() if reading.holds(dtype))


def _choose(rng: np.random.Generator, shares: Mapping[str, float], count: int) -> pl.Series:
    weights = np.array(list(shares.values()))
    return pl.Series(rng.choice(np.array(list(shares), dtype=object), count, p=weights / weights.sum()))


def _is_unicode(text: str) -> bool:
    """JSON can spell halves of characters, which no text holds."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
