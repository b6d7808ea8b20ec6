"""Profiles a CSV file: each column's kind, which column identifies a row, tells its time, is the target, and the
distribution of values. Enough to check similar data, and to generate more of it, without keeping a single row.

Values are described separately for each group of rows: one class, or one tenth of the target's range.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict

import polars as pl

from include.models.config import LINE, Column, Moment, is_pattern, named
from include.models.config.columns import is_of_answers
from include.models.errors import JobError
from include.models.raw.kinds import reading_of
from include.models.raw.reader import Form, UnreadableFileError, no_rows, open_raw
from include.models.raw.reading import Distribution
from include.models.tabular.first_look.columns import Look, look_at, typed
from include.models.tabular.first_look.file_form import find_form
from include.models.tabular.first_look.header import about_names, last_filled, require_one_header
from include.models.tabular.first_look.leaks import suspects
from include.models.tabular.first_look.names import NOT_OF_ROWS, ROW_COUNTER, TIME_NAME, is_of_an_id, words
from include.models.tabular.first_look.numbers import infinite
from include.models.tabular.first_look.offers import counted
from include.models.tabular.first_look.times import is_ordered
from include.models.tabular.schema import NEARLY_UNIQUE

GROUPS_OF_VALUES = 10
MOST_CLASSES = 50
FEWEST_ROWS = 50
FEWEST_OF_A_CLASS = 10
MOSTLY = 0.9
# common names of the positive class
LOOKED_FOR = frozenset(
    {"1", "true", "yes", "y", "t", "positive", "pos", "malignant", "failure", "failed", "fail", "fraud", "bad", "churn"}
    | {"churned", "default", "defaulted", "died", "dead", "sick", "disease", "spam", "late", "anomaly", "attack"}
)
TOTAL = re.compile(r"(grand |sub)?totals?:?|sum:?|(gesamt)?summe:?|gesamt:?|average:?|mean:?")


class ColumnFacts(TypedDict):
    """A column's kind, its declaration in model.yaml, and the share of missing values."""

    kind: str
    declared: dict[str, object]
    missing: float


class Group(TypedDict):
    """Rows of one class, or of one tenth of the target's range: their share, and each column's distribution."""

    share: float
    columns: dict[str, Distribution]


@dataclass(frozen=True)
class Profile:
    """``columns``: kind, format and share of missing values of each; ``groups``: the distribution of each column in
    each group of rows; ``suspects``: columns that nearly determine the target alone."""

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


@dataclass(frozen=True)
class FirstLook:
    """A file's profile and typed rows; its format, the timestamp spread over several columns, what its columns nearly
    are, and notes for the user, as sentences."""

    profile: Profile
    frame: pl.DataFrame
    form: Form
    look: Look
    said: list[str]

    @property
    def moment(self) -> Moment | None:
        return self.look.moment


@dataclass(frozen=True)
class Wishes:
    """The user's choices: the column to predict (by default the last one), the positive class, the file's encoding;
    ``assume``: accept what is nearly certain."""

    target: str | None = None
    positive: str | None = None
    encoding: str | None = None
    assume: bool = False


AS_FOUND = Wishes()


def first_look(file: Path, problem: str, wishes: Wishes = AS_FOUND) -> FirstLook:
    """Profiles a delimited or Excel file (also ``.gz``).

    Raises:
        JobError: the file is missing or unreadable, has too few rows, or a target that does not fit the problem.
    """
    written = find_form(file, wishes.assume, wishes.encoding)
    text, lines, names, form = _read(file, written.form)
    require_one_header(file.name, names, text, lines)
    target = (wishes.target or last_filled(names, text)).strip()
    if target not in text.columns:
        raise JobError(f"TARGET={target} is not a column of {file.name}; it has {', '.join(text.columns)}.")
    look = look_at(text, form.delimiter, target, problem, wishes.assume)
    _require_finite(file, text, lines, look)
    frame = typed(text, look).drop_nulls(target)
    if len(frame) < FEWEST_ROWS:
        rows = f"{len(frame)} row{'' if len(frame) == 1 else 's'}"
        raise JobError(f"{file.name} has {rows} with a {target}; at least {FEWEST_ROWS} are needed.")
    classes = _classes(frame, target, problem, look, wishes.positive)
    found = _profile(frame, look, target, problem, classes)
    said = [*written.said, *about_names(names, text), *look.said, *_total(text, lines)]
    return FirstLook(found, frame, form, look, said)


def _total(text: pl.DataFrame, lines: pl.Series) -> list[str]:
    """A note if the last row is a total of the others, as in sheets."""
    cells = [cell.strip() for cell in text.row(-1)]
    found = next((cell for cell in cells if TOTAL.fullmatch(cell.lower())), None)
    return [f"line {lines[-1]} seems to be a total of the others ('{found}'): remove it from the file"] if found else []


def _profile(frame: pl.DataFrame, look: Look, target: str, problem: str, classes: list[str]) -> Profile:
    recognised = look.read_columns
    known_id = _id(frame, recognised, {target, *look.offers})
    known_time = look.moment.column if look.moment else _time(frame, recognised, target)
    parts = look.moment.of if look.moment else {}
    excluded = {
        name: why
        for name, column in recognised.items()
        if name not in (known_id, known_time, target) and (why := _why_excluded(frame[name], column, parts))
    }
    columns = {name: _facts(frame[name], column) for name, column in recognised.items()}
    groups = _groups(frame, target, problem, classes, recognised, excluded.keys() | {known_id})
    found = Profile(len(frame), target, problem, classes, columns, groups, known_id, known_time, excluded)
    return replace(found, suspects=suspects(frame, found.features, target, problem))


def _require_finite(file: Path, text: pl.DataFrame, lines: pl.Series, look: Look) -> None:
    """Validation rejects rows with infinite values, so the user has to decide what they mean."""
    for place, (name, column) in enumerate(look.columns.items(), 1):
        if column.kind.is_number and not column.null_words:
            wrong = infinite(text[name])
            if wrong.any():
                cell = text[name].filter(wrong)[0].strip()
                raise JobError(
                    f"{file.name}, line {lines.filter(wrong)[0]}, column {place}: {name} is '{cell}' in "
                    f"{counted(int(wrong.sum()), len(text))}, which cannot be learned from. Correct it, leave it "
                    "empty, or use ASSUME=yes to declare it missing."
                )


def _read(file: Path, form: Form) -> tuple[pl.DataFrame, pl.Series, list[str], Form]:
    """The file's rows as text, their lines, its header if it has one, and its format."""
    try:
        with open_raw(file, form) as raw:
            width = len(raw.header or []) or _width(file, form)
            header = named(raw.header or [""] * width)
            _require_columns(file, header, raw.delimiter)
            blocks = list(raw.blocks(header)) or [no_rows(header)]
            form = replace(form, delimiter=raw.delimiter)
    except OSError as error:
        raise JobError(f"{file} cannot be read: {error}.") from None
    except UnreadableFileError as error:
        raise JobError(str(error)) from error
    malformed = pl.concat([block.malformed for block in blocks])
    rows = pl.concat([block.lines for block in blocks])
    if malformed.height:
        raise JobError(_ragged(file, malformed, len(rows), len(header)))
    return rows.drop(LINE), rows[LINE], raw.header or [], form


def _require_columns(file: Path, header: list[str], delimiter: str) -> None:
    if LINE in header:
        raise JobError(
            f"{file.name}, line 1, column {header.index(LINE) + 1}: a column cannot be called '{LINE}', which is what "
            "validation calls a row's line; rename it in the file."
        )
    if patterns := [name for name in header if is_pattern(name)]:
        raise JobError(
            f"{file.name}, line 1, column {header.index(patterns[0]) + 1}: a column cannot be called '{patterns[0]}', "
            "which stands for several columns here; rename it in the file."
        )
    if len(header) < 2:
        raise JobError(
            f"{file.name} has one column, '{header[0][:60]}': a comma, a semicolon, a tab or | must separate two cells."
        )


def _width(file: Path, form: Form) -> int:
    with open_raw(file, replace(form, header=True)) as raw:
        return len(raw.header or [])


def _ragged(file: Path, malformed: pl.DataFrame, others: int, width: int) -> str:
    line, text, reason = malformed.row(0)
    if "field" not in reason:
        return f"{file.name}, line {line}, column 1: {reason}. Take one of the two versions, and remove the marks."
    if not others and malformed["reason"].n_unique() == 1:
        return (
            f"{file.name}, line {line}, column {width + 1}: every row has {reason} in the header. Does each row end in "
            "one mark too many, or has its first column no name? Give the header as many names as rows have cells; a "
            "text that contains the delimiter must be in double quotes."
        )
    if text.startswith('"') or "\n" in text:
        return (
            f"{file.name}, line {line}: a quote is never closed: '{text.splitlines()[0][:40]}'. Close it, "
            "or write two quotes for one within a cell."
        )
    more = f", and {malformed.height - 1:,} more" if malformed.height > 1 else ""
    found = int(reason.split()[0])
    return (
        f"{file.name}, line {line}, column {min(found, width) + 1}: {reason}{more}. Correct the rows of another width "
        "than the header's: a cell that contains the delimiter must be in double quotes."
    )


def _facts(series: pl.Series, column: Column) -> ColumnFacts:
    declared = column.model_dump(exclude_defaults=True)
    return {"kind": column.kind.name, "declared": declared, "missing": series.null_count() / len(series)}


def _classes(frame: pl.DataFrame, target: str, problem: str, look: Look, positive: str | None) -> list[str]:
    """The classes' names, the rarest last; for a binary problem, the positive class last."""
    values, kind = frame[target], look.columns[target].kind
    offer = look.offers.get(target)
    hint = f" ({offer.said}: ASSUME=yes reads it so)" if offer and offer.is_sure else ""
    if problem == "regression":
        if positive:
            raise JobError("POSITIVE names the positive class; a regression has none.")
        if not kind.is_quantity:
            raise JobError(
                f"the target {target} is of kind {kind}; a regression needs numbers{hint}. Name another: TARGET=..."
            )
        return []
    counts = values.cast(pl.String).value_counts().sort(["count", target], descending=[True, False])
    classes = [str(one) for one in counts[target]]
    if not kind.names_classes or len(counts) > MOST_CLASSES:
        raise JobError(
            f"the target {target} has {len(counts)} different values of kind {kind}: these are not classes. Name "
            "another with TARGET=..., or use KIND=regression."
        )
    if len(counts) < 2:
        raise JobError(f"the target {target} is always '{classes[0]}': there is nothing to learn.")
    if problem == "binary" and len(counts) != 2:
        raise JobError(
            f"the target {target} has {len(counts)} classes{_listed(classes)}; binary needs 2{hint}. Use "
            "KIND=multiclass, or TARGET=..."
        )
    if positive is not None and (problem != "binary" or positive not in classes):
        raise JobError(
            f"POSITIVE={positive} is not one of two classes of {target}: {', '.join(classes)}. It names the class that "
            "is the positive class of a binary problem."
        )
    rarest, name = counts["count"][-1], classes[-1]
    if rarest < FEWEST_OF_A_CLASS:
        raise JobError(
            f"the class '{name}' of {target} has {rarest} rows; at least {FEWEST_OF_A_CLASS} are needed to train and "
            f"evaluate{_listed(classes)}{hint}."
        )
    likely = (one for one in classes if problem == "binary" and is_looked_for(one, classes))
    looked_for = positive or next(likely, classes[-1])
    return [*(one for one in classes if one != looked_for), looked_for]


def is_looked_for(name: str, classes: Sequence[str]) -> bool:
    """Whether a class's name suggests that it is the positive one; 1 does beside 0 or -1, not beside 2."""
    return name.lower() in LOOKED_FOR and (name != "1" or bool({"0", "-1"} & {*classes}))


def _listed(classes: list[str]) -> str:
    """The classes, if they are few, and those that differ only in case."""
    if len(classes) > 12:
        return ""
    shown = f" ({', '.join(repr(one) for one in classes)})"
    lower = [one.lower() for one in classes]
    same = [one for one in classes if lower.count(one.lower()) > 1]
    return f"{shown[:-1]}; {' and '.join(same)} differ only in case: spell them alike)" if same else shown


def _time(frame: pl.DataFrame, columns: Mapping[str, Column], target: str) -> str | None:
    """The column with a row's time: preferably one that the rows are ordered by, or whose name says so; never a
    birthday."""
    times = [name for name, column in columns.items() if column.kind.is_time and name != target]
    likely = [name for name in times if not NOT_OF_ROWS.search(words(name))]
    rank = {name: (not is_ordered(frame[name]), not TIME_NAME.search(words(name))) for name in likely}
    return min(likely, key=lambda name: rank[name], default=None)


def _id(frame: pl.DataFrame, columns: Mapping[str, Column], others: AbstractSet[str]) -> str | None:
    """The column that is unique in each row, not in ``others``: one whose name says so, or the first one."""
    unique = [
        name
        for name, column in columns.items()
        if name not in others
        and not is_of_answers(name)
        and column.kind.tells_rows_apart
        and frame[name].n_unique() == len(frame)
        and not frame[name].null_count()
    ]
    said = [name for name in unique if is_of_an_id(name)]
    first = [name for name in unique if name == frame.columns[0]]
    return next(iter([*said, *first]), None)


def _why_excluded(series: pl.Series, column: Column, parts: Mapping[str, str]) -> str:
    known = series.drop_nulls()
    if column.kind.is_time:
        return "part of the time" if series.name in parts else "a second timestamp"
    if series.name in parts and not column.kind.is_quantity:
        return "part of the time"
    if known.n_unique() < 2:
        return "never changes" if len(known) else "has no values"
    if known.dtype == pl.String and known.n_unique() > max(NEARLY_UNIQUE * len(known), 2):
        return f"{known.n_unique()} different texts in {len(known)} rows"
    if known.dtype == pl.Int64 and len(known) == len(series) and known.n_unique() == len(known):
        if (known.diff().drop_nulls() == 1).all():
            return "counts the rows"
        if is_of_an_id(series.name):
            return "a unique number in each row"
    if known.dtype == pl.Int64 and ROW_COUNTER.search(words(series.name)):
        steps = int((known.diff() == 1).sum())  # nearly all, for several concatenated files
        return "counts rows" if steps > MOSTLY * len(known) else ""
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
