"""The raw data: the section ``data``."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from .common import FORMAT, TABLE_FILE, UNIT, Name, Section
from .kinds import INTEGER, KINDS, STRING, TIMESTAMP, Kind, kind_of
from .problems import Problem, refuse, twice, unknown
from .spelling import Spelling

LINE = "file_line"  # besides a table's own columns: a row's line in the file
KindByName = Annotated[
    Kind,
    PlainValidator(kind_of),
    PlainSerializer(str),
    WithJsonSchema({"enum": list(KINDS)}),
]
DIRECTIVES = frozenset("YyGmbBhdejVuaAHkIlMSfpPzTFDR%")  # of polars' strptime


# a year, alone or with a day; or counted units of time
Format = Annotated[str, Field(pattern=FORMAT)]


class Column(Section):
    """One column of a raw table; in model.yaml just its kind, if there is no more to say.

    ``header`` is the column's name in the file, if that does not make a good name. ``format`` is the format of its
    timestamps, in strptime's letters (``%d-%m-%Y``), if not ISO 8601; several formats are tried in turn. With ``%z``
    they are converted to UTC; ``epoch``, ``epoch_ms``, ``epoch_us`` and ``epoch_ns`` count seconds or fractions of them
    since 1970, ``excel_days`` counts days as Excel does. For numbers, ``decimal`` is the decimal mark, ``thousands``
    separates groups of digits, and ``unit`` is text written beside them, such as a currency. ``null_words``, in any
    case, mean that a value is missing, like the usual spellings. A text may contain line breaks if it is ``multiline``;
    otherwise they count as an unclosed quote.
    """

    kind: KindByName
    header: Annotated[str, Field(min_length=1)] | None = None
    format: Format | Annotated[list[Format], Field(min_length=1)] | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'", "_"] | None = None
    unit: Annotated[str, Field(pattern=UNIT, max_length=20)] | None = None
    null_words: list[Annotated[str, Field(min_length=1)]] = []
    multiline: bool = False

    @cached_property
    def formats(self) -> tuple[str, ...]:
        return (self.format,) if isinstance(self.format, str) else tuple(self.format or ())

    @cached_property
    def spelling(self) -> Spelling:
        return Spelling(self.decimal, self.thousands, self.unit)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """Spellings, in lower case, of a missing value."""
        return (*self.kind.missing, *(word.strip().lower() for word in self.null_words))

    @model_validator(mode="after")
    def format_is_of_a_timestamp(self) -> Self:
        if self.format and not self.kind.is_time:
            raise ValueError(f"format is for timestamps; the column is of kind {self.kind}")
        if any("%Z" in one for one in self.formats):
            raise ValueError("format cannot have a time zone's name, which does not tell its offset: %z reads +02:00")
        for form in self.formats:
            _check_directives(form)
        return self

    @model_validator(mode="after")
    def spelling_is_of_a_number(self) -> Self:
        if not self.spelling.is_plain and not self.kind.is_quantity:
            raise ValueError(
                f"decimal, thousands and unit are for numbers and integers; the column is of kind {self.kind}"
            )
        if self.decimal == self.thousands:
            raise ValueError(f"'{self.decimal}' cannot be both decimal and thousands")
        if self.multiline and (self.kind.is_time or self.kind.is_quantity):
            raise ValueError(f"multiline is for texts; the column is of kind {self.kind}")
        return self


def _check_directives(form: str) -> None:
    """Refuses a format with letters that no timestamp is read by, or without a year: it would reject every cell."""
    letters = re.findall(r"%[-_0]?(?:\.?[369]?f|#z|.?)", form)
    if wrong := next((one for one in letters if one[1:][-1:] not in DIRECTIVES), None):
        raise ValueError(f"format has {wrong!r}, which is not among strptime's letters: {form}")
    if letters and not any(one[-1] in "YyGFD" for one in letters):
        raise ValueError(f"format has no year (%Y is 2024, %y is 24): {form}")


def _column(given: object) -> object:
    return {"kind": kind_of(given)} if isinstance(given, str) else given


def named(header: Sequence[str]) -> list[str]:
    """A unique name for each column: unnamed ones are named by position, repeated ones are numbered."""
    names: list[str] = []
    for place, name in enumerate(header, 1):
        own, number = name or f"column_{place}", 1
        while own in names or (number > 1 and own in header):
            number += 1
            own = f"{name or f'column_{place}'}_{number}"
        names.append(own)
    return names


def is_pattern(name: str) -> bool:
    """Whether polars reads a name as that of all columns, or as a regular expression for some."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


class Clock(Section):
    """The time of rows without one: they are in order, one ``every_minutes``, the first at ``start`` (UTC)."""

    column: Name
    start: datetime
    every_minutes: Annotated[int, Field(ge=1, le=366 * 24 * 60)]

    @field_validator("start")
    @classmethod
    def has_no_zone(cls, start: datetime) -> datetime:
        if start.tzinfo:
            raise ValueError("start is written in UTC, without zone or offset")
        return start

    def on(self, day: date) -> Clock:
        """The clock of a file that holds only one day's rows: it starts at the day's first tick."""
        midnight, step = datetime.combine(day, time()), timedelta(minutes=self.every_minutes)
        return self.model_copy(update={"start": midnight + (self.start - midnight) % step})


class Moment(Section):
    """A timestamp spread over several columns, such as a date and a time: the format of each. They are joined by blanks
    and read as one."""

    column: Name
    of: Annotated[dict[str, Annotated[str, Field(pattern="%")]], Field(min_length=2)]

    @property
    def format(self) -> str:
        return " ".join(self.of.values())

    @model_validator(mode="after")
    def is_a_day(self) -> Self:
        Column(kind=TIMESTAMP, format=self.format)
        return self


class ContentKey(Section):
    """A text that tells rows apart by what they hold, where nothing else does: a digest of the columns ``of``. It is
    the same in every file and in every order; of two rows that hold the same, one counts as repeated. A label is not
    among the columns: it is not known yet when a row is scored."""

    column: Name
    of: Annotated[list[str], Field(min_length=1)]


class Table(Section):
    """One raw table: its file (``.gz`` may follow), its columns and their kinds, and the columns that identify a row.

    ``delimiter`` and ``encoding`` (any that Python knows) are the file's; both are ignored for an Excel file
    (``.xlsx``), which has one sheet with rows, no merged cells, and formulas with the results that Excel saved. Before
    its header a file may have ``skip_lines`` lines of other text. Without ``header``, its columns are in the order of
    ``columns``. Two columns can be derived from a row's position in the file: ``row_number`` names one that counts rows
    from 1, ``clock`` one that tells their time. In a day's partition they count from the day's first row. ``moment``
    combines several columns into one timestamp; ``content_key`` makes a key from the rows' content.

    ``every_hours`` says that rows come at this interval, one series for each value of the rest of the key; gaps are
    then measured. ``history`` keeps rows from before a run's data window, where later rows need them. Up to
    ``max_rejected_share`` of the rows may be unreadable, infinite or repeated, and are rejected; more stop the run.
    """

    file: Annotated[str, Field(pattern=TABLE_FILE)]
    columns: Annotated[
        dict[str, Annotated[Column, BeforeValidator(_column, json_schema_input_type=KindByName | Column)]],
        Field(min_length=1),
    ]
    delimiter: Literal[",", ";", "\t", "|"] = ","
    encoding: str = "utf-8"
    skip_lines: Annotated[int, Field(ge=0, le=1000)] = 0
    header: bool = True
    row_number: Name | None = None
    clock: Clock | None = None
    moment: Moment | None = None
    content_key: ContentKey | None = None
    key: list[str] = []
    every_hours: Annotated[int, Field(ge=1, le=24 * 366)] | None = None
    history: bool = False
    max_rejected_share: Annotated[float, Field(ge=0, le=0.5)] = 0.0

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kind of every column of the validated table, including those derived from the rows' positions."""
        kinds: dict[str, Kind] = {name: column.kind for name, column in self.read_columns.items()}
        if self.row_number:
            kinds[self.row_number] = INTEGER
        if self.clock:
            kinds[self.clock.column] = TIMESTAMP
        if self.content_key:
            kinds[self.content_key.column] = STRING
        return kinds

    @cached_property
    def read_columns(self) -> dict[str, Column]:
        """All columns whose values are read from text: the file's, and one that combines several of them."""
        if self.moment is None:
            return self.columns
        return {**self.columns, self.moment.column: Column(kind=TIMESTAMP, format=self.moment.format)}

    @property
    def headers(self) -> dict[str, str]:
        """The header of each column in the file."""
        return {name: column.header or name for name, column in self.columns.items()}

    @model_validator(mode="after")
    def names_are_given_once(self) -> Self:
        sections = {"clock": self.clock, "moment": self.moment, "content_key": self.content_key}
        makers = {maker: section.column for maker, section in sections.items() if section}
        made: dict[str, str] = {}
        for maker, name in ({"row_number": self.row_number} | makers).items():
            if name in self.columns:
                raise ValueError(f"the column '{name}' is made by {maker}; the file cannot also have it")
            if name in made:
                raise ValueError(f"{made[name]} and {maker} make the same column '{name}'")
            if name:
                made[name] = maker
        if LINE in self.kinds:
            raise ValueError(f"a column cannot be called '{LINE}', a row's line in the file. Give it a header")
        if patterns := [name for name in self.columns if is_pattern(name)]:
            raise ValueError(f"a column cannot be called '{patterns[0]}', a pattern for names. Give it a header")
        headers = list(self.headers.values())
        if repeated := sorted({header for header in headers if headers.count(header) > 1}):
            raise ValueError(f"two columns have the header '{repeated[0]}'")
        if not self.header and (named := [name for name, column in self.columns.items() if column.header]):
            raise ValueError(f"the file has no header line, but the column '{named[0]}' has a header")
        return self

    @field_validator("encoding")
    @classmethod
    def encoding_is_known(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError:
            raise ValueError(f"'{encoding}' is not a text encoding; utf-8, windows-1252 and utf-16 are some") from None
        return codecs.lookup(encoding).name

    @model_validator(mode="after")
    def moment_is_of_texts(self) -> Self:
        for name in self.moment.of if self.moment else ():
            if name not in self.columns:
                refuse([Problem(("moment", "of", name), unknown("column", name, self.columns))])
        return self

    @model_validator(mode="after")
    def content_is_of_columns(self) -> Self:
        of = self.content_key.of if self.content_key else []
        refuse(
            Problem(("content_key", "of", number), unknown("column", name, self.columns))
            for number, name in enumerate(of)
            if name not in self.columns
        )
        return self

    @model_validator(mode="after")
    def key_is_among_columns(self) -> Self:
        refuse(
            Problem(("key", number), unknown("column", name, self.kinds))
            for number, name in enumerate(self.key)
            if name not in self.kinds
        )
        return self

    @model_validator(mode="after")
    def a_series_has_a_time(self) -> Self:
        times = [column for column in self.key if self.kinds[column].is_time]
        if self.every_hours and len(times) != 1:
            message = f"every_hours needs one timestamp column in the key, which has {len(times)}"
            refuse([Problem(("every_hours",), message)])
        return self

    @model_validator(mode="after")
    def key_is_named_once(self) -> Self:
        refuse(twice(("key",), self.key))
        return self


class Data(Section):
    """Raw tables, and the columns of the feature table that are not features."""

    tables: Annotated[dict[Name, Table], Field(min_length=1)]
    key: Annotated[list[str], Field(min_length=1)]
    time: str | None = None
    label: str
    classes: list[str] | None = None

    @property
    def not_features(self) -> list[str]:
        """Key, time and label."""
        return list(dict.fromkeys([*self.key, *([self.time] if self.time else []), self.label]))
