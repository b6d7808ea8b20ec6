"""Kinds of columns, and how a cell's text is interpreted: the half that Airflow's side also needs.

The other half, how to read, check, guess and generate a kind's cells, is ``include.models.raw.kinds``. A new kind needs
one entry here and one class there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .spelling import PLAIN, Spelling

# Spellings, in any case and with spaces around, of a missing value: in raw files, requests and new models' data.
MISSING = ("", "na", "n/a", "nan", "null", "none")
NUMBER_TEXT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
INFINITE_TEXT = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
# Unicode's, as polars strips it; Python's strip() would also take the separators \x1c to \x1f
WHITESPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


@dataclass(frozen=True)
class Kind:
    """A kind of column.

    ``values``: what its cells contain, in words; ``glue``: its type in Athena's tables, ``mlflow``: in model
    signatures. ``missing``: the spellings of a missing value. ``is_time``: its values are times; ``is_number``: they
    are measurements, so runs of missing ones are counted. ``tells_rows_apart``: it may be part of a key;
    ``names_classes``: its values may be classes to predict; ``is_quantity``: a regression may predict it.
    """

    name: str
    values: str
    glue: str
    mlflow: str
    missing: tuple[str, ...] = MISSING
    is_time: bool = False
    is_number: bool = False
    is_quantity: bool = False
    tells_rows_apart: bool = False
    names_classes: bool = False

    def __str__(self) -> str:
        return self.name


TIMESTAMP = Kind("timestamp", "timestamps", glue="timestamp", mlflow="datetime", is_time=True)
INTEGER = Kind(
    "integer",
    "whole numbers",
    glue="bigint",
    mlflow="double",
    is_quantity=True,
    tells_rows_apart=True,
    names_classes=True,
)
NUMBER = Kind("number", "numbers", glue="double", mlflow="double", is_number=True, is_quantity=True)
STRING = Kind(
    "string", "text", glue="string", mlflow="string", missing=("",), tells_rows_apart=True, names_classes=True
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (TIMESTAMP, INTEGER, NUMBER, STRING)}


def kind_of(name: object) -> Kind:
    """The kind with this name. Raises ValueError: there is none."""
    if isinstance(name, Kind):
        return name
    if not isinstance(name, str) or name not in KINDS:
        *others, last = (f"'{known}'" for known in KINDS)
        raise ValueError(f"a kind must be {', '.join(others)} or {last}; found {name!r}")
    return KINDS[name]


def is_missing(text: str, words: Collection[str] = ()) -> bool:
    """Whether a cell of any kind but text spells a missing value, in the usual words or the column's own."""
    text = text.strip(WHITESPACE).lower()
    return text in MISSING or text in words


def number_in(text: str, spelling: Spelling = PLAIN) -> float:
    """The number that a cell spells; infinite if it says so or is too large.

    Raises:
        ValueError: it is not a number, including ``1_000`` and other scripts' digits, which Python would accept.
    """
    text = text.strip(WHITESPACE)
    if spelling.is_plain:
        plain = text if NUMBER_TEXT.fullmatch(text) or INFINITE_TEXT.fullmatch(text) else None
    else:
        plain = spelling.plain(text)
    if plain is None:
        raise ValueError(f"{text!r} is not a number")
    return float(plain)
