"""Reads a Parquet file as the text that an export would contain, which is what the reader of raw files returns.

Types are checked against model.yaml's: a column of numbers or integers needs numbers, a timestamp needs a date or a
time (converted to UTC if it has a zone), a string needs texts or whole numbers. Any column may contain texts, which are
read like a CSV file's. A missing value is an empty cell; a value is spelled like the raw file's columns, and reads back
unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from include.models.config import Column
from include.models.raw.kinds import reading_of

ROWS_AT_ONCE = 1 << 17
PANDAS_INDEX = re.compile(r"__index_level_\d+__")


class ParquetError(Exception):
    """An unreadable file: what was found, and in which column, if known; what is allowed."""

    def __init__(self, found: str, allowed: str = "a complete Parquet file", column: str | None = None) -> None:
        super().__init__(found)
        self.found, self.allowed, self.column = found, allowed, column


class ParquetRows:
    """The rows of an open file."""

    def __init__(self, path: Path) -> None:
        """Raises ParquetError: it is truncated, encrypted, or not a Parquet file."""
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            words = str(error).splitlines()[0]
            raise ParquetError(
                "an encrypted Parquet file" if "ncrypt" in words else f"not Parquet ({words})"
            ) from error
        names = [str(name) for name in self._file.schema_arrow.names]
        self.header = [name for name in names if not PANDAS_INDEX.fullmatch(name)]

    def texts(self, names: list[str], columns: Mapping[str, Column]) -> Iterator[pl.DataFrame]:
        """Frames of texts under these names.

        Args:
            columns: model.yaml's declarations of some of them.

        Raises:
            ParquetError: a column has another type, or the file is corrupt.
        """
        try:
            for batch in self._file.iter_batches(ROWS_AT_ONCE, columns=self.header):
                frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch]))).rename(
                    dict(zip(self.header, names, strict=True))
                )
                yield frame.select(_text(frame[name], columns.get(name)) for name in names)
        except (pa.ArrowException, OSError) as error:
            raise ParquetError(f"corrupt Parquet data ({str(error).splitlines()[0]})") from error


def _text(values: pl.Series, column: Column | None) -> pl.Expr:
    name, dtype = values.name, values.dtype
    value = pl.col(name)
    if dtype == pl.Null:
        return pl.lit("").alias(name)
    if dtype.is_float():
        value = value.fill_nan(None)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        value = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    if not _is_text(dtype):
        if column is not None and not _fits(dtype, column):
            raise ParquetError(f"a column of type {dtype}", f"{column.kind}, as model.yaml says, or text", name)
        if dtype == pl.Date or isinstance(dtype, pl.Datetime):
            value = value.cast(pl.Datetime("us"))
            if column is None or not column.formats:
                value = value.dt.strftime("%Y-%m-%d %H:%M:%S%.f")
            else:
                value = reading_of(column.kind).to_text(value, column)
        elif column is not None and column.kind.is_quantity:
            value = reading_of(column.kind).to_text(value, column)
    return value.cast(pl.String).fill_null("").alias(name)


def _is_text(dtype: pl.DataType) -> bool:
    return dtype in (pl.String, pl.Categorical, pl.Enum)


def _fits(dtype: pl.DataType, column: Column) -> bool:
    if column.kind.is_time:
        return dtype == pl.Date or isinstance(dtype, pl.Datetime)
    if column.kind.is_quantity:
        return dtype.is_numeric()
    return dtype.is_integer() or (dtype == pl.Boolean)
