"""The rows that a model was trained on: stored in its artifact, so that it is never evaluated on them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import TypedDict

import numpy as np
import polars as pl

from include.jobs.features.feature_table import BLOCK, identity
from include.models.config import ModelConfig
from include.models.interface import Array

LEARNED_ROWS = "learned_rows.npy"  # a digest per row, or per group of rows that stay together
BYTES = 8  # per digest: a collision among a hundred million rows has a probability of one in a thousand


class LearnedFrom(TypedDict):
    """In metadata.json: what the training and validation splits were.

    ``by``: the columns that identify rows, and their types. ``first`` and ``last`` are the ends of the period; None if
    rows have no time. ``sha256``: of all the rows' digests.
    """

    rows: int
    by: dict[str, str]
    first: str | None
    last: str | None
    sha256: str


def write_learned_rows(folder: Path, config: ModelConfig, splits: Collection[pl.DataFrame]) -> LearnedFrom:
    """Writes the digests into a model's folder; returns their description for its metadata."""
    rows = pl.concat(splits)
    by = {name: str(rows.schema[name]) for name in identity(config, rows)}
    digests = np.unique(_digests(rows, by))
    np.save(folder / LEARNED_ROWS, digests)
    times = rows[config.data.time] if config.data.time else None
    return {
        "rows": len(rows),
        "by": by,
        "first": None if times is None else str(times.min()),
        "last": None if times is None else str(times.max()),
        "sha256": hashlib.sha256(digests.tobytes()).hexdigest(),
    }


def learned(folder: Path, about: LearnedFrom | None, rows: pl.DataFrame) -> Array | None:
    """Whether the model in a folder was trained on each row; None if unknown: its artifact does not say, or identifies
    rows by columns that these do not have."""
    path = folder / LEARNED_ROWS
    if about is None or not path.exists():
        return None
    if any(name not in rows.columns or str(rows.schema[name]) != kind for name, kind in about["by"].items()):
        return None
    return np.isin(_digests(rows, about["by"]), np.load(path))


def _digests(rows: pl.DataFrame, by: Collection[str]) -> Array:
    words = pl.concat_str([pl.col(name).cast(pl.String).fill_null("\0") for name in by], separator="\x1f")
    digests = b"".join(
        b"".join(hashlib.blake2b(word.encode(), digest_size=BYTES).digest() for word in block.select(words).to_series())
        for block in rows.select(*by).iter_slices(BLOCK)  # as texts, rows are many times as large
    )
    return np.frombuffer(digests, dtype=np.uint64)
