"""Checks the header of a file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import polars as pl

from include.models.errors import JobError
from include.models.tabular.first_look.offers import is_usual

FEWEST_NUMBERS = 2  # columns of numbers, to take a row without one for a second header
NEARLY_ALL = 0.98
MOST_SHOWN = 5
SINGLE_QUOTED = re.compile(r"'.*'", re.DOTALL)


def last_filled(names: Sequence[str], text: pl.DataFrame) -> str:
    """The last column; rows that end in a delimiter have one more, without name and values."""
    named = dict(zip(text.columns, names, strict=False))
    filled = [one.name for one in text if named.get(one.name, "") or (one.str.strip_chars() != "").any()]
    return filled[-1] if filled else text.columns[-1]


def about_names(names: Sequence[str], text: pl.DataFrame) -> list[str]:
    """Notes for the user about column names."""
    given = list(zip(names, text.columns, strict=False))
    repeated = [name for name, count in Counter(names).items() if name and count > 1]
    said = [f"{names.count(one)} columns are called {one}: the later ones are {one}_2, ..." for one in repeated]
    nameless = [own for name, own in given if not name]
    if nameless:
        more = ", ..." if len(nameless) > MOST_SHOWN else ""
        said.append(f"without a name, and named by position: {', '.join(nameless[:MOST_SHOWN])}{more}")
    lower = Counter(name.lower() for name in set(names))
    alike = [name for name in names if lower[name.lower()] > 1]
    if alike:
        said.append(f"{' and '.join(dict.fromkeys(alike))} differ only in case")
    return said


def require_one_header(file: str, names: Sequence[str], text: pl.DataFrame, lines: pl.Series) -> None:
    """Refuses a header in single quotes, one that recurs, as in concatenated files, or that has a second line, such as
    units.

    Raises:
        JobError: with the line.
    """
    if not names or text.is_empty():
        return
    given = [name for name in names if name]
    if given and all(SINGLE_QUOTED.fullmatch(name) for name in given):
        raise JobError(
            f"{file}, line 1: the names are in single quotes ({', '.join(given)[:60]}), which belong to a cell. Write "
            "names and texts in double quotes, or without quotes."
        )
    cells = zip(text.columns, names, strict=True)
    again = text.select(pl.all_horizontal(pl.col(own).str.strip_chars() == name for own, name in cells))
    repeated = lines.filter(again.to_series())
    if len(repeated):
        more = f", and in {len(repeated) - 1:,} more" if len(repeated) > 1 else ""
        raise JobError(f"{file}, line {repeated[0]}{more}: the header is repeated. Remove it there.")
    first, rest = text.row(0), text.slice(1)
    numbers = [place for place, name in enumerate(text.columns) if _is_of_numbers(rest[name])]
    if len(numbers) >= FEWEST_NUMBERS and all(_is_word(first[place].strip()) for place in numbers):
        shown = ", ".join(cell.strip() for cell in first)[:60]
        raise JobError(
            f"{file}, line {lines[0]}: '{shown}' seems to be a second line of the header, such as units. Remove it, or "
            "merge the two lines."
        )


def _is_of_numbers(cells: pl.Series) -> bool:
    cells = cells.str.strip_chars()
    known = cells.filter(cells != "")
    return len(known) > 0 and known.cast(pl.Float64, strict=False).count() >= NEARLY_ALL * len(known)


def _is_word(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell != "" and not is_usual(cell)
    return False
