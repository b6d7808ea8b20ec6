"""From a request's raw events to typed tables and questions, with the reader and the rules of a day's files.

Input (JSON, JSON Lines or CSV with a header):

- rows: one object, a list of them, ``{"instances": [...]}`` or ``{"records": [...]}``. A row may have columns of
several tables (a reading with its machine's model and age); a column's name with an ``s`` contains a list, one row each
(``errorIDs``). Each row is a question, answered as of its own time;
- ``{"history": ...}`` beside them, rows or tables, adds further known data; ``{"explain": true}`` asks for reasons;
- tables: ``{"telemetry": [...], "errors": [...]}``, also below ``raw``. Each thing (a machine) is one question, as of
``at`` or, by default, as of its last event in the first table.

Numbers are kept as their original texts, so they are read to the same bits as a file's. A row without a time is about
now; one without the rest of its key is about an unknown thing.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property

import polars as pl

from include.jobs.serving.payload import CSV, JSON, BadRequestError, without_repeats
from include.jobs.validation.cleaning import CleanTable, Window, clean_table
from include.jobs.validation.reading import RawTable
from include.models.config import LINE, Column, Table
from include.models.quoting import quoted
from include.models.raw.kinds import reading_of
from include.models.raw.reader import MALFORMED
from include.online.shape import Shape, Thing

ROW_LISTS = ("instances", "records")
BESIDE_ROWS = ("history", "at", "mode", "explain")
NO_THING = "(not named)"  # placeholder for rows that name no machine; numeric keys get a negative number

Row = Mapping[str, object]


@dataclass(frozen=True)
class Question:
    """A question: about which thing, as of when (None if time does not matter), and the row that asks it (from 0).
    ``is_named``: the request names the thing."""

    thing: Thing
    moment: datetime | None
    row: int
    is_named: bool = True


@dataclass(frozen=True)
class RawRequest:
    """Clean tables, the questions in the request's order, and notes on how they were read."""

    tables: dict[str, pl.DataFrame]
    questions: list[Question]
    notes: list[str] = field(default_factory=list)


def loads(body: bytes, media_type: str) -> object:
    """Parses JSON with numbers as texts, CSV and JSON Lines as a list of rows.

    Raises:
        BadRequestError: it is none of these.
    """
    try:
        text = body.decode().lstrip("\ufeff")
        if media_type == CSV:
            lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
            if len(lines) < 2:
                raise BadRequestError("raw rows as CSV need a header line and at least one row.")
            _require_rectangle(lines)
            return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
        if media_type == JSON:
            return _texts_of(text)
        return [_texts_of(line) for line in text.split("\n") if line.strip()]
    except UnicodeDecodeError as error:
        raise BadRequestError(f"the request is not UTF-8 text: {error}") from None
    except csv.Error as error:
        raise BadRequestError(f"the request is not CSV: {error}") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, BadRequestError):
            raise
        raise BadRequestError(f"the request is not JSON: {error}") from None


def has_no_header(body: bytes) -> bool:
    """Whether CSV starts with a row: a number cannot be a column's name."""
    return any(_is_number(cell.strip(b' "\r')) for cell in body.split(b"\n", 1)[0].split(b","))


def is_of_features(shape: Shape, content: object) -> bool:
    """Whether rows contain features, as for an endpoint: by position, or by names that raw rows do not have."""
    rows = content
    if isinstance(content, dict):
        rows = next((content[word] for word in ROW_LISTS if word in content), None)
    first = rows[0] if isinstance(rows, list) and rows else content
    if not isinstance(first, dict):
        return isinstance(first, list) and bool(first)
    own = shape.config.code.features
    return shape.looks_back and bool(own and {*own.columns} & first.keys() - shape.names.keys())


def _is_number(cell: bytes) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _texts_of(text: str) -> object:
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=without_repeats)


def rows_of(shape: Shape, content: object) -> list[Row] | None:
    """The rows of a request with rows; None for one with tables.

    Raises:
        BadRequestError: it is neither.
    """
    if isinstance(content, dict):
        name = next((word for word in ROW_LISTS if word in content), None)
        if name is None:
            named = {*shape.tables, "raw"} & content.keys()
            if named or any(_is_rows(value) for name, value in content.items() if name not in BESIDE_ROWS):
                return None
            return [{key: value for key, value in content.items() if key not in BESIDE_ROWS}]
        content = content[name]
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        return content
    raise BadRequestError("expected one row as an object, a list of rows, or tables of rows by name.")


def read_request(
    shape: Shape, content: object, now: datetime | None = None, *, may_ask_nothing: bool = False
) -> RawRequest:
    """The tables and questions in the result of ``loads``.

    Raises:
        BadRequestError: a name is unknown, a cell cannot be read, rows contradict each other, or there is no question.
    """
    now = (now or datetime.now(UTC)).replace(tzinfo=None, microsecond=0)
    reader = _Reader(shape, now)
    rows = rows_of(shape, content)
    beside = content if isinstance(content, dict) else {}
    if rows is None:
        known = beside.get("raw", beside) if isinstance(beside.get("raw", beside), dict) else beside
        reader.add_tables({name: value for name, value in known.items() if name not in BESIDE_ROWS})
        at = known.get("at") or beside.get("at")
    else:
        at = None
        for number, row in enumerate(rows):
            reader.ask(row, number)
    if history := beside.get("history"):
        if isinstance(history, dict):
            reader.add_tables(history)
        else:
            for row in _as_rows("history", history):
                reader.add(row, "history")
    return reader.read(at, may_ask_nothing)


class _Reader:
    """Collects rows as text by table, then cleans each table once."""

    def __init__(self, shape: Shape, now: datetime) -> None:
        self._shape, self._now = shape, now
        self._rows: dict[str, list[dict[str, str | None]]] = {name: [] for name in shape.tables}
        self._asked: list[dict[str, str | None]] = []
        self._unnamed: set[int] = set()
        self._notes: dict[str, None] = {}

    def add_tables(self, tables: Mapping[str, object]) -> None:
        for name, rows in tables.items():
            if name not in self._shape.tables:
                raise BadRequestError(_unknown("table", name, self._shape.tables))
            for row in _as_rows(name, rows):
                self.add(row, name, only=name)

    def ask(self, row: Row, number: int) -> None:
        """A row that is a question."""
        cells = self.add(row, f"row {number + 1}", number=number)
        self._asked.append({name: cells.get(name) for name in (*self._shape.thing, self._shape.time or "")})

    def add(self, row: Row, where: str, *, only: str | None = None, number: int | None = None) -> dict[str, str | None]:
        """Distributes a row's cells over tables; returns the cells by column."""
        cells, lists = self._cells(row, where)
        shape = self._shape
        if only is None:
            self._fill(cells, number)
        for name, table in shape.tables.items():
            if only not in (None, name):
                continue
            own = shape.own(name)
            own_lists = [column for column in own if column in lists]
            if only is None and not own_lists and not any(cells.get(column) is not None for column in own):
                continue
            absent = [column for column in own if column not in cells and column not in lists]
            if absent and name == shape.first and only is None:
                expected = [column for column in absent if column != shape.config.data.label]
                if expected:
                    self._notes[f"without a value: {', '.join(expected)}"] = None
            base = {column: cells.get(column) for column in table.columns}
            for column in own_lists:
                self._rows[name] += [{**base, column: value} for value in lists[column]]
            if not own_lists:
                self._rows[name].append(base)
        return cells

    def _fill(self, cells: dict[str, str | None], number: int | None) -> None:
        """Fills in missing parts of a row's key: its time is now, its thing unknown."""
        shape = self._shape
        for name in shape.thing:
            if cells.get(name) is None:
                self._unnamed.add(-1 if number is None else number)
                place = 0 if number is None or shape.looks_back else number
                cells[name] = _stand_in(shape.tables[shape.first], name, place)
                if shape.looks_back:
                    self._notes[f"no {name} was given: nothing is known beyond the request"] = None
        if shape.time and shape.time in shape.names and cells.get(shape.time) is None:
            column = shape.tables[shape.first].columns.get(shape.time)
            form = column.formats[0] if column and column.formats and "%" in column.formats[0] else "%Y-%m-%d %H:%M:%S"
            cells[shape.time] = self._now.strftime(form)
            self._notes[f"no {shape.time} was given: now is assumed"] = None

    def _cells(self, row: Row, where: str) -> tuple[dict[str, str | None], dict[str, list[str | None]]]:
        cells: dict[str, str | None] = {}
        lists: dict[str, list[str | None]] = {}
        for header, value in row.items():
            name = self._shape.names.get(header)
            if name is None and isinstance(value, list):
                name = self._shape.names.get(header.removesuffix("s"))
                if name:
                    lists[name] = [_text(one, where, header) for one in value]
                    continue
            if name is None:
                if header in self._ignored or header == "history":
                    continue
                raise BadRequestError(f"{where}: {_unknown('column', header, self._shape.names)}")
            if name in cells:
                raise BadRequestError(f"{where}: the column '{header}' is named twice.")
            cells[name] = _text(value, where, header)
        return cells, lists

    @cached_property
    def _ignored(self) -> set[str]:
        """Columns of tables used only for labels, and the label: a row may have them."""
        data = self._shape.config.data
        every = {name for table in data.tables.values() for name in (*table.kinds, *table.headers.values())}
        return {*every, *data.not_features}

    def read(self, at: object, may_ask_nothing: bool) -> RawRequest:
        shape = self._shape
        if not any(self._rows.values()) and not self._asked:
            raise BadRequestError(f"the request holds no rows. Tables are {', '.join(shape.tables)}.")
        tables = {name: self._clean(name, rows) for name, rows in self._rows.items()}
        if self._asked:
            questions = self._questions()
        elif may_ask_nothing and tables[shape.first].is_empty():
            questions = []
        else:
            questions = _last_events(shape, tables, _moment(at))
        return RawRequest(tables, questions, list(self._notes))

    def _questions(self) -> list[Question]:
        shape = self._shape
        table = shape.tables[shape.first]
        asked = pl.DataFrame(self._asked, schema=dict.fromkeys(self._asked[0], pl.String))
        timed = [shape.time] if shape.time and shape.time in shape.names else []
        columns = {name: table.read_columns[name] for name in (*shape.thing, *timed)}
        values = asked.select(
            reading_of(column.kind).parse(pl.col(name), column).alias(name) for name, column in columns.items()
        )
        for name in shape.thing:
            if values[name].null_count() > asked[name].null_count():
                place = (values[name].is_null() & asked[name].is_not_null()).arg_true()
                found, allowed = asked[name][place[0]], reading_of(columns[name].kind).allowed(columns[name])
                found = quoted(repr(found))
                raise BadRequestError(f"row {place[0] + 1}, column '{name}': {found}; allowed: {allowed}.")
        things = values[shape.thing].rows() if shape.thing else [()] * len(asked)
        moments: Sequence[datetime | None] = [None] * len(asked)
        if timed:
            moments = _checked_moments(asked[timed[0]], values[timed[0]], columns[timed[0]])
        return [
            Question(thing, moment, row, row not in self._unnamed)
            for row, (thing, moment) in enumerate(zip(things, moments, strict=True))
        ]

    def _clean(self, name: str, rows: list[dict[str, str | None]]) -> pl.DataFrame:
        """A table's rows, typed. Copies of a row count once.

        Raises:
            BadRequestError: a cell cannot be read, or rows contradict each other.
        """
        shape = self._shape
        if not rows:
            return shape.empty(name)
        table = shape.tables[name]
        cells = [pl.Series(column, [row[column] or "" for row in rows], pl.String) for column in table.columns]
        lines = pl.DataFrame([*cells, pl.Series(LINE, range(1, len(rows) + 1), pl.UInt32)])
        raw = RawTable(name, name, lines, pl.DataFrame(schema=MALFORMED), 0, "", False, first_line=1)
        clean = clean_table(raw, table, None, Window())
        self._judge(clean)
        return clean.frame[list(table.kinds)]

    def _judge(self, clean: CleanTable) -> None:
        for problem in clean.tally.problems:
            if problem.check == "keys_are_unique":
                self._notes[f"{clean.name}: {problem.rows} repeated row(s), counted once"] = None
                continue
            line, example = problem.first[0]
            found = problem.found(problem.rows, [example])
            column = f", column '{problem.column}'" if problem.column else ""
            raise BadRequestError(f"{clean.name}, row {line}{column}: {found}; allowed: {problem.allowed}.")


def _last_events(shape: Shape, tables: Mapping[str, pl.DataFrame], at: datetime | None) -> list[Question]:
    """A question for each thing, as of ``at`` or its last event in the first table."""
    first = tables[shape.first]
    if first.is_empty():
        raise BadRequestError(
            f"the table {shape.first} has no rows, so nothing is asked: give one, or rows as instances."
        )
    if not shape.looks_back:
        moments = first[shape.time].to_list() if shape.time and shape.time in first.columns else [None] * len(first)
        things = first.select(shape.thing).rows() if shape.thing else [()] * len(first)
        return [Question(one, moment, row) for row, (one, moment) in enumerate(zip(things, moments, strict=True))]
    if shape.time is None:
        return [
            Question(one, None, row)
            for row, one in enumerate(first.select(shape.thing).unique().sort(shape.thing).rows())
        ]
    if not shape.thing:
        return [Question((), at or first[shape.time].max(), 0)]  # type: ignore[arg-type] # of a Datetime column
    last = first.group_by(shape.thing).agg(pl.col(shape.time).max()).sort(shape.thing)
    return [Question(row[:-1], at or row[-1], number) for number, row in enumerate(last.rows())]


def _moment(at: object) -> datetime | None:
    if at is None:
        return None
    try:
        found = datetime.fromisoformat(str(at))
    except ValueError:
        raise BadRequestError(f"at is {quoted(f'{at!r:.60}')}; write it as 2015-06-01T06:00:00, in UTC.") from None
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def _checked_moments(texts: pl.Series, values: pl.Series, column: Column) -> list[datetime | None]:
    for misread in reading_of(column.kind).misread(texts, values, column):
        if misread.wrong.any():
            place = misread.wrong.arg_true()[0]
            raise BadRequestError(
                f"row {place + 1}, column '{texts.name}': {quoted(repr(texts[place]))}: {misread.found}; "
                f"allowed: {misread.allowed}."
            )
    return values.to_list()


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(row, dict) for row in value)


def _as_rows(name: str, rows: object) -> list[Row]:
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        return rows
    raise BadRequestError(
        f"{name} is {quoted(f'{rows!r:.60}')}; expected a list of rows, each an object by column name."
    )


def _text(value: object, where: str, column: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise BadRequestError(f"{where}, column '{column}': {quoted(f'{value!r:.60}')} is not the value of a cell.")


def _stand_in(table: Table, name: str, place: int) -> str:
    return NO_THING if table.read_columns[name].kind.name == "string" else str(-1 - place)


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), 1)
    meant = f" Is '{near[0]}' meant?" if near else ""
    return f"the {what} '{name[:60]}' is unknown.{meant} Known: {', '.join(known)}."


def _require_rectangle(lines: Sequence[Sequence[str]]) -> None:
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(lines[0]):
            raise BadRequestError(f"line {number} has {len(line)} values instead of {len(lines[0])}.")
