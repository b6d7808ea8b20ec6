"""From a day's clean tables to the rows that a model version scores: the other use of ``include.jobs.build_features``.

Reads the chunks of ``<validated>`` that this instance was given; writes for each chunk with rows
``<features>/rows/shard-<n>.csv``, without a header, with the key and then the features in the version's order, and for
every chunk ``<features>/shards/shard-<n>.json``: its rows, their origin, and the distribution of their features over
the bins of the version's drift profile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NotRequired, TypedDict

import polars as pl

from include.jobs.daily.chunks import is_cut_by, shard_column
from include.jobs.daily.day import read_chunk, window_of
from include.jobs.features.drift_profile import Counts, count_rows
from include.jobs.serving.artifact import as_spelled, spelled_features
from include.jobs.watching.table_counts import count_day
from include.models.config import Column, DriftProfile, ModelConfig
from include.models.config.explain import Explain
from include.models.config.files import DRIFT_PROFILE, FEATURE_ORDER, METADATA, ROWS, SHARDS
from include.models.config.watching import TableCounts
from include.models.errors import JobError
from include.models.interface import Tables
from include.models.loader import feature_builder

MOMENT = "%Y-%m-%dT%H:%M:%S"  # how a key's time is written in rows to score


def day_features(config: ModelConfig, tables: Tables, day: str) -> pl.DataFrame | None:
    """The feature rows of the day, from tables that include its look-back; None if there are none.

    Raises:
        JobError: as the model's ``build_features``; or a row without a complete key.
    """
    if tables[config.daily_scoring.tables[0]].is_empty():
        return None
    frame = feature_builder(config.name).build_features(tables, with_label=False)
    if config.data.time is not None:
        window = window_of(day)
        frame = frame.filter(pl.col(config.data.time).is_between(window.start, window.end, closed="left"))
    return None if frame.is_empty() else frame


class Shard(TypedDict):
    """What is said of a shard of rows to score, and of the raw data it was made of; of one with rows also how its
    features lie, its key's types and, of a regression, the ``edges`` of the bins of what is predicted.
    ``explained``: how many rows of a day the version explains at most, ``above`` which risk; of versions that do."""

    name: str
    rows: int
    classes: list[str]
    features: NotRequired[Counts]
    key: NotRequired[dict[str, str]]
    tables: NotRequired[dict[str, TableCounts]]
    edges: NotRequired[list[float]]
    explained: NotRequired[int]
    above: NotRequired[float | None]


@dataclass(frozen=True)
class ScoredVersion:
    """The rows that a version expects, how it reads them, and the profile of its training data."""

    order: list[str]
    classes: list[str]
    profile: DriftProfile
    spelled: Mapping[str, Column]
    edges: list[float] = field(default_factory=list)
    explained: Explain | None = None


def read_version(artifact: Path) -> ScoredVersion:
    """Reads the version whose model.tar.gz was unpacked into a folder.

    Raises:
        JobError: it is not an artifact of train_model.
    """
    try:
        order, metadata, profile = (
            json.loads((artifact / name).read_text(encoding="utf-8"))
            for name in (FEATURE_ORDER, METADATA, DRIFT_PROFILE)
        )
        explained = Explain.model_validate(metadata["explain"]) if "explain" in metadata else None
        edges = metadata.get("answer_edges", [])  # older versions have none
        return ScoredVersion(order, metadata["classes"], profile, spelled_features(metadata), edges, explained)
    except (OSError, KeyError, ValueError) as error:
        raise JobError(f"the artifact is invalid ({error}). It is written by train_model.") from error


def write_shard(
    config: ModelConfig,
    frame: pl.DataFrame | None,
    version: ScoredVersion,
    folder: Path,
    number: int,
    tables: dict[str, TableCounts] | None = None,
) -> int:
    """Writes a chunk's rows and description; returns the number of rows.

    Raises:
        JobError: the feature table lacks a feature of the version.
    """
    name = f"shard-{number:05}"
    facts: Shard = {"name": name, "rows": 0 if frame is None else len(frame), "classes": version.classes}
    facts["tables"] = tables or {}
    if version.explained is not None:
        facts["explained"], facts["above"] = version.explained.rows, version.explained.above
    if frame is not None:
        if missing := [column for column in version.order if column not in frame.columns]:
            raise JobError(
                f"the version needs the feature {missing[0]}, which this code's features do not have "
                f"({len(missing)} are missing). Score with another version, or with the code that it was trained with."
            )
        facts["features"] = count_rows(frame, version.profile)
        facts["edges"] = version.edges
        facts["key"] = {column: str(frame.schema[column]) for column in config.data.key}
        (folder / ROWS).mkdir(parents=True, exist_ok=True)
        rows = as_spelled(frame.select(*config.data.key, *version.order), version.spelled)
        rows.write_csv(folder / ROWS / f"{name}.csv", include_header=False, datetime_format=MOMENT)
    (folder / SHARDS).mkdir(parents=True, exist_ok=True)
    (folder / SHARDS / f"{name}.json").write_text(json.dumps(facts), encoding="utf-8")
    return facts["rows"]


def build_day(config: ModelConfig, validated: Path, version: ScoredVersion, features: Path, day: str) -> int:
    """Processes all chunks of the folder; returns the number of rows."""
    rows = 0
    for file in sorted(validated.glob("chunk-*.tar")):
        tables, number = read_chunk(file), int(file.stem.removeprefix("chunk-"))
        counted = count_day(config, tables if number == 0 else _cut(config, tables), day)
        rows += write_shard(config, day_features(config, tables, day), version, features, number, counted)
    return rows


def _cut(config: ModelConfig, tables: Tables) -> Tables:
    """The tables of a chunk that are in no other chunk."""
    by = shard_column(config, config.daily_scoring.tables)
    return {name: rows for name, rows in tables.items() if by and is_cut_by(config.data.tables[name], by)}
