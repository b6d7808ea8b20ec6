"""Merges shards into what one machine would have produced: reports, splits, validated tables.

Memory holds the columns that determine splits (key, time, label, groups) of all rows, and one shard's features.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from include.jobs.daily.chunks import merge_quarantine
from include.jobs.features.feature_table import WHOLE, identity, part_file
from include.jobs.features.splitting import Parts
from include.jobs.sharding.shard import ShardFacts
from include.jobs.validate_features import DATASET, about, apart, infinite, infinite_counts, require_known
from include.jobs.validation.cleaning import Window
from include.jobs.validation.parts import Check, check_of, combine_suites, report_of
from include.jobs.validation.report import Report, TableReport
from include.jobs.validation.suites import load_suite, run_suite
from include.jobs.validation.wording import finding_of
from include.models.config import MODELS_FOLDER, ModelConfig
from include.models.config.files import FEATURE_TABLE, QUARANTINE, SPLITS

SHARD, ROW = "__shard", "__row"  # besides the table's own columns: the location of a row's features


def raw_report(config: ModelConfig, shards: list[Path], facts: list[ShardFacts], window: Window, into: Path) -> Report:
    """The report on the raw data, judged as a whole; rejected rows go into one file per table."""
    tables = config.data.tables
    whole = {name for name in tables if facts[0].parts[name].is_whole}
    merge_quarantine([shard / QUARANTINE for shard in shards], into / QUARANTINE, whole)
    reports = [report_of([one.parts[name] for one in facts], table) for name, table in tables.items()]
    span = {
        "data window": f"{window.start or 'the beginning'} to {window.end or 'the end'}",
        "chunks": str(len(shards)),
    }
    return Report(config.name, "raw data", reports, span)


def copy_tables(config: ModelConfig, shards: list[Path], facts: list[ShardFacts], validated: Path) -> None:
    """The clean tables: a folder of parts for each partitioned one, one file for each other."""
    for name in config.data.tables:
        if facts[0].parts[name].is_whole:
            validated.mkdir(parents=True, exist_ok=True)
            shutil.copy(shards[0] / f"{name}.parquet", validated / f"{name}.parquet")
            continue
        (validated / name).mkdir(parents=True, exist_ok=True)
        for number, shard in enumerate(shards):
            shutil.copy(shard / f"{name}.parquet", validated / name / f"part-{number:05}.parquet")


def rows_to_split(config: ModelConfig, shards: list[Path]) -> pl.DataFrame:
    """The columns that determine splits, of all rows, and the locations of their features, sorted by key."""
    narrow = [
        _narrow(config, pl.scan_parquet(shard / FEATURE_TABLE))
        .with_row_index(ROW)
        .with_columns(pl.lit(number, dtype=pl.UInt32).alias(SHARD))
        for number, shard in enumerate(shards)
        if (shard / FEATURE_TABLE).exists()
    ]
    return pl.concat(narrow).sort(config.data.key, maintain_order=True) if narrow else pl.DataFrame()


def _narrow(config: ModelConfig, table: pl.LazyFrame) -> pl.DataFrame:
    empty = table.head(0).collect()
    columns = dict.fromkeys([*config.data.not_features, *identity(config, empty)])
    label = config.data.label
    if isinstance(empty[label].dtype, pl.String):  # a few words, of which tens of millions of rows need no copies
        table = table.with_columns(pl.col(label).cast(pl.Categorical))
    return table.select(*columns).collect()


def write_splits(
    config: ModelConfig, shards: list[Path], splits: Parts, features: Path, *, whole: bool
) -> tuple[Report, list[str]]:
    """Writes and checks each split in parts, one per shard; returns the report, and the features' columns.

    Args:
        whole: also write the whole table.
    """
    suite = load_suite(MODELS_FOLDER / config.name / "expectations", DATASET)
    require_known(suite)
    checks: dict[str, list[list[Check]]] = {name: [] for name in splits}
    counts: dict[str, Counter[str]] = {name: Counter() for name in splits}
    columns: list[str] = []
    for number, shard in enumerate(shards):
        if not (shard / FEATURE_TABLE).exists():
            continue
        frame = pl.read_parquet(shard / FEATURE_TABLE)
        columns = frame.columns
        mine = {name: frame[rows.filter(pl.col(SHARD) == number)[ROW].sort()] for name, rows in splits.items()}
        for name, part in {**mine, **({WHOLE: frame} if whole else {})}.items():
            (features / name).mkdir(parents=True, exist_ok=True)
            if not part.is_empty():
                part.write_parquet(part_file(features / name, f"{number:05}"))
        for name, part in mine.items():
            if not part.is_empty():
                counts[name].update(infinite_counts(part))
                checks[name].append(
                    [check_of(one, part, config.data.key) for one in run_suite(about(suite, name), part, mine)]
                )
    reports = [_report(name, len(splits[name]), checks[name], counts[name]) for name in SPLITS]
    facts = {"features": f"{len(columns)} columns"}
    return Report(config.name, "feature table", reports, facts, apart(config, splits)), columns


def _report(name: str, rows: int, checks: Sequence[list[Check]], infinite_values: Counter[str]) -> TableReport:
    report = TableReport(name, f"{name}/{FEATURE_TABLE}", rows)
    combined = combine_suites(checks)
    report.outcomes = [check.outcome for check in combined]
    found = (finding_of(check.outcome, report.name, report.file, check.shown) for check in combined)
    report.findings = infinite(report, infinite_values) + [finding for finding in found if finding]
    return report
