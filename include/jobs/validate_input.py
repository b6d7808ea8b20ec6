"""A day's raw partition to clean tables, with a verdict: may the day be scored?

    python -m include.jobs.validate_input --model M --partitions DIR --day ISO --validated DIR --report DIR

Reads ``<partitions>/date=<day>/`` and, of the days before, the tables that windows of features reach into; writes

- ``<validated>/chunk-<n>.tar``: the clean tables, each chunk all rows of some keys; none if a finding is critical
- ``<report>/validation.json`` and ``validation.html``: the verdict, what was found, what to do
- ``<report>/quarantine/<table>.csv``: the day's rejected rows as they came, with line number and reason

A day whose raw text is larger than ``scoring.chunk_mb`` is cut by key and checked chunk by chunk, so that memory is
bounded by the chunk; what an expectation says of a share or a mean is then held against each chunk.

Rows of the day's ``replay/<file>``, a corrected quarantine file, stand in the places of the lines that they name.
The exit status is 0 whatever the verdict.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl

from include.jobs.cli import arguments_of, run_program
from include.jobs.daily.chunks import Chunk, merge_quarantine, merged, split_day
from include.jobs.daily.day import day_tables, scoring_of, window_of, windowed_tables, write_chunk
from include.jobs.daily.replay import read_day
from include.jobs.validate_raw_data import Suites, load_suites, validate_tables
from include.jobs.validation.reading import LINE
from include.jobs.validation.report import Report, TableReport
from include.models.config import MODELS_FOLDER, ModelConfig, Table, load_model
from include.models.errors import JobError


def validate_chunk(
    config: ModelConfig, chunk: Chunk, day: str, suites: Suites, quarantine: Path
) -> tuple[list[TableReport], dict[str, pl.DataFrame]]:
    """Check the day's tables and those of the days before, each by the same suites.

    Returns:
        Reports of the day's tables, and of those before that a critical finding stops; the accepted rows, by table.
    """
    tables, time = day_tables(config, day), config.data.time
    check = partial(validate_tables, time=time, quarantine=quarantine)
    mine = _suites_of(suites, tables)
    reports, accepted = check(tables, suites=mine, window=window_of(day), read=partial(read_day, chunk.folder(day)))
    windowed = windowed_tables(config)
    others = {name: table for name, table in accepted.items() if name not in windowed}
    parts = {name: [accepted[name]] if name in accepted else [] for name in windowed}
    for before in chunk.days:
        if before == day:
            continue
        its = {name: table for name, table in day_tables(config, before).items() if name in windowed}
        with tempfile.TemporaryDirectory() as elsewhere:  # its own run has put its rows in quarantine
            found, rows = validate_tables(
                its,
                time,
                _suites_of(suites, its),
                window_of(before),
                Path(elsewhere),
                partial(read_day, chunk.folder(before)),
                known=others,
            )
        reports += [
            _before(before, report) for report in found if any(f.severity == "critical" for f in report.findings)
        ]
        for name in set(windowed) & rows.keys():
            parts[name].insert(-1, rows[name])
    clean = {name: pl.concat([part.drop(LINE) for part in found]) for name, found in parts.items() if found}
    return reports, {name: table.drop(LINE) for name, table in others.items()} | clean


def _suites_of(suites: Suites, tables: Mapping[str, Table]) -> Suites:
    """The tables' suites; as many rows of a table may fail an expectation as may be set aside of it."""
    return {
        name: [expected.at_most(tables[table].max_rejected_share) for expected in suite]
        for name, suite in suites.items()
        if (table := name.removesuffix("_continuity")) in tables
    }


def _before(day: str, report: TableReport) -> TableReport:
    report.name = f"{report.name} of {day}"
    report.file = f"date={day}/{report.file}"
    report.findings = [replace(finding, file=report.file) for finding in report.findings]
    return report


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(
        __doc__,
        partitions="folder of date=<day> folders",
        validated="where to write the chunks",
        report="where to write the verdict",
    )
    parser.add_argument("--day", required=True, help="the day to score, as 2015-06-01")
    arguments = parser.parse_args(argv)
    config, day = load_model(arguments.model), arguments.day
    if not (arguments.partitions / f"date={day}").is_dir():
        raise JobError(f"{arguments.partitions} has no folder date={day}.")
    suites = load_suites(config, MODELS_FOLDER / config.name / "expectations")
    arguments.validated.mkdir(parents=True, exist_ok=True)
    quarantine = arguments.report / "quarantine"
    reports: list[list[TableReport]] = []
    with tempfile.TemporaryDirectory() as folder:
        chunks = split_day(config, arguments.partitions, day, Path(folder), scoring_of(config).chunk_mb)
        for number, chunk in enumerate(chunks):
            mine = quarantine if len(chunks) == 1 else Path(folder) / "quarantine" / str(number)
            found, tables = validate_chunk(config, chunk, day, suites, mine)
            reports.append(found)
            if all(finding.severity != "critical" for report in found for finding in report.findings):
                write_chunk(arguments.validated / f"chunk-{number:05}.tar", tables)
        if len(chunks) > 1:
            merge_quarantine(Path(folder) / "quarantine", quarantine)
    facts = {"day": day, "chunks": str(len(chunks))}
    report = Report(config.name, f"raw data of {day}", merged(reports), facts)
    if not report.passed:
        for file in arguments.validated.glob("chunk-*.tar"):
            file.unlink()
    report.write(arguments.report)
    print(report.summary)


if __name__ == "__main__":
    run_program(main)
