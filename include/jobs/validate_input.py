"""Validates a day's raw partition and writes clean tables: may the day be scored?

    python -m include.jobs.validate_input --model M --partitions DIR --day ISO --validated DIR --report DIR

Reads ``<partitions>/date=<day>/`` and, of earlier days, the tables that features' windows need; writes

- ``<validated>/chunk-<n>.tar``: the clean tables, each chunk with all rows of some keys; none if a finding is critical
- ``<report>/validation.json`` and ``validation.html``: the verdict, what was found, what to do
- ``<report>/quarantine/<table>.csv``: the day's rejected rows unchanged, with line number and reason

A day with more raw text than ``scoring.chunk_mb`` is partitioned by key and checked chunk by chunk, so that memory is
bounded by the chunk. It is judged as a whole, like a small day; ``validation.parts`` documents which expectations do
not add up over chunks and are checked in each.

With the version's ``reference.json`` in ``--reference``, each table of the day is also compared with those that the
version was trained on (``monitoring.faults_before_scoring``).

Rows of the day's ``replay/<file>``, a corrected quarantine file, replace the lines that they name.
The exit status is 0 whatever the verdict.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl

from include.jobs.cli import arguments_of, run_program
from include.jobs.daily.chunks import Chunk, merge_quarantine, split_day
from include.jobs.daily.day import day_tables, window_of, write_chunk
from include.jobs.validate_raw_data import Suites, load_suites, validate_tables
from include.jobs.validation.continuity import dataset_name
from include.jobs.validation.earlier import Earlier, add_earlier
from include.jobs.validation.findings import passed
from include.jobs.validation.parts import Part, report_of
from include.jobs.validation.report import Report, TableReport
from include.jobs.validation.suites import references
from include.jobs.watching.feeds import Feeds, add_reference
from include.jobs.watching.table_counts import add_tables, count_day
from include.models.config import LINE, MODELS_FOLDER, ModelConfig, Table, load_model
from include.models.config.files import QUARANTINE, day_folder
from include.models.config.watching import TableCounts
from include.models.errors import JobError

Tables = dict[str, pl.DataFrame]
FEWEST_OTHERS, OTHERS = 3, 0.02  # rows of other days in a day's file, and their share, of which it warns
CLOCK = "Check the feed's clock and time zone, and which day the file was made for."


@dataclass(frozen=True)
class CheckedDay:
    """The findings in a day's windowed tables, and their rows; ``known``: other tables that suites refer to."""

    found: dict[str, Part]
    rows: Tables
    known: Tables


CheckedDays = dict[str, CheckedDay]


def validate_chunk(
    config: ModelConfig, chunk: Chunk, day: str, suites: Suites, quarantine: Path, checked: CheckedDays | None = None
) -> tuple[dict[tuple[str, str], Part], dict[str, pl.DataFrame]]:
    """Checks the day's tables and those of earlier days, by the same suites.

    Args:
        checked: days that were already checked and need not be read again; this one is added.

    Returns:
        The unjudged findings, by day and table; the accepted rows, by table.
    """
    found: dict[tuple[str, str], Part] = {}

    def check(each: str, tables: Mapping[str, Table], into: Path, known: Mapping[str, pl.DataFrame]) -> Tables:
        read = partial(chunk.read, each)
        window = window_of(each)
        parts, rows = validate_tables(
            tables, config.data.time, _suites_of(suites, tables), window, into, read, known=known
        )
        found.update({(each, name): part for name, part in parts.items()})
        return rows

    accepted = check(day, day_tables(config, day), quarantine, {})
    windowed = config.windowed_tables
    others = {name: table for name, table in accepted.items() if name not in windowed}
    rows_of = {name: [accepted[name]] if name in accepted else [] for name in windowed}
    referred = references([one for name in windowed for one in [*suites[name], *suites.get(dataset_name(name), [])]])
    known = {name: table for name, table in others.items() if name in referred}
    for before in chunk.days:
        if before == day:
            continue
        seen = checked.get(before) if checked else None
        if seen is not None and _same(seen.known, known):
            found.update({(before, name): part for name, part in seen.found.items()})
            for name, rows_before in seen.rows.items():
                rows_of[name].insert(-1, rows_before)
            continue
        its = {name: table for name, table in day_tables(config, before).items() if name in windowed}
        with tempfile.TemporaryDirectory() as elsewhere:  # its own run has written its quarantine
            rows = check(before, its, Path(elsewhere), others)
        for name in set(windowed) & rows.keys():
            rows_of[name].insert(-1, rows[name])
    if checked is not None and chunk.folder is None:
        for gone in checked.keys() - set(chunk.days):
            del checked[gone]
        own = {name: accepted[name] for name in windowed if name in accepted}
        checked[day] = CheckedDay({name: found[day, name] for name in windowed}, own, known)
    clean = {name: pl.concat([rows.drop(LINE) for rows in parts]) for name, parts in rows_of.items() if parts}
    return found, {name: table.drop(LINE) for name, table in others.items()} | clean


def _same(one: Tables, other: Tables) -> bool:
    return one.keys() == other.keys() and all(table.equals(other[name]) for name, table in one.items())


def judge(config: ModelConfig, day: str, found: Sequence[Mapping[tuple[str, str], Part]]) -> list[TableReport]:
    """Reports of the day's tables, and of earlier days' tables with critical findings."""
    reports = []
    days = sorted({each for each, _ in found[0]} - {day})
    for each, tables in ((each, day_tables(config, each)) for each in [day, *days]):
        for name, table in tables.items():
            if (each, name) not in found[0]:
                continue
            report = report_of([parts[each, name] for parts in found], table)
            if each == day:
                reports.append(_of_other_days(report) if config.holds_one_day(name) else report)
            elif not passed(report.findings):
                reports.append(_before(each, report))
    return reports


def _suites_of(suites: Suites, tables: Mapping[str, Table]) -> Suites:
    """The tables' suites; as many rows may fail an expectation as may be rejected."""
    return {
        name: [expected.at_most(tables[table].max_rejected_share) for expected in suite]
        for name, suite in suites.items()
        if (table := name.removesuffix("_continuity")) in tables
    }


def _of_other_days(report: TableReport) -> TableReport:
    """Warns of rows of other days in a day's file, unless they are few."""
    if report.outside_window >= max(FEWEST_OTHERS, OTHERS * report.rows):
        report.findings = [
            replace(finding, severity="warning", allowed="rows of the day; others are left out", action=CLOCK)
            if finding.expectation == "rows_in_window"
            else finding
            for finding in report.findings
        ]
    return report


def _before(day: str, report: TableReport) -> TableReport:
    report.name = f"{report.name} of {day}"
    report.file = f"{day_folder(day)}/{report.file}"
    report.findings = [replace(finding, file=report.file) for finding in report.findings]
    return report


def validate_day(
    config: ModelConfig,
    partitions: Path,
    day: str,
    suites: Suites,
    validated: Path,
    report: Path,
    checked: CheckedDays | None = None,
    earlier: Earlier | None = None,
    feeds: Feeds | None = None,
) -> Report:
    """Checks a day; writes its chunks (none if a finding is critical), rejected rows and report; returns the report.

    Args:
        suites: from ``load_suites``, which takes longer than a small day.
        checked: see ``validate_chunk``.
        earlier: what the validations before found.
        feeds: what the tables of the version's training were like.

    Raises:
        JobError: the day has no folder.
    """
    if not (partitions / day_folder(day)).is_dir():
        raise JobError(f"{partitions} has no folder {day_folder(day)}.")
    validated.mkdir(parents=True, exist_ok=True)
    quarantine = report / QUARANTINE
    found = []
    counts: dict[str, TableCounts] = {}
    with tempfile.TemporaryDirectory() as folder:
        chunks = split_day(config, partitions, day, Path(folder), config.daily_scoring.chunk_mb)
        parts = [Path(folder) / QUARANTINE / str(number) for number in range(len(chunks))]
        for number, chunk in enumerate(chunks):
            counted, tables = validate_chunk(
                config, chunk, day, suites, quarantine if len(chunks) == 1 else parts[number], checked
            )
            found.append(counted)
            if feeds:
                counts = add_tables(counts, count_day(config, tables, day))
            write_chunk(validated / f"chunk-{number:05}.tar", tables)
        if len(chunks) > 1:
            merge_quarantine(parts, quarantine, {name for (_, name), part in found[0].items() if part.is_whole})
    facts = {"day": day, "chunks": str(len(chunks))}
    tables_of_day = judge(config, day, found)
    faults = feeds.findings(day, counts) if feeds else {}
    for table in tables_of_day:
        table.findings += faults.get(table.name, [])
    verdict = Report(config.name, f"raw data of {day}", tables_of_day, facts)
    if not verdict.passed:
        for file in validated.glob("chunk-*.tar"):
            file.unlink()
    verdict.write(report, earlier)
    return verdict


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(
        __doc__,
        partitions="folder of date=<day> folders",
        validated="where to write the chunks",
        report="where to write the verdict",
    )
    parser.add_argument("--day", required=True, help="the day to score, as 2015-06-01")
    add_earlier(parser)
    add_reference(parser)
    given = parser.parse_args(argv)
    config = load_model(given.model)
    earlier = Earlier(given.earlier, given.checks)
    suites = load_suites(config, MODELS_FOLDER / config.name / "expectations")
    folders = given.validated, given.report
    feeds = Feeds.of(config, given.reference)
    print(validate_day(config, given.partitions, given.day, suites, *folders, earlier=earlier, feeds=feeds).summary)


if __name__ == "__main__":
    run_program(main)
