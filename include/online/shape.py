"""The structure of a model's raw rows, by its model.yaml: tables, their subjects, the look-back of features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from include.models.config import ModelConfig, Table
from include.models.config.kinds import TIMESTAMP
from include.models.raw.kinds import reading_of

Thing = tuple[object, ...]  # the key without its time, which identifies a machine, or whatever rows are about


@dataclass(frozen=True)
class Shape:
    """The structure of a model's raw rows."""

    config: ModelConfig

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables for predictions, as in requests; the first has the rows that features are about."""
        scoring, data = self.config.scoring, self.config.data.tables
        return {name: self._as_requested(data[name]) for name in (scoring.tables if scoring else data)}

    def _as_requested(self, table: Table) -> Table:
        """Requests state the time that a file's rows have by position; independent rows need no key."""
        if not self.looks_back:
            table = table.model_copy(update={"key": []})
        if table.clock is None:
            return table
        said = {name: column.model_dump(exclude_defaults=True) for name, column in table.columns.items()}
        others = table.model_dump(exclude_defaults=True, exclude={"columns", "clock"})
        return Table.model_validate({**others, "columns": {**said, table.clock.column: TIMESTAMP.name}})

    @property
    def first(self) -> str:
        return next(iter(self.tables))

    @property
    def time(self) -> str | None:
        return self.config.data.time

    @cached_property
    def thing(self) -> list[str]:
        """The columns of ``Thing``: those of the key that rows contain, without the time."""
        table = self.tables[self.first]
        return [name for name in self.config.data.key if name in table.columns and name != self.time]

    @property
    def looks_back(self) -> bool:
        """Whether a row's features depend on other rows."""
        scoring = self.config.scoring
        tables = scoring.tables if scoring else self.config.data.tables
        return len(tables) > 1 or bool(scoring and scoring.look_back_hours)

    @cached_property
    def names(self) -> dict[str, str]:
        """Columns by the names that requests may use: their own, and the headers of files."""
        found: dict[str, str] = {}
        for table in self.tables.values():
            for name, header in table.headers.items():
                found |= {name: name, header: name}
        return found

    def own(self, name: str) -> list[str]:
        """A table's columns besides the thing and the time: a row must have them to belong to it."""
        shared = {*self.thing, self.time}
        others = [column for column in self.tables[name].columns if column not in shared]
        return others or list(self.tables[name].columns)

    def schema(self, name: str) -> dict[str, pl.DataType]:
        return {column: reading_of(kind).dtype for column, kind in self.tables[name].kinds.items()}

    @cached_property
    def _empty(self) -> dict[str, pl.DataFrame]:
        return {name: pl.DataFrame(schema=self.schema(name)) for name in self.tables}

    def empty(self, name: str) -> pl.DataFrame:
        return self._empty[name]
