"""Checks the columns that a model's expectation suites name against the existing ones.

What Great Expectations makes of a suite is checked where it is installed: in the jobs (``include.jobs.validation``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from .model import ModelConfig
from .problems import Problem, nearest, unknown
from .references import feature_columns

FOLDER = "expectations"
FEATURES = "features"
CONTINUITY = "_continuity"  # after a table's name: the regularity of its rows
CONTINUITY_COLUMNS = ("rows", "missing_rows", "crowded_rows", "longest_gap_hours", "silent_hours")
COLUMNS = ("column", "column_A", "column_B", "column_list", "column_set")
PARAMETER = "$PARAMETER"
EXTREMES = ("__min", "__max")


def suite_problems(config: ModelConfig, home: Path) -> Iterator[Problem]:
    """Yields nothing for a folder without suites: its jobs report that."""
    files = sorted((home / FOLDER).glob("*.json"))
    known = dataset_columns(config)
    for file in files:
        name = f"{FOLDER}/{file.name}"
        if file.stem not in known:
            yield Problem((), f"is not about a data set of the model. {nearest(file.stem, known)}", name)
            continue
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            yield Problem((), f"is not valid JSON: {error}.", name)
            continue
        entries = content.get("expectations") if isinstance(content, dict) else None
        for number, entry in enumerate(entries if isinstance(entries, list) else []):
            kwargs = entry.get("kwargs") if isinstance(entry, dict) else None
            excluded = config.features.exclude if file.stem == FEATURES else ()
            for key, message in _wrong(kwargs if isinstance(kwargs, dict) else {}, file.stem, known, excluded):
                yield Problem(("expectations", number, "kwargs", key), message, name)
    if files:
        for dataset in known.keys() - {file.stem for file in files}:
            yield Problem(("data",), f"'{dataset}' has no suite of expectations: write {FOLDER}/{dataset}.json.")


def dataset_columns(config: ModelConfig) -> dict[str, Collection[str] | None]:
    """The columns of each data set that has its own suite; None if model.yaml does not tell."""
    found: dict[str, Collection[str] | None] = {}
    for name, table in config.data.tables.items():
        found[name] = table.kinds
        if table.every_hours:
            series = [column for column in table.key if not table.kinds[column].is_time] or ["series"]
            numbers = [column for column, kind in table.kinds.items() if kind.is_number]
            nulls = [f"{column}_longest_null_hours" for column in numbers]
            found[f"{name}{CONTINUITY}"] = [*series, *CONTINUITY_COLUMNS, *nulls]
    features = feature_columns(config)
    found[FEATURES] = None if features is None else [*config.data.not_features, *features]
    return found


def _wrong(
    kwargs: Mapping[str, object],
    dataset: str,
    known: Mapping[str, Collection[str] | None],
    excluded: Collection[str],
) -> Iterator[tuple[str, str]]:
    columns = known[dataset]
    for key in COLUMNS:
        given = kwargs.get(key, [])
        for name in given if isinstance(given, list) else [given]:
            if name in excluded:
                yield key, f"'{name}' is left out of the features by features.exclude: remove its expectations here"
            elif isinstance(name, str) and columns is not None and name not in columns:
                yield key, f"in {dataset} {unknown('column', name, columns)}"
    for key, value in kwargs.items():
        parameter = value.get(PARAMETER) if isinstance(value, dict) else None
        if isinstance(parameter, str) and (wrong := _wrong_parameter(parameter, known)):
            yield key, wrong


def _wrong_parameter(parameter: str, known: Mapping[str, Collection[str] | None]) -> str | None:
    """``<dataset>__<column>`` with or without an extreme; the jobs check other parameters."""
    dataset, found, column = parameter.partition("__")
    if not found:
        return None
    if dataset not in known:
        return unknown("data set", dataset, known)
    for extreme in EXTREMES:
        column = column.removesuffix(extreme)
    columns = known[dataset]
    return None if columns is None or column in columns else f"in {dataset} {unknown('column', column, columns)}"
