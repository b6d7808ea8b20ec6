"""Validates raw tables and writes clean ones: may a model be trained on them?

    python -m include.jobs.validate_raw_data --model M --raw DIR --validated DIR --report DIR
        [--data-from ISO] [--data-to ISO]

Reads ``<raw>/<file>`` (plain, packed or Parquet) of every table in model.yaml and writes

- ``<validated>/<table>.parquet``: typed, sorted by key, without the rejected rows; if rows have no time, with their
  lines in the file; nothing if a finding is critical
- ``<report>/validation.json`` and ``validation.html``: the verdict, what was found, what to do
- ``<report>/quarantine/<table>.csv``: rejected rows unchanged, with line number and reason

The exit status is 0 whatever the verdict. ``validation`` documents what leads to which verdict.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import MappingProxyType

import polars as pl

from include.jobs.cli import arguments_of, run_program
from include.jobs.validation.cleaning import REASONS, Window, clean_table
from include.jobs.validation.continuity import continuity, dataset_name
from include.jobs.validation.earlier import Earlier
from include.jobs.validation.findings import UnusableFileError
from include.jobs.validation.parts import Check, Part, check_of, report_of
from include.jobs.validation.reading import RawTable, StoredTable
from include.jobs.validation.report import Report
from include.jobs.validation.suites import Expected, SuiteError, load_suite, references, run_suite
from include.jobs.validation.wording import allowed, column_of
from include.models.config import LINE, MODELS_FOLDER, ModelConfig, Table, load_model, named
from include.models.config.files import QUARANTINE
from include.models.errors import JobError

Suites = Mapping[str, list[Expected]]


def load_suites(config: ModelConfig, folder: Path) -> dict[str, list[Expected]]:
    """The suite of every table, and of the continuity of those with ``every_hours``.

    Raises:
        SuiteError: a suite is missing or unusable, or is about a table that model.yaml does not have.
    """
    tables = config.data.tables
    names = [*tables, *(dataset_name(name) for name, table in tables.items() if table.every_hours)]
    suites = {name: load_suite(folder, name) for name in names}
    for name, suite in suites.items():
        if unknown := references(suite) - tables.keys():
            raise SuiteError(f"{name}.json takes values from {sorted(unknown)}; model.yaml has {', '.join(tables)}.")
    if parts := {name for name, suite in suites.items() if any(expected.meta.only for expected in suite)}:
        raise SuiteError(
            f"{', '.join(sorted(parts))}: meta.only is for parts of the feature table; a raw table has none."
        )
    if stray := {path.stem for path in folder.glob("*.json")} - {*names, "features"}:
        raise SuiteError(f"{folder} has suites of {sorted(stray)}, which are not tables; known: {', '.join(names)}.")
    return suites


def validate_raw(
    config: ModelConfig, raw: Path, window: Window, suites: Suites, quarantine: Path
) -> tuple[Report, dict[str, pl.DataFrame]]:
    """Checks every table, after those that its suite refers to, and writes rejected rows to ``quarantine``.

    Returns:
        The report, and the accepted rows of each table that could be read.
    """
    tables = config.data.tables
    parts, accepted = validate_tables(tables, config.data.time, suites, window, quarantine, partial(StoredTable, raw))
    facts = {"data window": f"{window.start or 'the beginning'} to {window.end or 'the end'}"}
    reports = [report_of([parts[name]], table) for name, table in tables.items()]
    return Report(config.name, "raw data", reports, facts), accepted


def validate_tables(
    tables: Mapping[str, Table],
    time: str | None,
    suites: Suites,
    window: Window,
    quarantine: Path,
    read: Callable[[str, Table], RawTable | StoredTable],
    known: Mapping[str, pl.DataFrame] = MappingProxyType({}),
) -> tuple[dict[str, Part], dict[str, pl.DataFrame]]:
    """Checks tables, each after those that its suite refers to, and writes rejected rows to ``quarantine``.

    Expectations do not apply to a table without rows; ``read`` decides whether it may be empty.

    Args:
        known: further tables, already accepted, that suites may refer to.

    Returns:
        The findings in each table, for ``report_of`` to judge, and the accepted rows of each readable one.
    """
    parts: dict[str, Part] = {}
    accepted: dict[str, pl.DataFrame] = dict(known)
    for name in _order(suites, tables):
        table = tables[name]
        try:
            raw = read(name, table)
            clean = clean_table(raw, table, time, window)
        except UnusableFileError as unusable:
            parts[name] = Part(name, unusable.findings[0].file, unusable=unusable.findings)
            continue
        checks, failing = _expect(clean.frame.sort(LINE), suites[name], accepted, key=table.key)
        accepted[name] = clean.frame.join(failing, on=LINE, how="anti", maintain_order="left")
        of_series: list[Check] = []
        if table.every_hours and not accepted[name].is_empty():
            of_series, _ = _expect(continuity(accepted[name], table), suites[dataset_name(name)], accepted, "series")
        parts[name] = Part(
            name,
            raw.file,
            raw.rows,
            clean.frame.height,
            set_aside(raw, pl.concat([clean.rejected, failing]), quarantine / f"{name}.csv"),
            raw.bytes,
            raw.sha256,
            raw.is_whole,
            clean.tally,
            checks,
            of_series,
        )
    return parts, accepted


def _order(suites: Suites, tables: Mapping[str, Table]) -> list[str]:
    """The tables, each after those that its suites take values from."""
    needs = {
        name: {other for suite in (name, dataset_name(name)) for other in references(suites.get(suite, []))} - {name}
        for name in tables
    }
    try:
        return [name for name in TopologicalSorter(needs).static_order() if name in tables]
    except CycleError as error:
        raise SuiteError(f"suites take values from each other in a circle: {error.args[1]}") from None


def _expect(
    frame: pl.DataFrame,
    suite: list[Expected],
    others: Mapping[str, pl.DataFrame],
    rows_are: str = "rows",
    key: Sequence[str] = (),
) -> tuple[list[Check], pl.DataFrame]:
    """Runs a suite; returns its findings, and ``file_line`` and ``reason`` of rows to reject."""
    if frame.is_empty():
        return [], pl.DataFrame(schema=REASONS)
    outcomes = run_suite(suite, frame.drop(LINE, strict=False), others, rows_are)
    failing = [
        frame[outcome.rejected].select(
            LINE, pl.lit(f"{column_of(outcome.kwargs)}: allowed is {allowed(outcome)}").alias("reason")
        )
        for outcome in outcomes
        if len(outcome.rejected)
    ]
    checks = [check_of(outcome, frame, key) for outcome in outcomes]
    return checks, pl.concat(failing) if failing else pl.DataFrame(schema=REASONS)


def set_aside(raw: RawTable | StoredTable, rejected: pl.DataFrame, file: Path) -> int:
    """Writes rejected rows with their original values; returns their number. If the table has its own column
    ``reason``, the reason for rejection is in ``reason_2``."""
    file.unlink(missing_ok=True)
    if rejected.is_empty():
        return 0
    reasons = rejected.sort(LINE).group_by(LINE, maintain_order=True).agg(pl.col("reason").unique(maintain_order=True))
    reasons = reasons.with_columns(pl.col("reason").list.join("; "))
    texts = []
    for block in raw.blocks():
        malformed = block.malformed.select(LINE, pl.col("text").alias("malformed_row"))
        whole = pl.concat([block.lines, malformed], how="diagonal")
        texts.append(whole.join(reasons, on=LINE, how="semi"))
    originals = pl.concat(texts)
    *_, why = named([*originals.columns, "reason"])
    rows = reasons.rename({"reason": why}).join(originals, on=LINE, how="left", maintain_order="left")
    file.parent.mkdir(parents=True, exist_ok=True)
    rows.write_csv(file)
    return rows.height


def _moment(text: str) -> datetime:
    """A naive UTC datetime from an ISO date or time; one with an offset is converted."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not an ISO date or time, such as 2015-01-31 or 2015-01-31T06:00"
        ) from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def add_window(parser: argparse.ArgumentParser) -> None:
    """The options of a data window."""
    parser.add_argument("--data-from", type=_moment, metavar="ISO", help="first moment of the data window, in UTC")
    parser.add_argument("--data-to", type=_moment, metavar="ISO", help="end of the data window, exclusive")


def window_of(arguments: argparse.Namespace) -> Window:
    """The requested data window.

    Raises:
        JobError: it is empty.
    """
    window = Window(arguments.data_from, arguments.data_to)
    if window.start and window.end and window.start >= window.end:
        raise JobError(f"the data window is empty: --data-from {window.start} is not before --data-to {window.end}.")
    return window


def run(
    config: ModelConfig,
    raw: Path,
    window: Window,
    validated: Path,
    report_folder: Path,
    earlier: Earlier | None = None,
) -> tuple[Report, dict[str, pl.DataFrame]]:
    """Validates the raw tables and writes the clean ones.

    Returns:
        The report, and the tables without their rejected rows; none if a finding is critical.
    """
    suites = load_suites(config, MODELS_FOLDER / config.name / "expectations")
    report, accepted = validate_raw(config, raw, window, suites, report_folder / QUARANTINE)
    report.write(report_folder, earlier)
    validated.mkdir(parents=True, exist_ok=True)
    for name in config.data.tables:
        file = validated / f"{name}.parquet"
        file.unlink(missing_ok=True)  # a table from an earlier verdict must not be taken for one of this
    if not report.passed:
        return report, {}
    for name, table in to_store(config, accepted).items():
        table.write_parquet(validated / f"{name}.parquet")
    return report, {name: accepted[name].drop(LINE) for name in config.data.tables}


def to_store(config: ModelConfig, accepted: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The accepted rows. Without a time they keep their lines: only the file tells which of them came together."""
    return {name: table.drop(LINE) if config.data.time else table for name, table in accepted.items()}


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(
        __doc__, raw="folder of raw files", validated="where to write the tables", report="where to write the verdict"
    )
    add_window(parser)
    arguments = parser.parse_args(argv)
    report, _ = run(
        load_model(arguments.model), arguments.raw, window_of(arguments), arguments.validated, arguments.report
    )
    print(report.summary)


if __name__ == "__main__":
    run_program(main)
