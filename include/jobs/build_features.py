"""Validated raw tables to the feature table, split by time into train, validation and test.

    python -m jobs.build_features --model M --validated DIR --features DIR

Reads ``<validated>/<table>.parquet``; writes ``<features>/{train,validation,test}/features.parquet`` and
``manifest.json`` with rows, time range and class counts of each split.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl

from jobs.feature_table import FILE, SPLITS, class_counts, feature_columns, split_by_time
from jobs.program import arguments_of, run_program
from models.config import ModelConfig, load_model
from models.errors import JobError
from models.interface import feature_builder

# Without one example of each class there is nothing to learn it from, or to measure it on.
NEEDS_EVERY_CLASS = ("train", "test")


def read_tables(config: ModelConfig, folder: Path) -> dict[str, pl.DataFrame]:
    """The validated tables by name.

    Raises:
        JobError: a table's file is missing or cannot be read.
    """
    tables = {}
    for name in config.data.tables:
        path = folder / f"{name}.parquet"
        try:
            tables[name] = pl.read_parquet(path)
        except (FileNotFoundError, pl.exceptions.ComputeError) as error:
            raise JobError(
                f"table {name}: {path} cannot be read ({error}). It is written by validate_raw_data: look at that job."
            ) from error
    return tables


def split_features(config: ModelConfig, frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The three splits, each fit for its use.

    Raises:
        JobError: a split is empty, or has too few classes to learn from or to be measured on.
    """
    if config.data.time is None:
        raise JobError(f"models/{config.name}/model.yaml: data.time is missing, and the split is by time.")
    splits = split_by_time(frame, config.data.time, config.split)
    times = frame[config.data.time]
    found = f"the labelled rows reach from {times.min()!s} to {times.max()!s}"
    for name, part in splits.items():
        if part.is_empty():
            raise JobError(
                f"the {name} split is empty: {found}, and model.yaml's split takes the last {config.split.test_days} "
                f"days as test and {config.split.validation_days} before them as validation. Give more data, or "
                "shorten the split."
            )
        if config.problem != "regression":
            _require_classes(config, name, part)
    return splits


def _require_classes(config: ModelConfig, name: str, part: pl.DataFrame) -> None:
    counts = class_counts(config, part)
    missing = [label for label, count in counts.items() if not count]
    if missing and (name in NEEDS_EVERY_CLASS or len(missing) > len(counts) - 2):
        time = part[str(config.data.time)]
        raise JobError(
            f"the {name} split ({time.min()!s} to {time.max()!s}) has no row with {config.data.label} "
            f"{', '.join(missing)}; found {counts}. Every class must occur, or nothing is learned of it and nothing "
            "measured. Check that the raw tables cover the whole period, or widen the data window."
        )


def manifest(config: ModelConfig, tables: dict[str, pl.DataFrame], splits: dict[str, pl.DataFrame]) -> dict[str, Any]:
    described = {}
    for name, part in splits.items():
        time = part[str(config.data.time)]
        described[name] = {"rows": len(part), "from": str(time.min()), "to": str(time.max())}
        if config.problem != "regression":
            described[name]["classes"] = class_counts(config, part)
    return {
        "model": config.name,
        "code_hash": os.environ.get("CODE_HASH"),
        "tables": {name: len(table) for name, table in tables.items()},
        "features": feature_columns(config, splits["train"]),
        "splits": described,
    }


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__, validated="folder of <table>.parquet", features="where to write")
    arguments = parser.parse_args(argv)
    config = load_model(arguments.model)
    tables = read_tables(config, arguments.validated)
    frame = feature_builder(config.name).build_features(tables)
    if frame.is_empty():
        raise JobError("build_features made no labelled row: the raw tables cover less than the label's horizon.")
    splits = split_features(config, frame)
    for name in SPLITS:
        folder = arguments.features / name
        folder.mkdir(parents=True, exist_ok=True)
        splits[name].write_parquet(folder / FILE)
        print(f"{name}: {len(splits[name])} rows")
    text = json.dumps(manifest(config, tables, splits), indent=2)
    (arguments.features / "manifest.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
