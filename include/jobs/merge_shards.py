"""Merges shards into the outputs of ``prepare_data``: reports, splits and validated tables of the whole.

    python -m include.jobs.merge_shards --model M --shards DIR --validated DIR --features DIR
        --raw-report DIR --features-report DIR --preparation DIR [--data-from ISO] [--data-to ISO]
        [--held-out DAYS,DAYS[,SHARE]] [--must-learn ISO]

Reads what prepare_shards wrote. Tables and splits come in parts, one file per chunk, which readers treat as one table;
the rest is as prepare_data writes it, and it also stops at the first critical finding.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from include.jobs import build_features
from include.jobs.cli import run_program
from include.jobs.features.splitting import Parts
from include.jobs.prepare_data import Preparation, arguments_to_prepare, cannot_be_built, held_out
from include.jobs.sharding.merging import copy_tables, raw_report, rows_to_split, write_splits
from include.jobs.sharding.shard import read_facts
from include.jobs.validate_raw_data import window_of
from include.jobs.validation.cleaning import Window
from include.jobs.validation.earlier import Earlier
from include.jobs.validation.report import Report
from include.models.config import ModelConfig, load_model
from include.models.config.files import FEATURES_MANIFEST
from include.models.errors import JobError


def merge(
    config: ModelConfig,
    folder: Path,
    window: Window,
    validated: Path,
    features: Path,
    reports: dict[str, Path],
    must_learn: date | None = None,
    earlier: Earlier | None = None,
) -> Report:
    """Merges the shards of a folder, up to the first critical finding; arguments and result as ``prepare``."""
    done = Preparation(config)
    shards = sorted(folder.glob("shard-*"))
    if not shards:
        raise JobError(f"{folder} has no shards. They are written by prepare_shards: look at that job.")
    facts = read_facts(shards)
    with done.step("validate_raw_data"):
        report = raw_report(config, shards, facts, window, reports["validate_raw_data"])
        report.write(reports["validate_raw_data"], earlier)
    if not done.goes_on_after("validate_raw_data", report):
        return done.report({})
    with done.step("build_features"):
        copy_tables(config, shards, facts, validated)
        try:
            problems = [one.cannot_be_built for one in facts if one.cannot_be_built]
            splits = _splits(config, shards, problems, must_learn)
        except JobError as error:
            return done.stop_building(cannot_be_built(error), reports["validate_features"])
    with done.step("validate_features"):
        whole = build_features.needs_whole(config)
        report, columns = write_splits(config, shards, splits, features, whole=whole)
        report.write(reports["validate_features"], earlier)
    rows = {name: sum(one.rows[name] for one in facts) for name in config.data.tables}
    described = build_features.manifest(config, rows, splits, columns)
    (features / FEATURES_MANIFEST).write_text(json.dumps(described, indent=2), encoding="utf-8")
    done.goes_on_after("validate_features", report)
    return done.report(splits)


def _splits(config: ModelConfig, shards: list[Path], problems: list[str], must_learn: date | None) -> Parts:
    if problems:
        raise JobError(problems[0])
    narrow = rows_to_split(config, shards)
    if narrow.is_empty():
        raise JobError(build_features.NO_ROW)
    return build_features.split_features(config, narrow, must_learn)


def main(argv: list[str] | None = None) -> None:
    parser = arguments_to_prepare(__doc__, shards="folder of shards")
    given = parser.parse_args(argv)
    reports = {"validate_raw_data": given.raw_report, "validate_features": given.features_report}
    config, window = held_out(load_model(given.model), given.held_out), window_of(given)
    earlier = Earlier(given.earlier, given.checks)
    report = merge(config, given.shards, window, given.validated, given.features, reports, given.must_learn, earlier)
    report.write(given.preparation)
    print(report.summary)


if __name__ == "__main__":
    run_program(main)
