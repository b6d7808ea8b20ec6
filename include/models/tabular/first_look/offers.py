"""A suggestion for a column that is nearly something: what was found, and what model.yaml would declare."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl
import yaml

from include.models.config import Column
from include.models.config.kinds import MISSING

# what people and programs write for a missing value, besides the usual words; none of them is a number
SIGNS = frozenset(["?", "??", "-", "--", "---", "–", "—", ".", "..", "...", "*", "**"])
SHEET_ERRORS = frozenset(["#n/a", "#na", "#n/a!", "#null!", "#div/0!", "#value!", "#ref!", "#name?", "#num!"])
ABSENT = frozenset(
    [
        *("n.a.", "n.a", "n/a.", "na.", "n.d.", "(null)", "<null>", "<na>", "<nan>", "\\n", "nat", "-nan", "+nan"),
        *("-nan(ind)", "nan(ind)", "1.#qnan", "-1.#qnan", "1.#snan", "1.#ind", "-1.#ind"),  # C's on Windows
        *("0000-00-00", "0000-00-00 00:00:00"),  # MySQL's
    ]
)
WORDS = frozenset({"nil", "nd", "missing", "unknown", "unk", "undefined", "unavailable", "not available", "no data"})
INFINITE = frozenset(
    ["inf", "+inf", "-inf", "infinity", "+infinity", "-infinity", "∞", "+∞", "-∞", "\u2212∞", "1.#inf", "-1.#inf"]
)
NULL_WORDS = SIGNS | SHEET_ERRORS | ABSENT | WORDS | INFINITE
# even in a text column, these cannot be names
NO_NAMES = SHEET_ERRORS | ABSENT | {"?", "??", "--", "---"} | set(MISSING) - {"", "na", "none"}
MOST_WORDS = 8
TOLERATED = 0.02  # of rows may be rejected, as in a new model's model.yaml
MOST_SHOWN = 3


@dataclass(frozen=True)
class Offer:
    """``said``: column, count and example; ``column``: what model.yaml would declare, None if no declaration helps;
    ``is_sure``: it needs no confirmation."""

    name: str
    said: str
    column: Column | None = None
    is_sure: bool = False


def shown(column: Column) -> str:
    """As YAML, in one line."""
    declared = column.model_dump(exclude_defaults=True)
    text: str = yaml.safe_dump(declared, default_flow_style=True, allow_unicode=True, sort_keys=False, width=999)
    return text.strip()


def quoted(cells: Iterable[object]) -> str:
    """A few examples, each different."""
    different = list(dict.fromkeys(str(cell) for cell in cells))
    more = ", ..." if len(different) > MOST_SHOWN else ""
    return ", ".join(repr(cell[:40]) for cell in different[:MOST_SHOWN]) + more


def counted(count: int, rows: int) -> str:
    return f"{count:,} of {rows:,} rows"


def words_among(cells: pl.Series) -> tuple[list[str], bool] | None:
    """The spellings of missing values that all these cells are, the most frequent first, and whether each is a usual
    one; None if they are not such words, or too many."""
    counts = cells.value_counts(sort=True)
    words: Sequence[str] = counts[cells.name].to_list()
    unusual = [word for word in words if not is_usual(word)]
    if len(words) > MOST_WORDS or any(any(sign.isdigit() for sign in word) for word in unusual):
        return None
    return list(words), not unusual


def is_usual(word: str) -> bool:
    """Whether it is a usual word for a missing value, or an impossibly large number."""
    try:
        return word.lower() in NULL_WORDS or math.isinf(float(word))
    except ValueError:
        return False
