"""Training tables that are too large to lie in memory twice: as columns, and again as the matrix that LightGBM reads.

Not for the validation split: LightGBM 4.7 measures one that comes block by block wrongly. It reads that as columns,
without a copy; a train split that is read so has other bins than its matrix, as other rows are sampled for them.
"""

from __future__ import annotations

from collections.abc import Callable

import lightgbm as lgb
import numpy as np
import polars as pl

from include.models.interface import Array

MOST_AS_MATRIX = 20_000_000  # values, 160 MB: up to here a matrix is quicker
BLOCK = 65_536  # rows


class Rows(lgb.Sequence):
    """A table's rows as LightGBM puts them in its bins, a block at a time; the model is that of the whole matrix."""

    batch_size = BLOCK

    def __init__(self, features: pl.DataFrame, matrix: Callable[[pl.DataFrame], Array]) -> None:
        self._features, self._matrix = features, matrix
        self._block, self._number = np.empty((0, 0)), -1

    def __len__(self) -> int:
        return self._features.height

    def __getitem__(self, index: int | slice | list[int]) -> Array:
        if isinstance(index, int | np.integer):  # of those that bins are chosen by, in order
            if self._number != index // BLOCK:
                self._number = int(index) // BLOCK
                self._block = self._matrix(self._features.slice(self._number * BLOCK, BLOCK))
            return np.asarray(self._block[index % BLOCK], dtype=np.float64)
        return np.asarray(self._matrix(self._features[index]), dtype=np.float64)


def learned_from(
    features: pl.DataFrame, matrix: Callable[[pl.DataFrame], Array] = pl.DataFrame.to_numpy
) -> Array | Rows:
    """A table as ``lightgbm.Dataset`` takes it.

    Args:
        matrix: the numbers (rows, inputs) of some of its rows.
    """
    return Rows(features, matrix) if features.height * features.width > MOST_AS_MATRIX else matrix(features)
