"""Measured abalones to the feature table: one row per specimen, from that specimen alone.

No look-back. The features are the raw measures in the order of UCI's file, so a line of that file without its last
field is a request that an endpoint answers; what is derived from them, ``estimator.py`` derives.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

MEASURED = (
    "length",
    "diameter",
    "height",
    "whole_weight",
    "shucked_weight",
    "viscera_weight",
    "shell_weight",
)


def build_features(tables: Mapping[str, pl.DataFrame], with_label: bool = True) -> pl.DataFrame:
    """``specimen``, the String ``sex``, the measures as Float64, and with ``with_label`` the Int64 ``rings``, without
    specimens whose rings are unknown."""
    columns = ("specimen", "sex", *MEASURED, *(["rings"] if with_label else []))
    frame = tables["abalone"].select(columns)
    return frame.filter(pl.col("rings").is_not_null()) if with_label else frame
