"""Splits a feature table into train, validation and test."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import polars as pl

from include.jobs.features.feature_table import identity
from include.models.config import ClusterSplit, ModelConfig, RandomSplit, TimeSplit

Parts = dict[str, pl.DataFrame]
STRATA = 10  # of a regression's target


def split(config: ModelConfig, frame: pl.DataFrame) -> Parts:
    """``train``, ``validation`` and ``test`` by model.yaml's ``split``; any may be empty."""
    if isinstance(config.split, ClusterSplit):
        return split_by_clusters(frame, str(config.data.time), config.split)
    if isinstance(config.split, TimeSplit):
        return split_by_time(frame, str(config.data.time), config.split)
    return split_at_random(config, frame, config.split)


def split_by_time(frame: pl.DataFrame, time: str, how: TimeSplit) -> Parts:
    """The last ``test_days`` as test, before them ``validation_days``, before them the rest, or ``train_days`` of it.

    Between two parts ``gap_hours`` are left out, so that no label of the earlier part depends on the later.
    """
    if frame.is_empty():
        return dict.fromkeys(("train", "validation", "test"), frame)
    gap = timedelta(hours=how.gap_hours)
    test_start = frame[time].max() - timedelta(days=how.test_days)  # type: ignore[operator] # a datetime column
    validation_start = test_start - gap - timedelta(days=how.validation_days)
    column = pl.col(time)
    recent = column > validation_start - gap - timedelta(days=how.train_days) if how.train_days else pl.lit(value=True)
    return {
        "train": frame.filter(column <= validation_start - gap, recent),
        "validation": frame.filter(column > validation_start, column <= test_start - gap),
        "test": frame.filter(column > test_start),
    }


def split_by_clusters(frame: pl.DataFrame, time: str, how: ClusterSplit) -> Parts:
    """The last ``test_days`` of a share of the clusters as test, the last ``validation_days`` of as many others as
    validation, and the rest as train.

    Clusters are ordered by a hash of their values, so that the same ones are held out as rows arrive. Between a
    cluster's rows in train and its rows held out, ``gap_hours`` are left out.
    """
    if frame.is_empty():
        return dict.fromkeys(("train", "validation", "test"), frame)
    clusters = frame.select(how.cluster).unique()
    words = clusters.select(pl.concat_str([pl.col(name).cast(pl.String) for name in how.cluster], separator="|"))
    digests = [hashlib.sha256(str(word).encode()).hexdigest() for word in words.to_series()]
    order, held = pl.Series(digests).rank("ordinal") - 1, max(1, round(how.share * len(clusters)))
    placed = clusters.with_columns((order // held).alias("_place"))
    dealt = frame.join(placed, on=how.cluster, how="left", maintain_order="left", nulls_equal=True)
    end, column, place = frame[time].max(), pl.col(time), pl.col("_place")
    days = pl.when(place == 0).then(how.test_days).when(place == 1).then(how.validation_days)
    held_from = pl.lit(end) - pl.duration(seconds=days * 24 * 3600)
    before = place.ge(2) | (column <= held_from - timedelta(hours=how.gap_hours))
    recent = column > end - timedelta(days=how.train_days) if how.train_days else pl.lit(value=True)  # type: ignore[operator] # a datetime column
    parts = {
        "train": dealt.filter(before, recent),
        "validation": dealt.filter(place == 1, column > held_from),
        "test": dealt.filter(place == 0, column > held_from),
    }
    return {name: part.drop("_place") for name, part in parts.items()}


def rolling_splits(frame: pl.DataFrame, time: str, how: TimeSplit) -> list[Parts]:
    """The splits as of ``rolling_origins`` earlier ends of the data, latest first."""
    end = frame[time].max()
    steps = [timedelta(days=how.test_days * number) for number in range(1, how.rolling_origins + 1)]
    return [split_by_time(frame.filter(pl.col(time) <= end - step), time, how) for step in steps]  # type: ignore[operator] # a datetime column


def split_at_random(config: ModelConfig, frame: pl.DataFrame, how: RandomSplit) -> Parts:
    """Groups of rows, ordered by a hash of their values, divided by shares of the rows.

    A group's position depends only on itself and the seed: as more rows arrive, it stays in its part (except a few at
    the borders), so that an approved model is not evaluated on rows that it was trained on.
    """
    together = identity(config, frame)
    groups = (
        frame.with_columns(_stratum(config, frame, how).alias("_stratum"))
        .group_by(together, maintain_order=True)
        .agg(pl.col("_stratum").mode().min(), pl.len().alias("_rows"))
    )
    words = groups.select(pl.concat_str([pl.col(name).cast(pl.String) for name in together], separator="|"))
    digests = [hashlib.sha256(f"{how.seed}|{word}".encode()).hexdigest() for word in words.to_series()]
    groups = groups.with_columns(pl.Series("_place", digests)).sort("_stratum", "_place")
    rows = pl.col("_rows")
    reached = (rows.cum_sum() - rows / 2).over("_stratum") / rows.sum().over("_stratum")  # of each group's middle
    part = (
        pl.when(reached < how.test_share)
        .then(pl.lit("test"))
        .when(reached < how.test_share + how.validation_share)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("train"))
    )
    placed = groups.select(*together, part.alias("_part"))
    dealt = frame.join(placed, on=together, how="left", maintain_order="left", nulls_equal=True)
    return {name: dealt.filter(pl.col("_part") == name).drop("_part") for name in ("train", "validation", "test")}


def _stratum(config: ModelConfig, frame: pl.DataFrame, how: RandomSplit) -> pl.Series:
    label = frame[config.data.label]
    if not how.stratify:
        return pl.repeat("", len(frame), eager=True)
    if config.problem == "regression":
        return (label.rank("ordinal") * STRATA / (len(label) + 1)).cast(pl.Int64).cast(pl.String)
    return label.cast(pl.String)
