"""How regularly a table's series arrive: one row of figures per series, for their own expectations."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from include.models.config import Table


def dataset_name(table_name: str) -> str:
    """The name of the suite for a table's continuity."""
    return f"{table_name}_continuity"


def continuity(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Figures of each series, that is, of each value of the key without its time.

    Args:
        frame: a cleaned table, sorted by key.
        table: its declaration, with ``every_hours``.

    Returns:
        The series' key columns and

        - ``rows``, ``missing_rows`` (between its first and last), ``crowded_rows`` (more than one per interval; a
          moment belongs to the interval that ends at or after it)
        - ``longest_gap_hours``: the longest time without a row, beyond the interval itself
        - ``silent_hours``: from its last row to the table's last
        - ``<column>_longest_null_hours`` for each number: its longest run of rows without a value
    """
    time = next(column for column in table.key if table.kinds[column].is_time)
    series = [column for column in table.key if column != time]
    every = table.every_hours or 1
    step_us = int(timedelta(hours=every) / timedelta(microseconds=1))
    numbers = [column for column, kind in table.kinds.items() if kind.is_number]
    # the interval that a time belongs to, rounded up
    slots = frame.with_columns(slot=-(-pl.col(time).to_physical() // step_us)).sort(*series, time, maintain_order=True)
    last = slots["slot"].max()
    return slots.group_by(series or [pl.lit("all").alias("series")], maintain_order=True).agg(
        pl.len().alias("rows"),
        (pl.col("slot").max() - pl.col("slot").min() + 1 - pl.col("slot").n_unique()).alias("missing_rows"),
        (pl.len() - pl.col("slot").n_unique()).cast(pl.Int64).alias("crowded_rows"),
        ((pl.col("slot").diff().max().fill_null(1) - 1).clip(lower_bound=0) * every).alias("longest_gap_hours"),
        ((last - pl.col("slot").max()) * every).alias("silent_hours"),
        *(_longest_null_run(slots[column], column, every) for column in numbers),
    )


def _longest_null_run(values: pl.Series, column: str, every: int) -> pl.Expr:
    name = f"{column}_longest_null_hours"
    if values.null_count() == 0:
        return pl.lit(0, dtype=pl.Int64).alias(name)
    null = pl.col(column).is_null()
    runs = pl.when(null).then(null.rle_id()).drop_nulls()
    longest = runs.unique_counts().max().fill_null(0)
    return (longest.cast(pl.Int64) * every).alias(name)
