"""What a CSV file is: the kind of each column, which one identifies a row, tells its time, is to be predicted, and how
the values lie. Enough to check data like it, and to make up more of it, without keeping a single row.

Values are described apart for each group of rows: those of one class, or of one tenth of the target's range.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from include.models.errors import JobError
from include.models.tabular.schema import MAX_CATEGORIES, NEARLY_UNIQUE

NO_VALUE = ("", "na", "n/a", "nan", "null", "none")  # as validate_raw_data reads them
ISO = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d")
OTHER_FORMATS = (
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
)
ID_NAME = re.compile(r"(^|[^a-z])(id|uid|udi|uuid|key|number|no|nr|index)$")
QUANTILES = np.linspace(0, 1, 21)
GROUPS_OF_VALUES = 10
MOST_CLASSES = 50
FEWEST_ROWS = 50
GIVES_IT_AWAY = 0.995
FEWEST_WITH_A_VALUE = 10


@dataclass(frozen=True)
class Profile:
    """``columns``: kind, format and share of missing values of each; ``groups``: how the values of each column lie in
    each group of rows; ``suspects``: columns that tell the target nearly by themselves."""

    rows: int
    target: str
    problem: str
    classes: list[str]
    columns: dict[str, dict[str, Any]]
    groups: list[dict[str, Any]]
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
    kinds = {name: _kind(text[name]) for name in text.columns}
    frame = text.select(_typed(text[name], kind, form).alias(name) for name, (kind, form) in kinds.items())
    frame = frame.drop_nulls(target)
    if len(frame) < FEWEST_ROWS:
        raise JobError(f"{file.name} has {len(frame)} rows with a {target}; at least {FEWEST_ROWS} are needed.")
    classes = _classes(frame, target, problem, kinds[target][0])
    known_id = _id(frame, kinds, target)
    known_time = next((name for name, (kind, _) in kinds.items() if kind == "timestamp" and name != target), None)
    excluded = {
        name: _why_excluded(frame[name], kind)
        for name, (kind, _) in kinds.items()
        if name not in (known_id, known_time, target) and _why_excluded(frame[name], kind)
    }
    columns = {
        name: {"kind": kind, "missing": frame[name].null_count() / len(frame), **({"format": form} if form else {})}
        for name, (kind, form) in kinds.items()
    }
    groups = _groups(frame, target, problem, classes, columns, excluded.keys() | {known_id})
    found = Profile(len(frame), target, problem, classes, columns, groups, known_id, known_time, excluded)
    suspects = [name for name in found.features if _gives_away(frame, name, target, problem)]
    return Profile(**{**found.__dict__, "suspects": suspects}), frame


def _read(file: Path) -> pl.DataFrame:
    try:
        frame = pl.read_csv(file, infer_schema=False, truncate_ragged_lines=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise JobError(
            f"{file} cannot be read as CSV: {error}. It needs a header line and commas between cells."
        ) from None
    blank = [name for name in frame.columns if not name.strip() or name != name.strip() or name.startswith("column_")]
    if blank or any("_duplicated_" in name for name in frame.columns):
        raise JobError(f"{file.name}: every column needs a name of its own in the header line; found {frame.columns}.")
    if frame.width < 2:
        raise JobError(f"{file.name} has one column, '{frame.columns[0]}': a comma has to stand between two cells.")
    return frame


def _known(series: pl.Series) -> pl.Series:
    text = series.str.strip_chars()
    return series.set(text.str.to_lowercase().is_in(NO_VALUE).fill_null(value=False), None)


def _kind(series: pl.Series) -> tuple[str, str | None]:
    """A column's kind, and how its timestamps are written where that is not as ISO has them."""
    known = _known(series).drop_nulls().str.strip_chars()
    if known.is_empty():
        return "string", None
    numbers = known.cast(pl.Float64, strict=False)
    if not numbers.null_count():
        return ("integer" if known.cast(pl.Int64, strict=False).null_count() == 0 else "number"), None
    for form in (*ISO, *OTHER_FORMATS):
        if not known.str.to_datetime(form, strict=False).null_count():
            return "timestamp", None if form in ISO else form
    return "string", None


def _typed(series: pl.Series, kind: str, form: str | None) -> pl.Series:
    if kind == "string":
        return series.set(series == "", None)
    text = _known(series).str.strip_chars()
    if kind == "timestamp":
        readings = [text.str.to_datetime(one, strict=False, time_unit="us") for one in ((form,) if form else ISO)]
        return pl.select(pl.coalesce(readings)).to_series()
    return text.cast(pl.Int64 if kind == "integer" else pl.Float64)


def _classes(frame: pl.DataFrame, target: str, problem: str, kind: str) -> list[str]:
    """The classes' names, the rarest last; of a binary problem that is the one looked for."""
    values = frame[target]
    if problem == "regression":
        if kind not in ("integer", "number"):
            raise JobError(
                f"the target {target} is of kind {kind}; a regression needs numbers. Name another: TARGET=..."
            )
        return []
    counts = values.cast(pl.String).value_counts().sort(["count", target], descending=[True, False])
    if kind in ("number", "timestamp") or len(counts) > MOST_CLASSES:
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


def _id(frame: pl.DataFrame, kinds: dict[str, tuple[str, str | None]], target: str) -> str | None:
    """The column that is different in each row: one whose name says so, or the first column."""
    unique = [
        name
        for name, (kind, _) in kinds.items()
        if name != target
        and kind in ("integer", "string")
        and frame[name].n_unique() == len(frame)
        and not frame[name].null_count()
    ]
    named = [name for name in unique if ID_NAME.search(name.lower().replace("_", " "))]
    first = [name for name in unique if name == frame.columns[0]]
    return next(iter([*named, *first]), None)


def _why_excluded(series: pl.Series, kind: str) -> str:
    known = series.drop_nulls()
    if kind == "timestamp":
        return "a second timestamp"
    if known.n_unique() < 2:
        return "never changes"
    if kind == "string" and known.n_unique() > max(NEARLY_UNIQUE * len(known), 2):
        return f"{known.n_unique()} different texts in {len(known)} rows"
    return ""


def _groups(
    frame: pl.DataFrame, target: str, problem: str, classes: list[str], columns: dict[str, Any], left_out: set[Any]
) -> list[dict[str, Any]]:
    if problem == "regression":
        rank = frame[target].rank("ordinal")
        of_row = ((rank - 1) * GROUPS_OF_VALUES / len(frame)).floor().cast(pl.Int64).cast(pl.String)
        names = [str(number) for number in range(GROUPS_OF_VALUES)]
    else:
        of_row, names = frame[target].cast(pl.String), classes
    groups = []
    for name in names:
        rows = frame.filter(of_row == name)
        described = {
            column: _lie(rows[column], str(facts["kind"]))
            for column, facts in columns.items()
            if column not in left_out
        }
        if problem != "regression":
            described[target] = {"missing": 0.0, "shares": {name: 1.0}}
        groups.append({"share": len(rows) / len(frame), "columns": described})
    return groups


def _lie(series: pl.Series, kind: str) -> dict[str, Any]:
    known = series.drop_nulls()
    missing = {"missing": series.null_count() / max(len(series), 1)}
    if known.is_empty():
        return missing
    if kind == "timestamp":
        return missing | {"range": [str(known.min()), str(known.max())]}
    if kind == "string":
        counts = known.value_counts(sort=True).head(MAX_CATEGORIES)
        total = counts["count"].sum()
        return missing | {"shares": {value: count / total for value, count in counts.iter_rows()}}
    return missing | {"quantiles": [float(f"{value:.6g}") for value in np.quantile(known.to_numpy(), QUANTILES)]}


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
