"""What a model learned about its columns, frozen at training: kinds, categories, ranges, derived columns.

A text column becomes a category: its values are numbered by frequency, up to ``MAX_CATEGORIES`` values that occur at
least ``MIN_ROWS`` times. All others, including unseen ones, share one more number; a missing value stays missing. A
text that is nearly unique in each row (an identifier, free text) and a constant column are dropped, as nothing can be
learned from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from include.models.config import Derived
from include.models.errors import JobError
from include.models.interface import Array
from include.models.raw.kinds import MAX_CATEGORIES

FILE = "schema.json"
MIN_ROWS = 5
NEARLY_UNIQUE = 0.5  # distinct values per row, from which on a text is an identifier rather than a category


@dataclass(frozen=True)
class Column:
    """A column of the request. ``values`` are a category's, by number; ``dropped``: why it is not used."""

    name: str
    kind: str
    values: tuple[str, ...] = ()
    dropped: str | None = None

    @property
    def is_category(self) -> bool:
        return self.kind == "category"


@dataclass(frozen=True)
class Schema:
    columns: tuple[Column, ...]
    derived: tuple[Derived, ...]

    @property
    def used(self) -> list[Column]:
        return [column for column in self.columns if column.dropped is None]

    @property
    def names(self) -> list[str]:
        """The names of the model's inputs, in order."""
        return [column.name for column in self.used] + [one.name for one in self.derived]

    @property
    def categories(self) -> list[int]:
        """Positions of the categories among the model's inputs."""
        return [place for place, column in enumerate(self.used) if column.is_category]

    def matrix(self, features: pl.DataFrame) -> Array:
        """The model's inputs (rows, names), nan where unknown.

        Raises:
            JobError: as of ``table``.
        """
        return np.column_stack([series.to_numpy() for series in self._inputs(features)])

    def table(self, features: pl.DataFrame) -> pl.DataFrame:
        """The model's inputs as columns, null where unknown; numbers are not copied.

        Raises:
            JobError: a column is missing, or of another kind than at training.
        """
        return pl.DataFrame(self._inputs(features))

    def _inputs(self, features: pl.DataFrame) -> list[pl.Series]:
        self._require(features)
        inputs = [
            _number_values(features[column.name], column)
            if column.is_category
            else features[column.name].cast(pl.Float64)
            for column in self.used
        ]
        for one in self.derived:  # in order: one may be derived from earlier ones
            features = features.with_columns(_expression(one))
        inputs += [features[one.name] for one in self.derived]
        return inputs

    def _require(self, features: pl.DataFrame) -> None:
        for column in self.columns:
            if column.name not in features.columns:
                raise JobError(
                    f"the model was trained with the column '{column.name}', which is missing; found are "
                    f"{', '.join(features.columns)}. Add it, or train again without it."
                )
            found = features.schema[column.name]
            if (found == pl.String) != column.is_category and found != pl.Null:
                learned = "texts" if column.is_category else "numbers"
                raise JobError(
                    f"column '{column.name}' is {found}, but in training it was {learned}. Correct the data, or "
                    "change its kind in model.yaml and train again."
                )

    def save(self, folder: Path) -> None:
        content = {
            "columns": [asdict(column) for column in self.columns],
            "derived": [one.model_dump() for one in self.derived],
        }
        (folder / FILE).write_text(json.dumps(content, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Schema:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        columns = tuple(Column(**{**column, "values": tuple(column["values"])}) for column in content["columns"])
        return cls(columns, tuple(Derived.model_validate(one) for one in content["derived"]))


def infer(features: pl.DataFrame, derived: Sequence[Derived]) -> Schema:
    """The schema of the training rows.

    Raises:
        ValueError: nothing is left to learn from, or a derived column depends on a missing or non-numeric one.
    """
    schema = Schema(tuple(_column(series) for series in features), tuple(derived))
    kinds = {column.name: column.kind for column in schema.columns}
    for one in derived:
        for name in one.names:
            if kinds.get(name) != "number":
                numbers = ", ".join(name for name, kind in kinds.items() if kind == "number")
                raise ValueError(f"features.derived '{one.name}' is of '{name}'; allowed are the numbers {numbers}")
        if one.name in kinds:
            raise ValueError(f"features.derived '{one.name}' has the name of a column; give it another")
        kinds[one.name] = "number"
    if not schema.used:
        raise ValueError(f"no column is left to learn from: {_reasons(schema)}")
    return schema


def _reasons(schema: Schema) -> str:
    return "; ".join(f"{column.name}: {column.dropped}" for column in schema.columns)


def _column(series: pl.Series) -> Column:
    known = series.drop_nulls()
    kind = "category" if series.dtype == pl.String else "number"
    if known.n_unique() < 2:
        return Column(series.name, kind, dropped="has one value" if len(known) else "has no values")
    if kind == "number":
        return Column(series.name, kind)
    counts = known.value_counts().sort([pl.col("count"), series.name], descending=[True, False])
    if len(counts) > max(NEARLY_UNIQUE * len(known), 2):
        return Column(series.name, kind, dropped=f"{len(counts)} different texts in {len(known)} rows")
    frequent = counts.filter(pl.col("count") >= MIN_ROWS).head(MAX_CATEGORIES)
    return Column(series.name, kind, tuple((frequent if len(frequent) else counts)[series.name].to_list()))


def _number_values(series: pl.Series, column: Column) -> pl.Series:
    numbers: Mapping[str, float] = {value: float(place) for place, value in enumerate(column.values)}
    if series.dtype == pl.Null:
        return series.cast(pl.Float64)
    others = pl.when(series.is_null()).then(None).otherwise(float(len(column.values)))
    return (
        series.to_frame()
        .select(pl.col(series.name).replace_strict(numbers, default=others, return_dtype=pl.Float64))
        .to_series()
    )


def _expression(one: Derived) -> pl.Expr:
    first, second = (pl.col(part).cast(pl.Float64) if isinstance(part, str) else pl.lit(part) for part in one.of)
    if one.kind == "difference":
        return (first - second).alias(one.name)
    if one.kind == "comparison":
        return (first > second).cast(pl.Float64).alias(one.name)
    if one.kind == "product":
        return (first * second).alias(one.name)
    return pl.when(second != 0).then(first / second).alias(one.name)
