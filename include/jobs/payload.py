"""Requests to rows and predictions to answers, in the three formats that endpoints and transform jobs speak.

Requests: ``text/csv`` with or without a header; ``application/json``, ``{"instances": [...]}`` or a list or one object;
``application/jsonlines``. Rows that carry names are aligned by name, in any order, and may also carry key and label
columns, which are ignored; rows without are taken in feature_order. An empty CSV field, null or NaN is a missing value.

Answers, one per row and in the rows' order: classification gives the label and each class's probability, regression the
value. As CSV: ``label,probability,...`` (classes in the model's order) or just the value.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from models.interface import Array

CSV, JSON, JSONLINES = "text/csv", "application/json", "application/jsonlines"
FORMATS = (CSV, JSON, JSONLINES)
MISSING = frozenset({"", "nan", "null", "none", "na"})
Answer = dict[str, Any]


class BadRequestError(ValueError):
    """A request that cannot be answered: which row and column, what was found, what is allowed."""


@dataclass(frozen=True)
class Columns:
    """The model's features in order, and the columns that a named row may also carry."""

    features: list[str]
    ignored: frozenset[str] = frozenset()


def parse(body: bytes, media_type: str, columns: Columns) -> pl.DataFrame:
    """The rows of a request, Float64 columns in feature order.

    Raises:
        BadRequestError: with the message for the caller.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRequestError(f"the request is no UTF-8 text: {error}") from None
    rows = _csv_rows(text, columns) if media_type == CSV else _json_rows(text, media_type, columns)
    if not rows:
        raise BadRequestError(f"the request holds no rows. A row has {len(columns.features)} values.")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns.features, pl.Float64), orient="row")


def answers(predictions: Array, classes: list[str]) -> list[Answer]:
    """``{"label", "probabilities"}`` per row, or ``{"value"}`` where there are no classes."""
    if not classes:
        return [{"value": value} for value in predictions.tolist()]
    best = predictions.argmax(axis=1)
    return [
        {"label": classes[index], "probabilities": dict(zip(classes, row, strict=True))}
        for index, row in zip(best, predictions.tolist(), strict=True)
    ]


def render(found: list[Answer], media_type: str) -> str:
    if media_type == JSON:
        return json.dumps({"predictions": found})
    if media_type == JSONLINES:
        return "".join(json.dumps(answer) + "\n" for answer in found)
    return "".join(_csv_line(answer) + "\n" for answer in found)


def _csv_line(answer: Answer) -> str:
    if "value" in answer:
        return repr(answer["value"])
    return ",".join([answer["label"], *(repr(value) for value in answer["probabilities"].values())])


def _csv_rows(text: str, columns: Columns) -> list[list[float | None]]:
    lines = list(csv.reader(text.splitlines()))
    header = lines[0] if lines and _is_header(lines[0], columns) else None
    order = _order(header, columns) if header else range(len(columns.features))
    width = len(header or columns.features)
    first = 2 if header else 1
    rows = []
    for number, line in enumerate(lines[first - 1 :], first):
        if len(line) != width:
            raise BadRequestError(_wrong_width(f"line {number}", line, header or columns.features))
        rows.append([_number(line[index], number, name) for index, name in zip(order, columns.features, strict=True)])
    return rows


def _is_header(cells: list[str], columns: Columns) -> bool:
    """A first line is a header if it names a known column, or holds text alone."""
    if any(cell in columns.ignored or cell in columns.features for cell in cells):
        return True
    texts = [cell for cell in cells if cell.strip().lower() not in MISSING]
    return bool(texts) and not any(_is_number(cell) for cell in texts)


def _order(header: list[str], columns: Columns) -> list[int]:
    """Where each feature stands in the named columns."""
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise BadRequestError(f"column '{repeated[0]}' is named twice.")
    _check_names(set(header), columns, "the header")
    return [header.index(name) for name in columns.features]


def _check_names(names: set[str], columns: Columns, where: str) -> None:
    for name in columns.features:
        if name not in names:
            raise BadRequestError(f"{where} lacks the column '{name}'. Needed: {', '.join(columns.features)}.")
    if extra := sorted(names - set(columns.features) - columns.ignored):
        raise BadRequestError(f"{where} has the unknown column '{extra[0]}'. Known: {', '.join(columns.features)}.")


def _json_rows(text: str, media_type: str, columns: Columns) -> list[list[float | None]]:
    if media_type == JSON:
        content = _loads(text, "the request")
        if isinstance(content, dict) and "instances" in content:
            content = content["instances"]
        rows = [content] if isinstance(content, dict) else content
    else:
        rows = [_loads(line, f"line {number}") for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not isinstance(rows, list):
        raise BadRequestError('expected {"instances": [row, ...]}, a list of rows, or one row as an object.')
    return [_json_row(row, number, columns) for number, row in enumerate(rows, 1)]


def _json_row(row: Any, number: int, columns: Columns) -> list[float | None]:
    if isinstance(row, dict):
        _check_names(set(row), columns, f"row {number}")
        row = [row[name] for name in columns.features]
    if not isinstance(row, list):
        raise BadRequestError(f"row {number} is {row!r}; a row is an object by column name or a list in feature order.")
    if len(row) != len(columns.features):
        raise BadRequestError(_wrong_width(f"row {number}", row, columns.features))
    return [_number(value, number, name) for value, name in zip(row, columns.features, strict=True)]


def _loads(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadRequestError(f"{where} is no JSON: {error}") from None


def _number(value: Any, row: int, column: str) -> float | None:
    if value is None or (isinstance(value, str) and value.strip().lower() in MISSING):
        return None
    from_text = isinstance(value, str) and _is_number(value)
    if not from_text and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise BadRequestError(f"row {row}, column '{column}': {value!r:.60} is no number.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise BadRequestError(f"row {row}, column '{column}': {value!r:.60} is not finite.")
    return None if math.isnan(number) else number


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _wrong_width(where: str, row: list[Any], names: list[str]) -> str:
    wanted = f"{where} has {len(row)} values instead of {len(names)}"
    if len(row) < len(names):
        return f"{wanted}: column '{names[len(row)]}' and those after it are missing."
    return f"{wanted}: what comes after the last column '{names[-1]}' is unknown."
