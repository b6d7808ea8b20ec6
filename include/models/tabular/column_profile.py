"""What a CSV file is: the kind of each column, which one identifies a row, tells its time, is to be predicted, and how
the values lie. Enough to check data like it, and to make up more of it, without keeping a single row.

Values are described apart for each group of rows: those of one class, or of one tenth of the target's range.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NotRequired, TypedDict

import polars as pl

from include.models.config import LINE, Column
from include.models.config.kinds import MISSING, STRING
from include.models.errors import JobError
from include.models.raw.kinds import READINGS, Distribution, reading_of
from include.models.raw.reader import UnreadableFileError, no_rows, open_raw
from include.models.tabular.schema import NEARLY_UNIQUE

ID_NAME = re.compile(r"(^|[^a-z])(id|uid|udi|uuid|key|number|no|nr|index)$")
GROUPS_OF_VALUES = 10
MOST_CLASSES = 50
FEWEST_ROWS = 50
GIVES_IT_AWAY = 0.995
FEWEST_WITH_A_VALUE = 10


class ColumnFacts(TypedDict):
    """A column's kind, its format if its timestamps are not as ISO has them, and the share of missing values."""

    kind: str
    missing: float
    format: NotRequired[str]


class Group(TypedDict):
    """Rows of one class, or of one tenth of the target's range: their share, and how each column's values lie."""

    share: float
    columns: dict[str, Distribution]


@dataclass(frozen=True)
class Profile:
    """``columns``: kind, format and share of missing values of each; ``groups``: how the values of each column lie in
    each group of rows; ``suspects``: columns that tell the target nearly by themselves."""

    rows: int
    target: str
    problem: str
    classes: list[str]
    columns: dict[str, ColumnFacts]
    groups: list[Group]
    id: str | None = None
    time: str | None = None
    excluded: dict[str, str] = field(default_factory=dict)
    suspects: list[str] = field(default_factory=list)

    @property
    def features(self) -> list[str]:
        return [name for name in self.columns if name not in {self.id, self.time, self.target, *self.excluded}]


def profile(file: Path, problem: str, target: str | None = None) -> tuple[Profile, pl.DataFrame]:
    """The profile of a CSV file (``.gz`` too), and its rows, typed.

    Args:
        target: the column to predict; the last one unless given.

    Raises:
        JobError: no such CSV, too few rows, or a target that is none of the problem's.
    """
    text = _read(file)
    if target is not None and target not in text.columns:
        raise JobError(f"TARGET={target} is no column of {file.name}; it has {', '.join(text.columns)}.")
    target = target or text.columns[-1]
    recognised = {series.name: _recognise(series) for series in text}
    frame = text.select(_values(text[name], column) for name, column in recognised.items())
    frame = frame.drop_nulls(target)
    if len(frame) < FEWEST_ROWS:
        raise JobError(f"{file.name} has {len(frame)} rows with a {target}; at least {FEWEST_ROWS} are needed.")
    classes = _classes(frame, target, problem, recognised[target])
    known_id = _id(frame, recognised, target)
    known_time = next((name for name, column in recognised.items() if column.kind.is_time and name != target), None)
    excluded = {
        name: why
        for name, column in recognised.items()
        if name not in (known_id, known_time, target) and (why := _why_excluded(frame[name], column))
    }
    columns = {name: _facts(frame[name], column) for name, column in recognised.items()}
    groups = _groups(frame, target, problem, classes, recognised, excluded.keys() | {known_id})
    found = Profile(len(frame), target, problem, classes, columns, groups, known_id, known_time, excluded)
    suspects = [name for name in found.features if _gives_away(frame, name, target, problem)]
    return replace(found, suspects=suspects), frame


def _read(file: Path) -> pl.DataFrame:
    """The file's rows as text."""
    try:
        with open_raw(file) as raw:
            header = raw.header or []
            if LINE in header:
                raise JobError(f"{file.name}: a column cannot be called '{LINE}'; rename it in the file.")
            if any(not name.strip() or name != name.strip() or header.count(name) > 1 for name in header):
                raise JobError(f"{file.name}: every column needs a name of its own in the header line; found {header}.")
            if len(header) < 2:
                raise JobError(f"{file.name} has one column, '{header[0]}': a comma has to stand between two cells.")
            blocks = list(raw.blocks(header)) or [no_rows(header)]
    except OSError as error:
        raise JobError(f"{file} cannot be read: {error}.") from None
    except UnreadableFileError as error:
        raise JobError(str(error)) from error
    for block in blocks:
        if block.malformed.height:
            line, _, reason = block.malformed.row(0)
            raise JobError(
                f"{file.name}: line {line} has {reason}. Correct the rows of another width than the header's."
            )
    return pl.concat([block.lines for block in blocks]).drop(LINE)


def _recognise(series: pl.Series) -> Column:
    """The kind of column that these cells are, the first that all of them fit."""
    text = series.str.strip_chars()
    known = text.filter(~text.str.to_lowercase().is_in(MISSING))
    if known.is_empty():
        return Column(kind=STRING)
    return next(column for reading in READINGS.values() if (column := reading.recognise(known)))


def _values(series: pl.Series, column: Column) -> pl.Series:
    """The cells as validation reads them; what it sets aside, and an infinite number, is not known."""
    text = (
        series.to_frame().lazy().select(reading_of(column.kind).parse(pl.col(series.name), column).alias(series.name))
    )
    values = text.collect().to_series()
    return values.set(values.is_infinite(), None) if values.dtype.is_float() else values


def _facts(series: pl.Series, column: Column) -> ColumnFacts:
    facts: ColumnFacts = {"kind": column.kind.name, "missing": series.null_count() / len(series)}
    if column.format:
        facts["format"] = column.format
    return facts


def _classes(frame: pl.DataFrame, target: str, problem: str, column: Column) -> list[str]:
    """The classes' names, the rarest last; of a binary problem that is the one looked for."""
    values, kind = frame[target], column.kind
    if problem == "regression":
        if not kind.is_quantity:
            raise JobError(
                f"the target {target} is of kind {kind}; a regression needs numbers. Name another: TARGET=..."
            )
        return []
    counts = values.cast(pl.String).value_counts().sort(["count", target], descending=[True, False])
    if not kind.names_classes or len(counts) > MOST_CLASSES:
        raise JobError(
            f"the target {target} has {len(counts)} different values of kind {kind}: no classes. Name another with "
            "TARGET=..., or use KIND=regression."
        )
    if problem == "binary" and len(counts) != 2:
        raise JobError(
            f"the target {target} has {len(counts)} classes; binary needs 2. Use KIND=multiclass, or TARGET=..."
        )
    if len(counts) < 2:
        raise JobError(f"the target {target} is always '{counts[target][0]}': there is nothing to learn.")
    rarest, name = counts["count"][-1], counts[target][-1]
    if rarest < 10:
        raise JobError(
            f"the class '{name}' of {target} has {rarest} rows; 10 are the least to learn from and measure on."
        )
    return [str(one) for one in counts[target]]


def _id(frame: pl.DataFrame, columns: Mapping[str, Column], target: str) -> str | None:
    """The column that is different in each row: one whose name says so, or the first column."""
    unique = [
        name
        for name, column in columns.items()
        if name != target
        and column.kind.tells_rows_apart
        and frame[name].n_unique() == len(frame)
        and not frame[name].null_count()
    ]
    named = [name for name in unique if ID_NAME.search(name.lower().replace("_", " "))]
    first = [name for name in unique if name == frame.columns[0]]
    return next(iter([*named, *first]), None)


def _why_excluded(series: pl.Series, column: Column) -> str:
    known = series.drop_nulls()
    if column.kind.is_time:
        return "a second timestamp"
    if known.n_unique() < 2:
        return "never changes"
    if known.dtype == pl.String and known.n_unique() > max(NEARLY_UNIQUE * len(known), 2):
        return f"{known.n_unique()} different texts in {len(known)} rows"
    return ""


def _groups(
    frame: pl.DataFrame,
    target: str,
    problem: str,
    classes: list[str],
    columns: Mapping[str, Column],
    left_out: AbstractSet[str | None],
) -> list[Group]:
    if problem == "regression":
        rank = frame[target].rank("ordinal")
        of_row = ((rank - 1) * GROUPS_OF_VALUES / len(frame)).floor().cast(pl.Int64).cast(pl.String)
        names = [str(number) for number in range(GROUPS_OF_VALUES)]
    else:
        of_row, names = frame[target].cast(pl.String), classes
    groups: list[Group] = []
    for name in names:
        rows = frame.filter(of_row == name)
        described = {each: _distribution(rows[each], columns[each]) for each in columns if each not in left_out}
        if problem != "regression":
            described[target] = {"missing": 0.0, "shares": {name: 1.0}}
        groups.append({"share": len(rows) / len(frame), "columns": described})
    return groups


def _distribution(series: pl.Series, column: Column) -> Distribution:
    known = series.drop_nulls()
    lie = Distribution() if known.is_empty() else reading_of(column.kind).describe(known)
    return {**lie, "missing": series.null_count() / max(len(series), 1)}


def _gives_away(frame: pl.DataFrame, name: str, target: str, problem: str) -> bool:
    """Whether this column alone tells the target of nearly each row: it may be known only afterwards."""
    rows = frame.select(name, target).drop_nulls()
    if problem == "regression":
        if rows.schema[name] == pl.String or len(rows) < FEWEST_ROWS:
            return False
        correlation = rows.select(pl.corr(name, target, method="spearman")).item()
        return correlation is not None and abs(correlation) > GIVES_IT_AWAY
    usual = rows[target].mode().min()
    counts = rows.group_by(name).agg(pl.len(), (pl.col(target) == usual).mean().alias("usual"))
    if counts.height > len(rows) / 10:
        return False
    # one value of it that is nearly only met with rare labels says as much
    return not counts.filter(pl.col("len") >= FEWEST_WITH_A_VALUE, pl.col("usual") < 1 - GIVES_IT_AWAY).is_empty()
