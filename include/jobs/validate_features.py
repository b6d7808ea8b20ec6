"""Validates the feature table's splits: may a model be trained on them?

    python -m include.jobs.validate_features --model M --features DIR --report DIR

Reads ``<features>/{train,validation,test}/features.parquet`` and checks each with the suite
``models/<model>/expectations/features.json`` (an expectation's ``meta.only`` names the splits it is about), and for any
model: the same columns in each split, no infinite values, and disjoint splits: those by time in order, so far apart
    that
no label of one depends on the next (model.yaml's ``split.gap_hours``), random ones with groups kept together.

Writes ``<report>/validation.json`` and ``validation.html``. The exit status is 0 whatever the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from itertools import combinations, pairwise
from pathlib import Path

import polars as pl
import polars.selectors as cs

from include.jobs.cli import arguments_of, run_program
from include.jobs.features.feature_table import identity, read_split
from include.jobs.validation.earlier import Earlier
from include.jobs.validation.findings import Finding
from include.jobs.validation.report import Report, TableReport
from include.jobs.validation.suites import Expected, SuiteError, load_suite, references, run_suite
from include.jobs.validation.wording import finding_of
from include.models.config import MODELS_FOLDER, ClusterSplit, ModelConfig, TimeSplit, load_model
from include.models.config.files import FEATURE_TABLE, SPLITS

DATASET = "features"
TOO_GOOD = "Look at the split in build_features: as it is, the measured quality is better than the true one."
Splits = Mapping[str, pl.DataFrame]


def validate_features(config: ModelConfig, splits: Splits, suite: list[Expected]) -> Report:
    """Checks every split, and the splits against each other.

    Raises:
        SuiteError: the suite names an unknown split.
    """
    require_known(suite)
    reports = []
    for name, frame in splits.items():
        report = TableReport(name, f"{name}/{FEATURE_TABLE}", frame.height)
        report.findings = _columns(report, frame, splits[SPLITS[0]]) + infinite(report, infinite_counts(frame))
        report.outcomes = run_suite(about(suite, name), frame, splits)
        findings = [
            finding_of(outcome, report.name, report.file, frame, config.data.key) for outcome in report.outcomes
        ]
        report.findings += [finding for finding in findings if finding]
        reports.append(report)
    facts = {"features": f"{splits[SPLITS[0]].width} columns"}
    return Report(config.name, "feature table", reports, facts, apart(config, splits))


def require_known(suite: list[Expected]) -> None:
    """Raises SuiteError: the suite names an unknown split."""
    named = references(suite) | {part for expected in suite for part in expected.meta.only}
    if unknown := named - set(SPLITS):
        raise SuiteError(f"{DATASET}.json is about {sorted(unknown)}; there are {', '.join(SPLITS)}.")


def about(suite: list[Expected], split: str) -> list[Expected]:
    """A suite's expectations of a split."""
    return [expected for expected in suite if split in expected.meta.only or not expected.meta.only]


def _columns(report: TableReport, frame: pl.DataFrame, first: pl.DataFrame) -> list[Finding]:
    if frame.schema == first.schema:
        return []
    ours, theirs = set(frame.schema.items()), set(first.schema.items())
    found = ", ".join(sorted(f"{name} ({kind})" for name, kind in ours ^ theirs)) or "another order of columns"
    action = "Run build_features again: all splits come from one run of it."
    allowed = f"the columns of {SPLITS[0]}/{FEATURE_TABLE}"
    return [_critical(report.name, report.file, None, "columns_are_equal", f"{found} differing", allowed, None, action)]


def infinite_counts(frame: pl.DataFrame) -> dict[str, int]:
    """The number of infinite values in each numeric column."""
    return frame.select(cs.float().is_infinite().sum()).row(0, named=True) if frame.height else {}


def infinite(report: TableReport, counts: Mapping[str, int]) -> list[Finding]:
    action = "Look for a division by zero in features.py, or for infinite readings in the raw data."
    return [
        _critical(
            report.name, report.file, name, "values_are_finite", "infinite values", "finite numbers", count, action
        )
        for name, count in counts.items()
        if count
    ]


def apart(config: ModelConfig, splits: Splits) -> list[Finding]:
    """Problems between the splits; uses only the columns key, time and the split's groups."""
    if isinstance(config.split, ClusterSplit):
        return _clusters_in_order(str(config.data.time), config.split, splits)
    if isinstance(config.split, TimeSplit):
        return _in_order(str(config.data.time), config.split, splits)
    return _grouped(config, splits)


def _in_order(time: str, how: TimeSplit, splits: Splits) -> list[Finding]:
    """Splits by time must follow each other at the distance that model.yaml states."""
    gap = timedelta(hours=how.gap_hours)
    findings = []
    for earlier, later in pairwise(SPLITS):
        if splits[earlier].is_empty() or splits[later].is_empty():
            continue
        end, start = splits[earlier].select(pl.col(time).max()).item(), splits[later].select(pl.col(time).min()).item()
        if start - end < gap or start <= end:
            found = f"that it starts at {start}, when {earlier} ends at {end}"
            allowed = f"a start at least {how.gap_hours} hours after that"
            findings.append(
                _critical(later, f"{later}/{FEATURE_TABLE}", time, "splits_are_apart", found, allowed, None, TOO_GOOD)
            )
    return findings


def _clusters_in_order(time: str, how: ClusterSplit, splits: Splits) -> list[Finding]:
    """Of each cluster, the rows held out must follow the learned ones at that distance, and be in one split."""
    gap, findings = timedelta(hours=how.gap_hours), []
    ends = {name: splits[name].group_by(how.cluster).agg(pl.col(time).max().alias("_end")) for name in SPLITS}
    starts = {name: splits[name].group_by(how.cluster).agg(pl.col(time).min()) for name in SPLITS}
    for earlier, later in (("train", "validation"), ("train", "test"), ("validation", "test")):
        both = starts[later].join(ends[earlier], on=how.cluster, nulls_equal=True)
        close = pl.col(time) - pl.col("_end") < gap
        wrong = both if earlier == "validation" else both.filter(close | (pl.col(time) <= pl.col("_end")))
        if len(wrong):
            names = ", ".join(how.cluster)
            found = f"rows of {len(wrong)} clusters that follow too closely upon those in {earlier}"
            allowed = f"rows at least {how.gap_hours} hours later; of each {names} in validation or in test"
            file = f"{later}/{FEATURE_TABLE}"
            findings.append(_critical(later, file, names, "splits_are_apart", found, allowed, None, TOO_GOOD))
    return findings


def _grouped(config: ModelConfig, splits: Splits) -> list[Finding]:
    """Rows that belong together must be in one split."""
    together = identity(config, splits["train"])
    findings = []
    for first, second in combinations(SPLITS, 2):
        shared = splits[second].join(splits[first], on=together, how="semi", nulls_equal=True)
        if len(shared):
            names = ", ".join(together)
            found = f"rows whose {names} is also in {first}"
            allowed = f"each {names} in one split only"
            file = f"{second}/{FEATURE_TABLE}"
            findings.append(_critical(second, file, names, "splits_are_apart", found, allowed, len(shared), TOO_GOOD))
    return findings


def _critical(
    table: str, file: str, column: str | None, check: str, found: str, allowed: str, rows: int | None, action: str
) -> Finding:
    return Finding("critical", table, file, column, check, found, allowed, rows, action)


def run(config: ModelConfig, splits: Splits, report_folder: Path, earlier: Earlier | None = None) -> Report:
    """Judge the splits and write the report."""
    suite = load_suite(MODELS_FOLDER / config.name / "expectations", DATASET)
    report = validate_features(config, splits, suite)
    report.write(report_folder, earlier)
    return report


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__, features="folder of the splits", report="where to write the verdict")
    arguments = parser.parse_args(argv)
    splits = {name: read_split(arguments.features / name) for name in SPLITS}
    print(run(load_model(arguments.model), splits, arguments.report).summary)


if __name__ == "__main__":
    run_program(main)
