"""From requests to rows and from predictions to answers, in the three formats of endpoints and transform jobs.

Requests: ``text/csv`` with or without a header; ``application/json``, ``{"instances": [...]}`` or a list or one object;
``application/jsonlines``. Rows with names are aligned by name, in any order; they may use the raw file's headers, and
may contain the raw table's other columns, such as key and label, which are ignored. Rows without names are in
feature_order. An empty CSV field or null is a missing value, and for a number also NaN. Blank lines at the end are
ignored.

Answers, one per row and in the rows' order: classification returns the label and each class's probability, regression
the value, and its interval if the model has one. With ``explain=true`` in Accept (``application/json; explain=true``),
or ``"explain": true`` beside ``"instances"``, they include ``reasons``: the features that contribute most to the row's
prediction, with value and contribution. As CSV: ``label,probability,...`` (classes in the model's order) or just the
value; reasons are one more cell: see ``serving.reasons``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from include.jobs.serving.reasons import REASONS, as_cells
from include.models.config import Column, Kind, named
from include.models.config.kinds import MISSING, NUMBER, is_missing, number_in
from include.models.config.spelling import PLAIN
from include.models.interface import Array
from include.models.quoting import quoted
from include.models.raw.kinds import reading_of
from include.models.raw.reading import Cell

CSV, JSON, JSONLINES = "text/csv", "application/json", "application/jsonlines"
FORMATS = (CSV, JSON, JSONLINES)
PAIR = pl.Array(pl.Float64, 2)
SPELLINGS = sorted({*MISSING, *map(str.upper, MISSING), "NaN", "None"})  # the usual ones, for the fast path


class BadRequestError(ValueError):
    """A request that cannot be answered: which row and column, what was found, what is allowed."""


@dataclass(frozen=True)
class Columns:
    """The model's features in order, further columns that a named row may have, the kinds of features that are not
    numbers, the features by their header in the raw file, where that differs, and those that the raw file does not
    spell plainly. ``multiline``: texts of the raw table may have line breaks; otherwise one in a cell is refused, as
    the sign of a quote that was never closed.
    """

    features: list[str]
    ignored: frozenset[str] = frozenset()
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    spelled: Mapping[str, Column] = field(default_factory=dict)
    multiline: bool = False

    def kind(self, name: str) -> Kind:
        return self.kinds.get(name, NUMBER)

    def name(self, header: str) -> str:
        """The feature with this header; any other header unchanged."""
        return self.headers.get(header, header)

    @cached_property
    def described(self) -> Mapping[str, Column]:
        """How to read each feature, like the raw file's columns."""
        return {name: self.spelled.get(name) or Column(kind=self.kind(name)) for name in self.features}

    @property
    def schema(self) -> dict[str, pl.DataType]:
        return {name: reading_of(self.kind(name)).dtype for name in self.features}


def parse(body: bytes, media_type: str, columns: Columns) -> pl.DataFrame:
    """The rows of a request in feature order, numbers as Float64 and texts as String.

    Raises:
        BadRequestError: with the message for the caller.
    """
    try:
        text = body.decode().lstrip("\ufeff")  # several, as in a raw file
    except UnicodeDecodeError as error:
        raise BadRequestError(f"the request is not UTF-8 text: {error}") from None
    if "\0" in text:
        raise BadRequestError(f"the request has a byte 0x00 in line {text.count(chr(10), 0, text.index(chr(0))) + 1}")
    frame = _csv_frame(text, columns) if media_type == CSV else _frame(_json_rows(text, media_type, columns), columns)
    if frame.is_empty():
        raise BadRequestError(f"the request holds no rows. A row has {len(columns.features)} values.")
    return frame


def asks_why(body: bytes, media_type: str, accept: str) -> bool:
    """Whether a valid request asks for reasons."""
    parameters = [part.strip().lower() for entry in accept.split(",") for part in entry.split(";")[1:]]
    if "explain=true" in parameters:
        return True
    if media_type != JSON or b'"explain"' not in body:
        return False
    content = json.loads(body)
    return isinstance(content, dict) and "instances" in content and content.get("explain") is True


def answers(
    predictions: Array, classes: Sequence[str], intervals: Array | None = None, labels: Array | None = None
) -> pl.DataFrame:
    """One answer per row: ``label`` and ``probabilities``, or ``value`` where there are no classes.

    Args:
        intervals: (rows, 2), the lower and upper ends around each value; become ``interval``.
        labels: the decided class index of each row; by default the likeliest.
    """
    if not classes:
        values = pl.DataFrame({"value": predictions}, schema={"value": pl.Float64})
        return values if intervals is None else values.with_columns(interval=pl.Series(intervals, dtype=PAIR))
    best = predictions.argmax(axis=1) if labels is None else labels
    probabilities = pl.from_numpy(predictions, schema=list(classes))
    return pl.DataFrame({"label": [classes[index] for index in best], "probabilities": probabilities.to_struct()})


def render(found: pl.DataFrame, media_type: str) -> str:
    """The answers as text; numbers round-trip to the bit."""
    if media_type == JSON:
        return f'{{"predictions": {found.write_json()}}}'
    if media_type == JSONLINES:
        return found.write_ndjson()
    first = found.to_series(0)
    others = found["probabilities"].struct.unnest().get_columns() if first.name == "label" else []
    others += [as_cells(found[REASONS])] if REASONS in found.columns else []
    return pl.DataFrame({str(place): one for place, one in enumerate([first, *others])}).write_csv(include_header=False)


def _csv_frame(text: str, columns: Columns) -> pl.DataFrame:
    try:
        cells = next(csv.reader(io.StringIO(text, newline=""), strict=True), [])
        first = _names(cells, columns)
        header = first if _is_header(first, columns) else None
        if len(header or columns.features) > 1:  # a blank line of a single column may be a missing value
            text = text.rstrip("\r\n")
        if header and len({*header}) == len(header) and not {*header} & {*columns.features, *columns.ignored}:
            raise BadRequestError(f"{_without(columns, 'the header')} If line 1 is a row: {_refused(cells, columns)}")
        order = _order(header, columns) if header else list(range(len(columns.features)))
        frame = _all_rows_at_once(text, header, columns)
        return _frame(_csv_rows(text, header, order, columns), columns) if frame is None else frame
    except csv.Error as error:
        raise BadRequestError(f"the request is not CSV: {error}") from None


def _all_rows_at_once(text: str, header: list[str] | None, columns: Columns) -> pl.DataFrame | None:
    """The same result as ``_csv_rows``, some twenty times as fast; None if it might differ: only that one can describe
    errors.

    Polars pads short rows, and rejects long ones. So if the numbers of rows and commas are right, and no comma or line
    break is inside a cell, each row has the right width.
    """
    names, schema = header or columns.features, columns.schema
    lines = text.count("\n") + (not text.endswith("\n"))
    if (
        len(names) == 1
        or not set(schema.values()) <= {pl.Float64(), pl.String()}
        or '"' in text
        or columns.spelled
        or text.count("\r") != text.count("\r\n")
    ):
        return None
    if text.count(",") != lines * (len(names) - 1) or lines == bool(header):
        return None
    try:
        frame = pl.read_csv(
            text.encode(),
            has_header=False,
            skip_rows=int(header is not None),
            schema={name: schema.get(name, pl.String()) for name in names},
            columns=[names.index(name) for name in columns.features],
            quote_char=None,
            null_values=None if columns.kinds else SPELLINGS,
        ).select(columns.features)
        frame = frame.with_columns(pl.col(pl.String).str.strip_chars().replace("", None))
    except pl.exceptions.PolarsError:
        return None
    numbers = frame.select(pl.col(pl.Float64))
    # polars also accepts other spellings of non-finite numbers
    if frame.height != lines - bool(header) or any((~series.is_finite()).any() for series in numbers):
        return None
    return frame


def _csv_rows(text: str, header: list[str] | None, order: list[int], columns: Columns) -> list[list[Cell]]:
    names = header or columns.features
    lines = enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), 1)
    if header:
        next(lines)
    rows = []
    for number, line in lines:
        if len(line) != len(names):
            raise BadRequestError(_wrong_width(f"line {number}", line, names))
        if not columns.multiline and any("\n" in cell or "\r" in cell for cell in line):
            name = next(name for name, cell in zip(names, line, strict=True) if "\n" in cell or "\r" in cell)
            advice = "Look for a quote that is opened and never closed."
            raise BadRequestError(f"row {number}, column '{name}': a line break within a cell. {advice}")
        rows.append(
            [_cell(line[index], number, name, columns) for index, name in zip(order, columns.features, strict=True)]
        )
    return rows


def _frame(rows: list[list[Cell]], columns: Columns) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=columns.schema, orient="row")


def _is_header(cells: list[str], columns: Columns) -> bool:
    """A first line is a header if it names a known column, or has only text, some of it where numbers belong.

    So a row of only texts is a row: of a model with only categories, or one with its numbers missing.
    """
    named_here = [cell in columns.ignored or cell in columns.features for cell in cells]
    if any(named_here):  # a row's text may happen to be a column's name
        return all(named_here) or not any(_is_number(cell) for cell in cells)
    numbers = [place for place, name in enumerate(columns.features) if columns.kind(name) == NUMBER]
    spelled = {place: columns.spelled[name] for place, name in enumerate(columns.features) if name in columns.spelled}
    texts = {
        place: cell
        for place, cell in enumerate(cells)
        if not is_missing(cell, spelled[place].missing if place in spelled else ())
    }
    if any(_is_number(cell) or _is_number(cell, spelled.get(place)) for place, cell in texts.items()):
        return False
    return any(place in texts for place in numbers)


def _names(cells: list[str], columns: Columns) -> list[str]:
    """The column names of a first line, if it is a header: read like the raw file's header."""
    names = [columns.name(cell.strip()) for cell in cells]
    numbered = named(names)
    return numbered if {*numbered} <= {*columns.features, *columns.ignored} else names


def _order(header: list[str], columns: Columns) -> list[int]:
    """The position of each feature in the named columns."""
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise BadRequestError(f"column {quoted(repr(repeated[0]))} is named twice.")
    _check_names(set(header), columns, "the header")
    return [header.index(name) for name in columns.features]


def _check_names(names: set[str], columns: Columns, where: str) -> None:
    for name in columns.features:
        if name not in names:
            raise BadRequestError(_without(columns, where, name))
    if extra := sorted(names - set(columns.features) - columns.ignored):
        unknown, known = quoted(repr(extra[0])), ", ".join(columns.features)
        raise BadRequestError(f"{where} has the unknown column {unknown}. Known: {known}.")


def _without(columns: Columns, where: str, name: str | None = None) -> str:
    return f"{where} lacks the column '{name or columns.features[0]}'. Needed: {', '.join(columns.features)}."


def _refused(cells: list[str], columns: Columns) -> str:
    """Why a first line without any known name is no row either."""
    if len(cells) != len(columns.features):
        return _wrong_width("it", cells, columns.features)
    try:
        for cell, name in zip(cells, columns.features, strict=True):
            _cell(cell, 1, name, columns)
    except BadRequestError as error:
        return str(error)
    return "its values are texts where numbers belong."


def _json_rows(text: str, media_type: str, columns: Columns) -> list[list[Cell]]:
    if media_type == JSON:
        content = _loads(text, "the request")
        if isinstance(content, dict) and "instances" in content:
            content = content["instances"]
        rows = [content] if isinstance(content, dict) else content
    else:
        rows = [_loads(line, f"line {number}") for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not isinstance(rows, list):
        raise BadRequestError('expected {"instances": [row, ...]}, a list of rows, or one row as an object.')
    return [_json_row(row, number, columns) for number, row in enumerate(rows, 1)]


def _json_row(row: object, number: int, columns: Columns) -> list[Cell]:
    if isinstance(row, dict):
        if columns.headers:
            row = without_repeats([(columns.name(name), value) for name, value in row.items()])
        _check_names(set(row), columns, f"row {number}")
        row = [row[name] for name in columns.features]
    if not isinstance(row, list):
        allowed = "a row is an object by column name or a list in feature order"
        raise BadRequestError(f"row {number} is {quoted(repr(row))}; {allowed}.")
    if len(row) != len(columns.features):
        raise BadRequestError(_wrong_width(f"row {number}", row, columns.features))
    return [_cell(value, number, name, columns) for value, name in zip(row, columns.features, strict=True)]


def _loads(text: str, where: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=without_repeats)
    except BadRequestError as error:
        raise BadRequestError(f"{where}: {error}") from None
    except (ValueError, RecursionError) as error:  # also a number with thousands of digits
        raise BadRequestError(f"{where} is not JSON: {error}") from None


def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object without duplicate names: otherwise the first value would be lost, be it a cell or a list of rows."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise BadRequestError(f"{quoted(repr(repeated))} is named twice.")
    return found


def _cell(value: object, row: int, column: str, columns: Columns) -> Cell:
    try:
        return reading_of(columns.kind(column)).cell(value, columns.described[column])
    except ValueError as error:
        raise BadRequestError(f"row {row}, column '{column}': {quoted(str(error))}.") from None


def _is_number(text: str, column: Column | None = None) -> bool:
    try:
        number_in(text, column.spelling if column else PLAIN)
    except ValueError:
        return False
    return True


def _wrong_width(where: str, row: Sequence[object], names: list[str]) -> str:
    wanted = f"{where} has {len(row)} value{'' if len(row) == 1 else 's'} instead of {len(names)}"
    if len(row) == 1 and any(mark in str(row[0]) for mark in ";\t|"):
        return f"{wanted}: separate them by commas."
    if len(row) < len(names):
        return f"{wanted}: column '{names[len(row)]}' and those after it are missing."
    return f"{wanted}: what comes after the last column '{names[-1]}' is unknown."
