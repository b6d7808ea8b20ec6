"""From text to a typed, sorted table. Rows that cannot be read or identified are set aside with the reason.

Works on any table of model.yaml, by the kinds of its columns (``include.models.raw.kinds``). Problems are counted first
and judged later (``findings_of``), so a day that is cleaned in parts is judged as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import polars as pl

from include.jobs.validation.findings import Example, Finding, Severity
from include.jobs.validation.reading import RawTable, StoredTable
from include.models.config import LINE, Column, Table
from include.models.config.data import ContentKey
from include.models.quoting import quoted, quotes_values
from include.models.raw.kinds import reading_of
from include.models.raw.reader import Block

REASONS = pl.Schema({LINE: pl.UInt32, "reason": pl.String})
EXAMPLES = 3
CONTENT_BYTES = 8  # of a digest: two of a hundred million different rows share one with a chance below 1 in 1,000
SHOWN = 5  # on the page
LOOKED_AT = 200  # rows of a problem that are searched for different examples


@dataclass(frozen=True)
class Window:
    """Rows with ``start <= time < end`` are used; None leaves that side open. Both naive, in UTC."""

    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class Problem:
    """One way in which rows cannot be used: how many, and the first of them as ``(line, example)``.

    ``found`` puts it in words, given the number of rows and a few examples. ``place`` is the position of its check
    among all checks.
    """

    check: str
    column: str
    found: Callable[[int, Sequence[str]], str]
    allowed: str
    action: str
    rows: int
    first: list[tuple[int, str]]
    place: tuple[int, int]
    tolerable: bool = True

    def plus(self, other: Problem) -> Problem:
        """The same problem of two parts of a table."""
        first = sorted([*self.first, *other.first])[:LOOKED_AT]
        return replace(self, rows=self.rows + other.rows, first=first)


@dataclass(frozen=True)
class Tally:
    """What cleaning counted: rows in the data window, how many were set aside and why, and what was corrected without
    loss (check, column, found, allowed)."""

    rows: int = 0
    outside_window: int = 0
    set_aside: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[tuple[str, str | None, str, str]] = field(default_factory=list)

    def plus(self, other: Tally) -> Tally:
        """Of two parts of a table."""
        problems = {(one.check, one.column): one for one in self.problems}
        for problem in other.problems:
            known = problems.get((problem.check, problem.column))
            problems[problem.check, problem.column] = known.plus(problem) if known else problem
        return Tally(
            self.rows + other.rows,
            self.outside_window + other.outside_window,
            self.set_aside + other.set_aside,
            sorted(problems.values(), key=lambda problem: problem.place),
            list(dict.fromkeys([*self.notes, *other.notes])),
        )


@dataclass(frozen=True)
class CleanTable:
    """``frame``: the table's columns, typed, and LINE, sorted by key. ``rejected``: LINE and ``reason``."""

    name: str
    file: str
    table: Table
    frame: pl.DataFrame
    rejected: pl.DataFrame
    tally: Tally

    @property
    def findings(self) -> list[Finding]:
        """The table, judged on its own."""
        return findings_of(self.tally, self.name, self.file, self.table)


def clean_table(raw: RawTable | StoredTable, table: Table, time: str | None, window: Window) -> CleanTable:
    """Type the cells, apply the data window, set unusable and repeated rows aside, sort by key. Text is held only block
    by block; of a whole file only the values are in memory.

    Args:
        time: the column that the window applies to; tables without it are used completely.

    Raises:
        UnusableFileError: as the reading of a ``StoredTable``.
    """
    read = [_clean_block(block, table, time, window) for block in raw.blocks()]
    readable = pl.concat([block.readable for block in read])
    of_keys = _Found(subjects=len(table.read_columns) + len(table.key))
    _note_repeated(readable, table, of_keys)
    accepted = of_keys.without(readable)
    rejected = pl.concat([*(block.rejected for block in read), of_keys.rejected()])
    rows = sum(block.rows for block in read)
    counted = Tally(rows, set_aside=rejected[LINE].n_unique(), problems=of_keys.problems)
    for block in read:
        counted = counted.plus(Tally(outside_window=block.outside_window, problems=block.problems))
    tally = replace(counted, notes=_notes(raw, accepted, table))
    ordered = accepted.sort(table.key) if table.key and accepted.height > 1 else accepted
    return CleanTable(raw.name, raw.file, table, ordered, rejected, tally)


@dataclass(frozen=True)
class _CleanBlock:
    """``readable``: the rows in the data window that can be typed. ``rows`` are those in the window."""

    readable: pl.DataFrame
    rejected: pl.DataFrame
    problems: list[Problem]
    rows: int
    outside_window: int


def _clean_block(block: Block, table: Table, time: str | None, window: Window) -> _CleanBlock:
    typed = typed_rows(block.lines, table, block.first_line)
    inside = _inside(typed, table, time, window)
    outside = typed.height - inside.height
    texts = block.lines
    if outside:
        texts = texts.join(inside.select(LINE), on=LINE, how="semi", maintain_order="left")
    found = _Found()
    _note_malformed(block.malformed, found)
    texts = _with_moment(texts, table)
    for name, column in table.read_columns.items():
        _note_misread(texts, inside[name], column, found)
    _note_missing_keys(texts, inside, table, found)
    rows = inside.height + block.malformed.height
    return _CleanBlock(found.without(inside), found.rejected(), found.problems, rows, outside)


def findings_of(tally: Tally, name: str, file: str, table: Table) -> list[Finding]:
    """Judges what was counted: up to ``max_rejected_share`` of all rows may be set aside."""
    share = tally.set_aside / max(tally.rows, 1)
    findings = [_finding(problem, name, file, table, share) for problem in tally.problems]
    notes = list(tally.notes)
    if tally.outside_window:
        notes.append(
            ("rows_in_window", None, f"{_rows(tally.outside_window)} outside the data window", "any; left out")
        )
    return findings + [
        Finding("info", name, file, column, check, found, allowed, None, "Nothing to do.")
        for check, column, found, allowed in notes
    ]


class _Found:
    """Problems as they are found, and the rows that they are about."""

    def __init__(self, subjects: int = 0) -> None:
        self.problems: list[Problem] = []
        self._rows: list[pl.DataFrame] = []
        self._place = (subjects, 0)  # of the previous block

    def next_subject(self) -> None:
        """The next column or check; depending on the rows, some have more checks than others."""
        self._place = (self._place[0] + 1, 0)

    def skip(self) -> None:
        """A check that finds nothing."""
        self._place = (self._place[0], self._place[1] + 1)

    def add(
        self,
        check: str,
        column: str,
        rows: pl.DataFrame,
        found: Callable[[int, Sequence[str]], str],
        allowed: str,
        action: str,
        *,
        tolerable: bool = True,
    ) -> None:
        """Record a problem, if there are rows: LINE, ``reason`` and ``example``, in the order of lines."""
        self.skip()
        if rows.height:
            first = rows.select(LINE, "example").head(LOOKED_AT).rows()
            problem = Problem(check, column, found, allowed, action, rows.height, first, self._place, tolerable)
            self.problems.append(problem)
            self._rows.append(rows.select(LINE, "reason"))

    def without(self, typed: pl.DataFrame) -> pl.DataFrame:
        for rows in self._rows:
            typed = typed.join(rows, on=LINE, how="anti", maintain_order="left")
        return typed

    def rejected(self) -> pl.DataFrame:
        return pl.concat(self._rows) if self._rows else pl.DataFrame(schema=REASONS)


def typed_rows(lines: pl.DataFrame, table: Table, first_line: int) -> pl.DataFrame:
    """Rows as text to LINE and the table's columns, those made of the rows' places among them (``first_line`` is the
    first row's); null where a cell cannot be read."""
    columns = table.read_columns.items()
    values = (reading_of(column.kind).parse(pl.col(name), column).alias(name) for name, column in columns)
    typed = _with_moment(lines, table).select(LINE, *values, *_made(table, first_line))
    return typed if table.content_key is None else typed.with_columns(_content(table.content_key))


def _with_moment(lines: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Adds the text of the time that several columns make up."""
    if table.moment is None:
        return lines
    parts = [pl.col(name).str.strip_chars() for name in table.moment.of]
    return lines.with_columns(pl.concat_str(parts, separator=" ").alias(table.moment.column))


def _made(table: Table, first_line: int) -> list[pl.Expr]:
    """The columns computed from a row's position in the file: rows set aside keep their position."""
    made = []
    row = pl.col(LINE).cast(pl.Int64) - first_line
    if table.row_number:
        made.append((row + 1).alias(table.row_number))
    if table.clock:
        start = pl.lit(table.clock.start, dtype=pl.Datetime("us"))
        made.append((start + row * timedelta(minutes=table.clock.every_minutes)).alias(table.clock.column))
    return made


def _content(key: ContentKey) -> pl.Expr:
    """A digest of each row's values, independent of how their cells are written."""
    texts = [pl.col(name).cast(pl.String).fill_null("\0") for name in key.of]
    words = pl.concat_str(texts, separator="\x1f")
    return words.map_elements(_digest, return_dtype=pl.String()).alias(key.column)


def _digest(words: str) -> str:
    return hashlib.blake2b(words.encode(), digest_size=CONTENT_BYTES).hexdigest()


def _inside(typed: pl.DataFrame, table: Table, time: str | None, window: Window) -> pl.DataFrame:
    """Rows within the window, and those whose time cannot be read, which are a problem in any window."""
    if time is None or time not in table.kinds or not table.kinds[time].is_time:
        return typed
    keep = pl.lit(value=True)
    if window.start and not table.history:
        keep = keep & (pl.col(time) >= window.start)
    if window.end:
        keep = keep & (pl.col(time) < window.end)
    return typed.filter(keep | pl.col(time).is_null())


def _note_malformed(malformed: pl.DataFrame, found: _Found) -> None:
    if malformed.is_empty():
        return
    allowed = "as many fields in each row as there are columns"
    action = "Correct these rows; one at the file's end means that it was cut off: export it again."
    rows = malformed.select(LINE, "reason", example="reason")
    found.add("rows_are_complete", "", rows, _first_example, allowed, action)


def _note_misread(texts: pl.DataFrame, values: pl.Series, column: Column, found: _Found) -> None:
    name = values.name
    found.next_subject()
    for misread in reading_of(column.kind).misread(texts[name], values, column):
        if not misread.wrong.any():
            found.skip()
            continue
        cells = texts.select(LINE, name).filter(misread.wrong)
        _note_cells(
            found, misread.check, cells, misread.found, misread.allowed, misread.action, tolerable=misread.tolerable
        )


# at module level, so that counts can be sent between processes
def _first_example(number: int, examples: Sequence[str]) -> str:
    return examples[0]


def _cells_in_words(what: str, number: int, examples: Sequence[str]) -> str:
    return f"{what} in {_rows(number)}: {quoted(', '.join(repr(cell[:40]) for cell in examples))}"


def _repeats_in_words(what: str, key: str, number: int, examples: Sequence[str]) -> str:
    return f"{_rows(number, what)} for the same {key}: {quoted(examples[0])}"


def _note_missing_keys(texts: pl.DataFrame, values: pl.DataFrame, table: Table, found: _Found) -> None:
    action = "Fill the cells: without them nobody knows what the row is about."
    for name in table.key:
        found.next_subject()
        column = table.read_columns.get(name)  # other columns are computed, and never empty
        if column and values[name].null_count():
            empty = texts.select(LINE, name).filter(reading_of(column.kind).missing(pl.col(name), column))
            _note_cells(found, "keys_are_filled", empty, "no value", "a value in every row", action)


def _note_cells(
    found: _Found, check: str, cells: pl.DataFrame, what: str, allowed: str, action: str, *, tolerable: bool = True
) -> None:
    """Record the problem of these cells: LINE and one column's text."""
    column = cells.columns[1]
    quoted = pl.col(column).str.slice(0, 80)
    reason = pl.concat_str(pl.lit(f"{column}: '"), quoted, pl.lit(f"'; allowed: {allowed}"))
    rows = cells.select(LINE, reason=reason, example=column)
    found.add(check, column, rows, partial(_cells_in_words, what), allowed, action, tolerable=tolerable)


def _note_repeated(typed: pl.DataFrame, table: Table, found: _Found) -> None:
    if not table.key or typed.height < 2:
        return
    again = typed.filter(typed.select(table.key).is_duplicated())
    if again.is_empty():
        return
    key = " and ".join(table.key)
    groups = again.with_columns(
        pl.struct(pl.exclude(LINE)).n_unique().over(table.key).alias("variants"),
        pl.col(LINE).min().over(table.key).alias("first"),
    ).sort(LINE)
    copies = groups.filter((pl.col("variants") == 1) & (pl.col(LINE) != pl.col("first")))
    conflicts = groups.filter(pl.col("variants") > 1)
    named = (pl.concat_str(pl.lit(f"{name} "), reading_of(table.kinds[name]).shown(pl.col(name))) for name in table.key)
    example = pl.concat_str(*named, separator=", ")
    found.next_subject()
    for check, rows, what, action, reason in (
        (
            "keys_are_unique",
            copies,
            "repeated rows",
            "Remove the copies from the file.",
            pl.concat_str(pl.lit("repeats line "), "first", pl.lit(f": the same {key} and values")),
        ),
        (
            "keys_are_not_contradictory",
            conflicts,
            "rows that contradict each other",
            "Find out which is right and remove the others.",
            pl.concat_str(pl.lit(f"the same {key} as line "), "first", pl.lit(" with other values")),
        ),
    ):
        in_words = partial(_repeats_in_words, what, key)
        reasons = rows.select(LINE, reason.alias("reason"), example=example)
        found.add(check, ", ".join(table.key), reasons, in_words, f"one row for each {key}", action)


def _notes(raw: RawTable | StoredTable, accepted: pl.DataFrame, table: Table) -> list[tuple[str, str | None, str, str]]:
    """What was corrected without loss."""
    notes: list[tuple[str, str | None, str, str]] = []
    if table.key and accepted.height > 1 and not accepted.select(pl.struct(table.key).is_sorted()).item():
        order = ", ".join(table.key)
        notes.append(("rows_are_sorted", order, "rows in another order", f"any; sorted by {order}"))
    if raw.has_byte_order_mark:
        notes.append(("file_is_readable", None, "a byte-order mark", "UTF-8 with or without one; left out"))
    return notes


def _finding(problem: Problem, name: str, file: str, table: Table, share: float) -> Finding:
    severity: Severity = "warning" if problem.tolerable and share <= table.max_rejected_share else "critical"
    allowed = problem.allowed
    if problem.tolerable and (cap := table.max_rejected_share):
        allowed += f"; at most {100 * cap:.3g} % of the rows may be set aside, here {100 * share:.2g} %"
    examples = list(dict.fromkeys(example for _, example in problem.first))[:EXAMPLES]
    found = f"{problem.found(problem.rows, examples)} ({_lines(problem)})"
    shown = tuple(Example(line, "", example[:80]) for line, example in problem.first[:SHOWN]) if quotes_values() else ()
    return Finding(
        severity, name, file, problem.column or None, problem.check, found, allowed, problem.rows, problem.action, shown
    )


def _rows(number: int, noun: str = "rows") -> str:
    return f"{number:,} {noun if number != 1 else noun.replace('rows', 'row', 1)}"


def _lines(problem: Problem) -> str:
    shown = ", ".join(str(line) for line, _ in problem.first[:EXAMPLES])
    return f"line {shown}" if problem.rows == 1 else f"lines {shown}{', ...' if problem.rows > EXAMPLES else ''}"
