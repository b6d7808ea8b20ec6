"""The feature table on disk: its columns, its splits by time, its examples."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from models.config import ModelConfig, Split
from models.errors import JobError
from models.interface import Examples

FILE = "features.parquet"
SPLITS = ("train", "validation", "test")


def feature_columns(config: ModelConfig, frame: pl.DataFrame) -> list[str]:
    """The columns that a model learns from, in the table's order: all but key, time and label."""
    others = {*config.data.key, config.data.time, config.data.label}
    return [column for column in frame.columns if column not in others]


def read_split(folder: Path) -> pl.DataFrame:
    """A split as build_features wrote it.

    Raises:
        JobError: the file is not there or cannot be read.
    """
    path = folder / FILE
    try:
        return pl.read_parquet(path)
    except (FileNotFoundError, pl.exceptions.ComputeError) as error:
        raise JobError(
            f"{path} cannot be read ({error}). It is written by build_features: look at that job."
        ) from error


def examples(config: ModelConfig, frame: pl.DataFrame) -> Examples:
    """Features and target of a feature table.

    Raises:
        JobError: a label that is no class of model.yaml.
    """
    label = frame[config.data.label]
    features = frame.select(feature_columns(config, frame))
    if config.problem == "regression":
        return Examples(features, label.cast(pl.Float64).to_numpy(), [])
    classes = classes_of(config)
    codes = label.cast(pl.String).replace_strict(classes, range(len(classes)), default=-1, return_dtype=pl.Int64)
    if unknown := label.filter(codes < 0).unique().sort().to_list():
        raise JobError(f"label {config.data.label} holds {unknown}; model.yaml's classes are {classes}.")
    return Examples(features, codes.to_numpy(), classes)


def classes_of(config: ModelConfig) -> list[str]:
    if not config.data.classes:
        raise JobError(f"models/{config.name}/model.yaml: data.classes is missing; a {config.problem} model needs it.")
    return config.data.classes


def split_by_time(frame: pl.DataFrame, time: str, split: Split) -> dict[str, pl.DataFrame]:
    """Train, validation and test: the last ``test_days``, before them ``validation_days``, before them the rest.

    Between two parts ``gap_hours`` are left out, so that no label of the earlier part looks into the later.
    """
    gap = timedelta(hours=split.gap_hours)
    test_start = frame[time].max() - timedelta(days=split.test_days)  # type: ignore[operator] # a datetime column
    validation_start = test_start - gap - timedelta(days=split.validation_days)
    column = pl.col(time)
    return {
        "train": frame.filter(column <= validation_start - gap),
        "validation": frame.filter(column > validation_start, column <= test_start - gap),
        "test": frame.filter(column > test_start),
    }


def class_counts(config: ModelConfig, frame: pl.DataFrame) -> dict[str, int]:
    counts = dict(frame[config.data.label].cast(pl.String).value_counts().iter_rows())
    return {name: int(counts.get(name, 0)) for name in classes_of(config)}


def quantile_edges(values: pl.Series, bins: int) -> list[float]:
    """Inner edges of equally filled bins of the values that are there; fewer where values repeat."""
    known = values.drop_nulls().to_numpy()
    if not len(known):
        return []
    return [float(edge) for edge in np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))]
