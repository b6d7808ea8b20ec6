"""From text to a typed, sorted table: what cannot be read or identifies no row is set aside with its reason.

Works on any table of model.yaml by the kinds of its columns: timestamps become naive Datetime(us), which are UTC by
agreement, integers Int64, numbers Float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from include.jobs.validation.findings import Finding, Severity
from include.jobs.validation.reading import LINE, RawTable, first_line
from include.models.config import Column, Table

NO_VALUE = ("", "na", "n/a", "nan", "null", "none")
TIMESTAMP_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
ZONE = r"\d{2}:\d{2}(:\d{2}(\.\d+)?)? ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$"
EXAMPLE = datetime.fromisoformat("2015-01-31T06:00:00")
ALLOWED = {
    "integer": "whole numbers",
    "number": "numbers",
    "string": "text",
}
REASONS = {LINE: pl.UInt32, "reason": pl.String}
EXAMPLES = 3


@dataclass(frozen=True)
class Window:
    """Rows with ``start <= time < end`` are used; None leaves that side open. Both naive, in UTC."""

    start: datetime | None = None
    end: datetime | None = None


@dataclass
class CleanTable:
    """``frame``: the table's columns, typed, and LINE, sorted by key. ``rejected``: LINE and ``reason``."""

    frame: pl.DataFrame
    rejected: pl.DataFrame
    outside_window: int
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class _Problem:
    """One way in which rows cannot be used: their lines with the reason, and the finding's words."""

    check: str
    column: str
    found: str
    allowed: str
    action: str
    rows: pl.DataFrame
    tolerable: bool = True


def clean_table(raw: RawTable, table: Table, time: str | None, window: Window) -> CleanTable:
    """Type the cells, take the data window, set unusable and repeated rows aside, sort by key.

    Args:
        time: the column that the window is about; tables without it are used wholly.
    """
    typed = typed_rows(raw, table)
    inside = _inside(typed, table, time, window)
    outside = typed.height - inside.height
    problems = _malformed(raw)
    texts = (
        raw.lines if not outside else raw.lines.join(inside.select(LINE), on=LINE, how="semi", maintain_order="left")
    )
    for name, column in table.columns.items():
        problems += _unreadable(texts, inside, name, column)
    problems += _without_key(texts, table)
    readable = _without(inside, problems)
    problems += _repeated(readable, table)
    accepted = _without(readable, problems)
    notes = _notes(raw, accepted, table, outside)
    if table.key:
        accepted = accepted.sort(table.key)
    rejected = pl.concat([problem.rows for problem in problems]) if problems else pl.DataFrame(schema=REASONS)
    share = rejected[LINE].n_unique() / max(raw.rows - outside, 1)
    findings = [_finding(problem, raw, table, share) for problem in problems]
    return CleanTable(accepted, rejected, outside, findings + notes)


def typed_rows(raw: RawTable, table: Table) -> pl.DataFrame:
    """LINE and the table's columns, those made of the rows' places among them; null where a cell cannot be read."""
    return raw.lines.select(LINE, *(_cast(name, column) for name, column in table.columns.items()), *_made(table))


def _cast(name: str, column: Column) -> pl.Expr:
    text = pl.col(name)
    if column.kind == "string":
        return pl.when(text != "").then(text).alias(name)
    text = text.str.strip_chars()
    if column.kind == "timestamp":
        formats = [column.format] if column.format else TIMESTAMP_FORMATS
        readings = [text.str.to_datetime(form, time_unit="us", strict=False) for form in formats]
        return pl.coalesce(readings).alias(name)
    number = text.cast(pl.Float64, strict=False)
    if column.kind == "number":
        return number.fill_nan(None).alias(name)
    whole = pl.when(number == number.floor()).then(number).cast(pl.Int64, strict=False)  # 7.0, as pandas writes a 7
    return pl.coalesce(text.cast(pl.Int64, strict=False), whole).alias(name)


def _made(table: Table) -> list[pl.Expr]:
    """The columns that are made of where a row stands in the file: rows set aside keep their place."""
    made = []
    row = pl.col(LINE).cast(pl.Int64) - first_line(table)
    if table.row_number:
        made.append((row + 1).alias(table.row_number))
    if table.clock:
        start = pl.lit(table.clock.start, dtype=pl.Datetime("us"))
        made.append((start + row * timedelta(minutes=table.clock.every_minutes)).alias(table.clock.column))
    return made


def _inside(typed: pl.DataFrame, table: Table, time: str | None, window: Window) -> pl.DataFrame:
    """Rows within the window, and those whose time cannot be read: they are a problem wherever they belong."""
    if time is None or table.kinds.get(time) != "timestamp":
        return typed
    keep = pl.lit(value=True)
    if window.start and not table.history:
        keep = keep & (pl.col(time) >= window.start)
    if window.end:
        keep = keep & (pl.col(time) < window.end)
    return typed.filter(keep | pl.col(time).is_null())


def _malformed(raw: RawTable) -> list[_Problem]:
    if raw.malformed.is_empty():
        return []
    found = f"{raw.malformed['reason'][0]} ({_lines(raw.malformed[LINE])})"
    allowed = "as many fields in each row as there are columns"
    action = "Mend these rows; one at the file's end means that it was cut off: export it again."
    return [_Problem("rows_are_complete", "", found, allowed, action, raw.malformed.select(LINE, "reason"))]


def _unreadable(texts: pl.DataFrame, typed: pl.DataFrame, name: str, column: Column) -> list[_Problem]:
    problems: list[_Problem] = []
    kind, cells = column.kind, texts.select(LINE, name)
    if kind == "string":
        broken = cells.filter(pl.col(name).str.contains_any(["\n", "\r"]))
        action = "Look for a quote that is opened and never closed: it swallows the rows after it."
        return _cells("values_are_on_one_line", broken, "a line break within a cell", "text on one line", action)
    if kind == "number":
        infinite = cells.filter(typed[name].is_infinite())
        action = "Correct the source, or leave the cell empty where the value is not known."
        problems += _cells("values_are_finite", infinite, "infinite values", "finite numbers", action)
    if typed[name].null_count() == 0:
        return problems
    wrong = cells.filter(typed[name].is_null() & ~_is_empty(cells[name], kind))
    zoned = wrong.clear()
    if kind == "timestamp":
        zoned = wrong.filter(pl.col(name).str.strip_chars().str.contains(ZONE))
        found, allowed = "timestamps with a time zone", "timestamps without one, in UTC"
        action = "Convert the column to UTC and write it without zone or offset."
        problems += _cells("timestamps_have_no_zone", zoned, found, allowed, action, tolerable=False)
    text = wrong.join(zoned, on=LINE, how="anti", maintain_order="left")
    action = "Correct the cells, or leave them empty where the value is not known."
    return problems + _cells("values_are_readable", text, f"text that is no {kind}", _allowed(column), action)


def _allowed(column: Column) -> str:
    if column.kind == "timestamp":
        return f"timestamps as {EXAMPLE.strftime(column.format or TIMESTAMP_FORMATS[0].removesuffix('%.f'))}"
    return ALLOWED[column.kind]


def _without_key(texts: pl.DataFrame, table: Table) -> list[_Problem]:
    problems = []
    for column in [name for name in table.key if name in table.columns]:  # others are made, and never empty
        empty = texts.select(LINE, column).filter(_is_empty(texts[column], table.kinds[column]))
        action = "Fill the cells: without them nobody knows what the row is about."
        problems += _cells("keys_are_filled", empty, "no value", "a value in every row", action)
    return problems


def _is_empty(texts: pl.Series, kind: str) -> pl.Series:
    return texts == "" if kind == "string" else texts.str.strip_chars().str.to_lowercase().is_in(NO_VALUE)


def _cells(
    check: str, cells: pl.DataFrame, found: str, allowed: str, action: str, *, tolerable: bool = True
) -> list[_Problem]:
    """The problem of these cells (LINE and one column's text), the first few quoted; none if there are none."""
    if cells.is_empty():
        return []
    column = cells.columns[1]
    quoted = cells[column].head(200).unique(maintain_order=True).head(EXAMPLES)
    examples = ", ".join(repr(cell[:40]) for cell in quoted)
    found = f"{found} in {_rows(cells.height)}: {examples} ({_lines(cells[LINE])})"
    reason = pl.format(f"{column}: '{{}}'; allowed: {allowed}", pl.col(column).str.slice(0, 80)).alias("reason")
    return [_Problem(check, column, found, allowed, action, cells.select(LINE, reason), tolerable)]


def _repeated(typed: pl.DataFrame, table: Table) -> list[_Problem]:
    if not table.key:
        return []
    again = typed.filter(typed.select(table.key).is_duplicated())
    if again.is_empty():
        return []
    key = " and ".join(table.key)
    groups = again.with_columns(
        pl.struct(pl.exclude(LINE)).n_unique().over(table.key).alias("variants"),
        pl.col(LINE).min().over(table.key).alias("first"),
    ).sort(LINE)
    copies = groups.filter((pl.col("variants") == 1) & (pl.col(LINE) != pl.col("first")))
    conflicts = groups.filter(pl.col("variants") > 1)
    problems = []
    for check, rows, found, action, reason in (
        (
            "keys_are_unique",
            copies,
            "repeated rows",
            "Remove the copies from the file.",
            pl.format(f"repeats line {{}}: the same {key} and values", "first"),
        ),
        (
            "keys_are_not_contradictory",
            conflicts,
            "rows that contradict each other",
            "Find out which is right and remove the others.",
            pl.format(f"the same {key} as line {{}} with other values", "first"),
        ),
    ):
        if len(rows):
            example = ", ".join(f"{column} {rows[column][0]}" for column in table.key)
            found = f"{_rows(len(rows), found)} for the same {key}: {example} ({_lines(rows[LINE])})"
            allowed = f"one row for each {key}"
            reasons = rows.select(LINE, reason.alias("reason"))
            problems.append(_Problem(check, ", ".join(table.key), found, allowed, action, reasons))
    return problems


def _without(typed: pl.DataFrame, problems: list[_Problem]) -> pl.DataFrame:
    for problem in problems:
        typed = typed.join(problem.rows, on=LINE, how="anti", maintain_order="left")
    return typed


def _notes(raw: RawTable, accepted: pl.DataFrame, table: Table, outside: int) -> list[Finding]:
    """What was put right without loss."""
    notes: list[tuple[str, str | None, str, str]] = []
    if table.key and not accepted.select(pl.struct(table.key).is_sorted()).item():
        order = ", ".join(table.key)
        notes.append(("rows_are_sorted", order, "rows in another order", f"any; sorted by {order}"))
    if raw.has_byte_order_mark:
        notes.append(("file_is_readable", None, "a byte-order mark", "UTF-8 with or without one; left out"))
    if outside:
        notes.append(("rows_in_window", None, f"{_rows(outside)} outside the data window", "any; left out"))
    return [
        Finding("info", raw.name, raw.file, column, check, found, allowed, None, "Nothing to do.")
        for check, column, found, allowed in notes
    ]


def _finding(problem: _Problem, raw: RawTable, table: Table, share: float) -> Finding:
    severity: Severity = "warning" if problem.tolerable and share <= table.max_rejected_share else "critical"
    allowed, action = problem.allowed, problem.action
    if problem.tolerable:
        cap = table.max_rejected_share
        allowed += f"; at most {100 * cap:.3g} % of the rows may be set aside, here {100 * share:.2g} %" if cap else ""
    return Finding(
        severity, raw.name, raw.file, problem.column or None, problem.check, problem.found, allowed,
        problem.rows.height, action,
    )  # fmt: skip


def _rows(number: int, noun: str = "rows") -> str:
    return f"{number:,} {noun if number != 1 else noun.replace('rows', 'row', 1)}"


def _lines(lines: pl.Series) -> str:
    shown = ", ".join(str(line) for line in lines.head(EXAMPLES))
    return f"line {shown}" if len(lines) == 1 else f"lines {shown}{', ...' if len(lines) > EXAMPLES else ''}"
