"""From a request to predictions: the features that training would have built from the same events, and the model.

For a model whose rows look back, a question is answered as of its time: later events are ignored, and the request's own
rows override what the feature state remembers. The feature row is the one that a daily batch builds from the same
events, bit for bit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import polars as pl

from include.jobs.serving.payload import BadRequestError
from include.models.errors import JobError
from include.models.interface import FeatureBuilder
from include.online.backends import Backend, Version
from include.online.reading import Question, RawRequest
from include.online.shape import Shape, Thing
from include.online.state import FeatureState, Tables

MOST_MOMENTS = 1000  # per request whose rows look back: each needs its own table of features
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Built:
    """A question's feature row (or the reason why there is none), and its sources."""

    features: dict[str, object] | None
    said: dict[str, object] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class _Part:
    """Questions as of one moment, and what is known of their things as of then."""

    moment: datetime | None
    questions: list[Question]
    tables: Tables

    @cached_property
    def things(self) -> set[Thing]:
        return {question.thing for question in self.questions}

    def is_near(self, other: _Part) -> bool:
        """Whether one table of features may reach over both moments."""
        if self.moment is None or other.moment is None:
            return self.moment is other.moment
        return abs(self.moment - other.moment) <= DAY


@dataclass(frozen=True)
class Replies:
    """One reply per question, in order; ``error`` in place of a failed answer."""

    replies: list[dict[str, object]]
    version: Version | None


class Answering:
    """Answers raw requests for one model.

    Of a few rows, a polars query costs far more than what it does: what every request needs is asked of its columns.
    """

    def __init__(self, shape: Shape, builder: FeatureBuilder, backend: Backend, state: FeatureState | None) -> None:
        self._shape, self._builder, self._backend, self._state = shape, builder, backend, state
        self._texts: frozenset[str] = frozenset()  # features that are texts, once a table of them was built

    def answer(self, request: RawRequest, *, why: bool = False) -> Replies:
        """With reasons if asked. Raises BadRequestError, UnavailableError."""
        return self.answer_together([request], why=why)[0]

    def answer_together(self, requests: Sequence[RawRequest], *, why: bool = False) -> list[Replies]:
        """Answers several requests at little more than the cost of one.

        Raises:
            BadRequestError: one of them is invalid.
            UnavailableError: the backend is unavailable.
        """
        together = self.features(*requests)
        rows = [one.features for built in together for one in built if one.features is not None]
        found = self._backend.answer(self._frame(rows), why=why) if rows else None
        answers = iter(found.answers if found else [])
        return [
            Replies([self._reply(one, request.notes, answers) for one in built], found.version if found else None)
            for request, built in zip(requests, together, strict=True)
        ]

    @staticmethod
    def _reply(built: Built, notes: list[str], answers: Iterator[dict[str, object]]) -> dict[str, object]:
        said = dict(built.said)
        if notes:
            said["notes"] = [*notes, *said.get("notes", [])]  # type: ignore[misc] # notes are lists
        if built.features is None:
            return {**said, "error": built.error}
        return {**next(answers), **said, "features": built.features}

    def features(self, *requests: RawRequest) -> list[list[Built]]:
        """For each request, the rows of features that its questions are about.

        Raises:
            BadRequestError: events are inconsistent, such as two readings of a machine in one hour.
        """
        try:
            if not self._shape.looks_back:
                return [self._of_rows(request) for request in requests]
            return self._as_of_moments(requests)
        except JobError as error:
            raise BadRequestError(str(error)) from error

    def _of_rows(self, request: RawRequest) -> list[Built]:
        """For independent rows: all at once, in order."""
        frame = self._build(request.tables)
        if frame.height != len(request.questions):
            raise BadRequestError(f"of {len(request.questions)} rows the features know {frame.height}.")
        named = [self._named(one) for one in request.questions]
        return [
            Built(row, one) for row, one in zip(frame.drop(self._not_features(frame)).to_dicts(), named, strict=True)
        ]

    def _as_of_moments(self, requests: Sequence[RawRequest]) -> list[list[Built]]:
        parts = [self._parts(request) for request in requests]
        rows = iter(self._rows_of([part for own in parts for part in own]))
        together = []
        for request, own in zip(requests, parts, strict=True):
            built: dict[int, Built] = {}
            for part, found in zip(own, rows, strict=False):
                facts = self._facts(part.tables, part.moment)
                for question in part.questions:
                    thing = question.thing
                    built[question.row] = self._built(question, found.get(thing), facts.get(thing, {}))
            together.append([built[question.row] for question in request.questions])
        return together

    def _parts(self, request: RawRequest) -> list[_Part]:
        """The request's questions by their moments."""
        groups: dict[datetime | None, list[Question]] = defaultdict(list)
        for question in request.questions:
            groups[question.moment].append(question)
        if len(groups) > MOST_MOMENTS:
            raise BadRequestError(
                f"the rows are of {len(groups):,} moments; at most {MOST_MOMENTS:,} are answered at once."
            )
        known = {
            thing: self._state.known(thing) if self._state else {}
            for thing in {question.thing for question in request.questions if question.is_named}
        }
        merged = self._merged(request, known)
        return [
            _Part(moment, questions, self._as_of(merged, {question.thing for question in questions}, moment))
            for moment, questions in groups.items()
        ]

    def _rows_of(self, parts: list[_Part]) -> list[dict[Thing, dict[str, object]]]:
        """Each part's rows. Parts about other things share a table of features: what it costs hardly depends on their
        number, and a thing's rows depend on no other thing's, as in a day that is scored in chunks."""
        shape = self._shape
        may_share = len(shape.thing) == 1 and all(shape.thing[0] in table.kinds for table in shape.tables.values())
        found: dict[int, dict[Thing, dict[str, object]]] = {}
        waiting = list(range(len(parts)))
        while waiting:
            first, things, chosen = parts[waiting[0]], set[Thing](), list[int]()
            for number in waiting if may_share else waiting[:1]:
                if not things & parts[number].things and parts[number].is_near(first):
                    things |= parts[number].things
                    chosen.append(number)
            shared = first.tables
            if len(chosen) > 1:
                shared = {name: _appended([parts[number].tables[name] for number in chosen]) for name in shape.tables}
            found |= dict.fromkeys(chosen, self._rows(shared))
            waiting = [number for number in waiting if number not in found]
        return [found[number] for number in range(len(parts))]

    def _merged(self, request: RawRequest, known: Mapping[Thing, Tables]) -> dict[str, pl.DataFrame]:
        """The request's rows plus remembered ones; the request's version of a row wins."""
        merged = {}
        for name, frame in request.tables.items():
            parts = [tables[name] for tables in known.values() if name in tables and tables[name].height]
            if frame.height or not parts:
                parts = [frame, *parts]
            merged[name] = _appended(parts)
            if frame.height and len(parts) > 1:  # what is remembered of a thing has each row once
                key = self._shape.tables[name].key or frame.columns
                told = set(frame[key].rows())
                if any(not told.isdisjoint(part[key].rows()) for part in parts[1:]):
                    merged[name] = merged[name].unique(key, keep="first", maintain_order=True)
        return merged

    def _as_of(self, tables: Tables, things: set[Thing], moment: datetime | None) -> dict[str, pl.DataFrame]:
        """Of these things, without what is after the moment, and of windowed tables without what no window reaches."""
        shape, found = self._shape, {}
        reach = timedelta(hours=shape.config.daily_scoring.look_back_hours) + DAY
        for name, frame in tables.items():
            wanted = np.ones(frame.height, dtype=bool)
            columns = [column for column in shape.thing if column in frame.columns]
            if len(columns) == 1:
                wanted &= np.isin(frame[columns[0]].to_numpy(), np.array([thing[0] for thing in things], dtype=object))
            if moment is not None and shape.time in frame.columns:
                moments = frame[shape.time].to_numpy()
                wanted &= moments <= np.datetime64(moment)
                if not shape.tables[name].history:
                    wanted &= moments > np.datetime64(moment - reach)
            found[name] = frame if wanted.all() else frame[np.flatnonzero(wanted)]
        return found

    def _rows(self, tables: Tables) -> dict[Thing, dict[str, object]]:
        """Each thing's last row in the feature table."""
        shape = self._shape
        if tables[shape.first].is_empty():
            return {}
        frame = self._build(tables)
        if shape.time and not frame[shape.time].is_sorted():
            frame = frame.sort(shape.time, maintain_order=True)
        things = frame[shape.thing].rows() if shape.thing else [()] * frame.height
        last = {thing: row for row, thing in enumerate(things)}
        return {thing: frame.row(row, named=True) for thing, row in last.items()}

    def _facts(self, tables: Tables, moment: datetime | None) -> dict[Thing, dict[str, object]]:
        """By thing and table: the number of known rows, and the age of the newest."""
        shape, facts = self._shape, defaultdict[Thing, dict[str, object]](dict)
        for name, frame in tables.items():
            columns = [column for column in shape.thing if column in frame.columns]
            things = frame[columns].rows() if columns else [()] * frame.height
            newest: dict[Thing, datetime] = {}
            if shape.time in frame.columns:
                for thing, time in zip(things, frame[shape.time], strict=True):
                    if time is not None and time > newest.get(thing, datetime.min):  # noqa: DTZ901 - as tables have it
                        newest[thing] = time
            for thing, rows in Counter(things).items():
                fact: dict[str, object] = {"rows": rows}
                if thing in newest:
                    fact["newest"] = newest[thing].isoformat()
                    if moment:
                        fact["age_hours"] = round((moment - newest[thing]).total_seconds() / 3600, 3)
                facts[thing][name] = fact
        return facts

    def _built(self, question: Question, row: dict[str, object] | None, facts: dict[str, object]) -> Built:
        shape = self._shape
        said: dict[str, object] = {**self._named(question)}
        said["known"] = {name: facts.get(name, {"rows": 0}) for name in shape.tables}
        if row is None:
            named = " ".join(f"{name} {value}" for name, value in self._named(question).items()) or "it"
            why = (
                f"row {question.row + 1}: nothing is known about {named} as of {question.moment}: {shape.first} has no "
                "row in the look-back of the features. Send its rows as history, or to /events beforehand."
            )
            return Built(None, said, why)
        notes = [
            f"nothing is known about {name}"
            for name in shape.tables
            if name not in facts and not shape.tables[name].history and shape.time not in shape.tables[name].kinds
        ]
        if shape.time:
            stands_for = row[shape.time]
            said[shape.time] = stands_for.isoformat()  # type: ignore[attr-defined] # of a Datetime column
            if question.moment and stands_for < question.moment:  # type: ignore[operator]
                notes.append(f"a gap: nothing came after {stands_for} and until {question.moment}; answered as of then")
            if question.moment and stands_for > question.moment:  # type: ignore[operator]
                notes.append(f"the time up to {stands_for} is not over: known until {question.moment}")
        if notes:
            said["notes"] = notes
        hidden = self._not_features(row)
        return Built({name: value for name, value in row.items() if name not in hidden}, said)

    def _build(self, tables: Tables) -> pl.DataFrame:
        frame = self._builder.build_features(tables, with_label=False)
        self._texts |= {name for name, dtype in frame.schema.items() if dtype == pl.String}
        return frame

    def _frame(self, rows: list[dict[str, object]]) -> pl.DataFrame:
        """As in requests with features: texts unchanged, everything else as numbers."""
        schema = {name: pl.String() if name in self._texts else pl.Float64() for name in rows[0]}
        return pl.DataFrame(rows, schema=schema)

    def _named(self, question: Question) -> dict[str, object]:
        return dict(zip(self._shape.thing, question.thing, strict=True)) if question.is_named else {}

    def _not_features(self, columns: Sequence[str] | Mapping[str, object] | pl.DataFrame) -> list[str]:
        names = columns.columns if isinstance(columns, pl.DataFrame) else list(columns)
        return [name for name in self._shape.config.data.not_features if name in names]


def _appended(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """One after the other, without the threads that ``pl.concat`` hands this to."""
    found, *others = frames
    for frame in others:
        found = found.vstack(frame)
    return found
