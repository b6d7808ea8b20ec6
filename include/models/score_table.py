"""Scores as a table for the terminal, a row a line."""

from __future__ import annotations

import polars as pl
from polars import selectors

from include.models.config.columns import PROBABILITY

WIDTH = 120  # characters


def score_table(scores: pl.DataFrame) -> str:
    """The rows without their probabilities, with times to the minute and the first of the reasons."""
    rows = scores.with_columns(selectors.datetime().dt.strftime("%Y-%m-%d %H:%M"))
    rows = rows.drop(selectors.starts_with(PROBABILITY))
    if "reasons" in rows.columns:
        feature, value = (pl.col("reasons").str.json_path_match(f"$[0].{part}") for part in ("feature", "value"))
        reason = pl.format("{} {}", feature, value).fill_null("")
        rows = rows.with_columns(reason.alias("first reason")).drop("reasons")
    with pl.Config(tbl_rows=rows.height, tbl_cols=20, tbl_width_chars=WIDTH, fmt_str_lengths=60) as shape:
        shape.set_tbl_hide_dataframe_shape().set_tbl_hide_column_data_types()
        return str(rows)
