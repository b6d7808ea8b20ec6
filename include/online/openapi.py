"""What the page /docs and /openapi.json say: what a model's requests and answers look like, by its model.yaml and its
expectation suites."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from include.jobs.serving.payload import CSV, JSON, JSONLINES
from include.models.config import MODELS_FOLDER, Column
from include.models.config.suites import FOLDER
from include.online.shape import Shape

Values = dict[str, Any]
Responses = dict[int | str, Values]  # of a route, by status, as FastAPI takes them
MOMENT = datetime(2015, 6, 1, 12)  # noqa: DTZ001 - as tables have it


class Refusal(BaseModel):
    """What failed and what to do, and the id that the log has too."""

    error: str = Field(examples=["expected one row as an object, a list of rows, or tables of rows by name."])
    request_id: str = Field(examples=["4f1c09d2"])


class Reason(BaseModel):
    feature: str
    value: str | None
    contribution: float


class Answer(BaseModel):
    """One row's: what the model says, and what it was made of."""

    model_config = ConfigDict(extra="allow")  # the columns that name the row

    label: str | None = Field(None, description="The class decided for; of a model with classes.")
    probabilities: dict[str, float] | None = Field(None, description="By class.")
    value: float | None = Field(None, description="Of a regression.")
    interval: list[float] | None = Field(None, description="The lower and the upper end around the value.")
    reasons: list[Reason] | None = Field(None, description="Where asked for: what added the most to the answer.")
    features: Values | None = Field(None, description="The features that the events came to.")
    known: Values | None = Field(None, description="By table: how many rows were used, and how old the newest is.")
    notes: list[str] | None = Field(None, description="What the caller should know of how the row was read.")
    error: str | None = Field(None, description="Of /predict/batch: why this row has no answer.")


class Predictions(BaseModel):
    """An answer for each row, in order."""

    model: str
    version: str | None
    predictions: list[Answer]
    request_id: str


class Counts(BaseModel):
    kept: int = 0
    repeated: int = Field(0, description="Known already.")
    contradicting: int = Field(0, description="Known otherwise: what was told first stays.")
    late: int = Field(0, description="Older than what is of use, so not kept.")
    ahead: int = Field(0, description="Ahead of the clock, so not kept.")


class Remembered(BaseModel):
    """What became of the events, by table."""

    model: str
    events: dict[str, Counts]
    notes: list[str]
    request_id: str


class Health(BaseModel):
    status: str = "ok"


class Readiness(BaseModel):
    status: str
    model: str
    version: str = Field(description="The version that answers.")
    of: str = Field(description="Where it is from.")


class NotReady(BaseModel):
    status: str = "not ready"
    model: str


STATUSES: Mapping[int, str] = {
    400: "The request cannot be read or answered; the error names the row, the column and what is allowed",
    401: "No key, or an unknown one",
    403: "A web page of another origin sent it, or it names a host that the service is not called by",
    413: "The body is too large",
    415: "The content type is not understood",
    500: "The service failed; its log says more under the request's id",
    503: "Nobody answers at the moment, or too many requests wait: try again",
}


REMEMBERED: Responses = {200: {"model": Remembered, "description": "What became of the events"}}
HEALTH: Responses = {200: {"model": Health, "description": "It runs"}}
READINESS: Responses = {
    200: {"model": Readiness, "description": "It can predict"},
    503: {"model": NotReady, "description": "Nothing is loaded yet"},
}


EXPLAIN: Values = {
    "name": "explain",
    "in": "query",
    "description": "Whether each answer comes with its reasons",
    "schema": {"type": "boolean", "default": False},
}


def refusals(*statuses: int) -> Responses:
    return {status: {"description": STATUSES[status], "model": Refusal} for status in statuses}


class Described:
    """One model's requests and answers, with examples that it answers."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._told = {name: _told(shape.config.name, name) for name in shape.tables}

    def row(self) -> Values:
        """One row as a person would send it: the first table's columns, and what other tables say of the same thing:
        its errors as a list (``errorIDs``), its model and age."""
        shape = self._shape
        found: Values = {}
        for name, table in shape.tables.items():
            cells = self._cells(name)
            if name != shape.first and shape.time in table.columns:
                own = shape.own(name)  # events: a list of them, where they are no more than a name
                listed = len(own) == 1 and not table.history
                cells = {f"{own[0]}s": [cells[own[0]]]} if listed else {}
            found = {**cells, **found}
        order = [*shape.tables[shape.first].columns, *found]
        return {name: found[name] for name in dict.fromkeys(order) if name in found}

    def _cells(self, table: str) -> Values:
        config, columns = self._shape.config, self._shape.tables[table].columns
        unused = {config.data.label, *config.features.exclude}
        cells = {
            name: config.serving.example.get(name, self._cell(table, name, column))
            for name, column in columns.items()
            if name not in unused
        }
        return {name: value for name, value in cells.items() if value is not None}

    def _cell(self, table: str, name: str, column: Column) -> object:
        """A value that the table's suite allows; None if one needs its own spelling."""
        if column.kind.is_time:
            form = column.formats[0] if column.formats else "%Y-%m-%d %H:%M:%S"
            return MOMENT.strftime(form) if "%" in form and "%z" not in form else None
        told = [(kind, about) for kind, about in self._told[table] if about.get("column") == name]
        sets = [about["value_set"] for _, about in told if isinstance(about.get("value_set"), list)]
        if sets and sets[0]:
            return sets[0][0]
        if not column.kind.is_quantity:
            return "text"
        if not column.spelling.is_plain:
            return None
        ranges = {kind: (about.get("min_value"), about.get("max_value")) for kind, about in told}
        for kind in ("expect_column_mean_to_be_between", "expect_column_values_to_be_between"):
            least, most = ranges.get(kind, (None, None))
            if isinstance(least, int | float) and isinstance(most, int | float):
                middle = round((least + most) / 2, 2)
                return middle if column.kind.is_number else int(middle)
        return 1

    def requests(self) -> Values:
        """``requestBody`` of what takes rows or events."""
        shape, row = self._shape, self.row()
        types = {
            table: {name: _schema(column) for name, column in described.columns.items()}
            for table, described in shape.tables.items()
        }
        columns: Values = {name: schema for table in types.values() for name, schema in table.items()}
        one = {"title": "One row", "type": "object", "properties": columns}
        rows = {"title": "Rows", "type": "array", "items": one}
        tables = {
            "title": "Tables",
            "type": "object",
            "properties": {
                name: {"type": "array", "items": {"type": "object", "properties": properties}}
                for name, properties in types.items()
            },
        }
        beside = {"instances": rows, "history": tables, "explain": {"type": "boolean"}}
        named = {"title": "Rows and what is known besides", "type": "object", "properties": beside}
        examples: Values = {
            "one row": {"value": row},
            "rows, with reasons": {"value": {"instances": [row], "explain": True}},
        }
        if len(shape.tables) > 1:
            examples["tables"] = {"value": {name: [self._cells(name)] for name in shape.tables}}
        flat = {name: value for name, value in row.items() if not isinstance(value, list)}
        text = {"type": "string"}
        return {
            "required": True,
            "content": {
                JSON: {"schema": {"anyOf": [one, named, tables, rows]}, "examples": examples},
                CSV: {"schema": text, "example": f"{','.join(flat)}\n{','.join(map(str, flat.values()))}\n"},
                JSONLINES: {"schema": text, "example": json.dumps(row) + "\n"},
            },
        }

    def predictions(self) -> Responses:
        content = {JSON: {"example": self.answer()}}
        return {200: {"model": Predictions, "description": "An answer for each row", "content": content}}

    def answer(self) -> Values:
        """What ``Predictions`` may look like."""
        shape, row = self._shape, self.row()
        classes = shape.config.data.classes
        if classes:
            shares = dict.fromkeys(classes[1:], round(0.05 / max(1, len(classes) - 1), 4))
            said: Values = {"label": classes[0], "probabilities": {classes[0]: 0.95, **shares}}
        else:
            said = {"value": 9.5}
        said |= {name: row[name] for name in shape.thing if name in row}
        if shape.looks_back:
            newest = {"newest": MOMENT.isoformat(), "age_hours": 0.0} if shape.time else {}
            said["known"] = {shape.first: {"rows": 1, **newest}}
        return {"model": shape.config.name, "version": "7", "predictions": [said], "request_id": "4f1c09d2"}


def _told(model: str, table: str) -> list[tuple[str, Values]]:
    """What a table's suite expects: each expectation's kind and what it is about."""
    suite = MODELS_FOLDER / model / FOLDER / f"{table}.json"
    if not suite.exists():
        return []
    expected = json.loads(suite.read_text(encoding="utf-8"))["expectations"]
    return [(one["type"], one["kwargs"]) for one in expected]


def _schema(column: Column) -> Values:
    """Numbers may be sent as their text too, which keeps every digit."""
    if not column.kind.is_quantity:
        return {"type": "string", "description": column.kind.values}
    number = "number" if column.kind.is_number else "integer"
    return {"anyOf": [{"type": number}, {"type": "string"}, {"type": "null"}], "description": column.kind.values}
