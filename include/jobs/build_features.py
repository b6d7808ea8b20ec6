"""Validated raw tables to the feature table, split into train, validation and test.

    python -m include.jobs.build_features --model M --validated DIR --features DIR

    python -m include.jobs.build_features --model M --validated DIR --features DIR --artifact DIR --day ISO

The first creates training data. Reads ``<validated>/<table>.parquet``; writes
``<features>/{train,validation,test}/features.parquet`` and ``manifest.json`` with rows, time range and class counts of
each split; also ``<features>/whole/features.parquet`` if model.yaml's split has ``rolling_origins`` or ``refit``.
The second creates a day's rows to score: ``daily.day_features``.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl

from include.jobs.cli import arguments_of, run_program
from include.jobs.daily.day_features import build_day, read_version
from include.jobs.features.feature_table import WHOLE, class_counts
from include.jobs.features.splitting import split
from include.jobs.serving.archive import unpack
from include.models.config import LINE, Json, ModelConfig, TimeSplit, load_model
from include.models.config.files import FEATURE_TABLE, FEATURES_MANIFEST
from include.models.errors import JobError
from include.models.loader import feature_builder

NO_ROW = "build_features made no labelled row: the raw tables cover less than the label's horizon."
# Without an example of each class, it cannot be learned or evaluated.
NEEDS_EVERY_CLASS = ("train", "test")


def read_tables(config: ModelConfig, folder: Path) -> dict[str, pl.DataFrame]:
    """The validated tables by name; where rows have no time, with their lines in the file.

    Raises:
        JobError: a table's file is missing or cannot be read.
    """
    tables = {}
    for name in config.data.tables:
        path = folder / f"{name}.parquet"
        try:
            parts = sorted((folder / name).glob("*.parquet"))  # as merge_shards writes a partitioned table
            tables[name] = pl.read_parquet(parts or path)
        except (FileNotFoundError, pl.exceptions.ComputeError) as error:
            raise JobError(
                f"table {name}: {path} cannot be read ({error}). It is written by prepare_data: look at that job."
            ) from error
    return tables


def without_lines(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    return {name: table.drop(LINE, strict=False) for name, table in tables.items()}


def needs_whole(config: ModelConfig) -> bool:
    """Whether the evaluation needs the whole table besides the splits, to refit the model."""
    rolling = isinstance(config.split, TimeSplit) and config.split.rolling_origins > 0
    return rolling or config.split.refit is not None


def split_features(config: ModelConfig, frame: pl.DataFrame, must_learn: date | None = None) -> dict[str, pl.DataFrame]:
    """The three splits, checked.

    Args:
        must_learn: the day that the training split must reach past, if rows are split by time.

    Raises:
        JobError: a split is empty, or lacks a class; or the training split ends
            too early.
    """
    splits = split(config, frame)
    for name, part in splits.items():
        if part.is_empty():
            raise JobError(f"the {name} split is empty: {_shortage(config, frame)}")
        if config.problem != "regression":
            _require_classes(config, name, part)
    if must_learn and isinstance(config.split, TimeSplit):
        last = splits["train"][str(config.data.time)].max()
        if last.date() <= must_learn:  # type: ignore[union-attr] # a datetime column
            raise JobError(
                f"the training split reaches only to {last!s}, but must include changes from {must_learn} on. Bring "
                "the raw data up to date, or hold out fewer days (monitoring.retrain in model.yaml)."
            )
    return splits


def _shortage(config: ModelConfig, frame: pl.DataFrame) -> str:
    how = config.split
    if not isinstance(how, TimeSplit):
        return f"there are {len(frame)} labelled rows. Provide more data, or larger shares in model.yaml's split."
    return (
        f"the labelled rows reach {_reach(config, frame)}, but model.yaml's split takes the last {how.test_days:g} "
        f"days as test and {how.validation_days:g} before them as validation. Provide more data, or shorten the split."
    )


def _reach(config: ModelConfig, frame: pl.DataFrame) -> str:
    """The period of the rows, or their number if they have no time."""
    if config.data.time is None:
        return f"{len(frame)} rows"
    return f"from {frame[config.data.time].min()!s} to {frame[config.data.time].max()!s}"


def _require_classes(config: ModelConfig, name: str, part: pl.DataFrame) -> None:
    counts = class_counts(config, part)
    missing = [label for label, count in counts.items() if not count]
    if missing and (name in NEEDS_EVERY_CLASS or len(missing) > len(counts) - 2):
        raise JobError(
            f"the {name} split ({_reach(config, part)}) has no row with {config.data.label} {', '.join(missing)}; "
            f"found {counts}. Every class must occur, to be learned and evaluated. Check that the "
            "raw tables cover the whole period, or widen the data window."
        )


def manifest(
    config: ModelConfig, rows: Mapping[str, int], splits: dict[str, pl.DataFrame], columns: list[str]
) -> dict[str, Json]:
    """The manifest: rows of the validated tables, a summary of each split, and the features."""
    described: dict[str, dict[str, Json]] = {}
    for name, part in splits.items():
        described[name] = {"rows": len(part)}
        if config.data.time:
            time = part[config.data.time]
            described[name] |= {"from": str(time.min()), "to": str(time.max())}
        if config.problem != "regression":
            described[name]["classes"] = class_counts(config, part)
    return {
        "model": config.name,
        "code_hash": os.environ.get("CODE_HASH"),
        "tables": dict(rows),
        "features": [column for column in columns if column not in config.data.not_features],
        "splits": described,
    }


def run(
    config: ModelConfig, tables: dict[str, pl.DataFrame], features: Path, must_learn: date | None = None
) -> dict[str, pl.DataFrame]:
    """Builds the feature table from validated tables, splits it, and writes and returns the splits.

    Raises:
        JobError: the tables yield no row, or no usable split.
    """
    frame = feature_builder(config.name).build_features(tables)
    if frame.is_empty():
        raise JobError(NO_ROW)
    splits = split_features(config, frame, must_learn)
    for name, part in {**splits, **({WHOLE: frame} if needs_whole(config) else {})}.items():
        folder = features / name
        folder.mkdir(parents=True, exist_ok=True)
        part.write_parquet(folder / FEATURE_TABLE)
        print(f"{name}: {len(part)} rows")
    described = manifest(config, {name: len(table) for name, table in tables.items()}, splits, frame.columns)
    text = json.dumps(described, indent=2)
    (features / FEATURES_MANIFEST).write_text(text, encoding="utf-8")
    return splits


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__, validated="folder of <table>.parquet", features="where to write")
    parser.add_argument("--day", help="the day whose rows to score, such as 2015-06-01; leave out to train")
    parser.add_argument("--artifact", type=Path, help="with --day: folder of the version's model.tar.gz")
    arguments = parser.parse_args(argv)
    config = load_model(arguments.model)
    if arguments.day:
        with tempfile.TemporaryDirectory() as artifact:
            version = read_version(unpack(arguments.artifact, Path(artifact)))
        rows = build_day(config, arguments.validated, version, arguments.features, arguments.day)
        print(f"{arguments.day}: {rows} rows")
        return
    run(config, without_lines(read_tables(config, arguments.validated)), arguments.features)


if __name__ == "__main__":
    run_program(main)
