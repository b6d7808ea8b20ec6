"""A Parquet file as the text that it would be exported as: what the reader of raw files gives, whatever the file is.

Types are held against model.yaml's: a column of numbers or integers has numbers, a timestamp has a date or a time (with
a zone it is taken to UTC), a string has texts or whole numbers. Any column may have texts, which are read as those of a
CSV file. A missing value is an empty cell; a value is spelled as the raw file's columns are, and reads back as it is.
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
    """A file that cannot be read: what was found, and in which column, if one is to blame; what is allowed."""

    def __init__(self, found: str, allowed: str = "a complete Parquet file", column: str | None = None) -> None:
        super().__init__(found)
        self.found, self.allowed, self.column = found, allowed, column


class ParquetRows:
    """The rows of an open file."""

    def __init__(self, path: Path) -> None:
        """Raises ParquetError: it breaks off, is encrypted, or is no Parquet file."""
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            words = str(error).splitlines()[0]
            raise ParquetError("an encrypted Parquet file" if "ncrypt" in words else f"no Parquet ({words})") from error
        names = [str(name) for name in self._file.schema_arrow.names]
        self.header = [name for name in names if not PANDAS_INDEX.fullmatch(name)]

    def texts(self, names: list[str], columns: Mapping[str, Column]) -> Iterator[pl.DataFrame]:
        """Frames of texts under these names.

        Args:
            columns: what model.yaml says of some of them.

        Raises:
            ParquetError: a column is of another type, or the file is damaged.
        """
        try:
            for batch in self._file.iter_batches(ROWS_AT_ONCE, columns=self.header):
                frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch]))).rename(
                    dict(zip(self.header, names, strict=True))
                )
                yield frame.select(_text(frame[name], columns.get(name)) for name in names)
        except (pa.ArrowException, OSError) as error:
            raise ParquetError(f"broken Parquet data ({str(error).splitlines()[0]})") from error


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
