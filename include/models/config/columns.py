"""The border to Glue and Athena: columns of the published scores, in letters without accents, digits and ``_``.

They are named only here, for the writers and readers of the Parquet files and for the table over them. Athena is case
insensitive, also for Parquet columns; names that collide are numbered in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 100
PARTITION = "date"  # the table's partition, which is also a column
ANSWERS = ("prediction", "reasons")  # besides the probabilities
PROBABILITY = "probability_"


def key_columns(names: Iterable[str]) -> dict[str, str]:
    """The column of each part of a row's key."""
    return _distinct(names, "", {PARTITION, *ANSWERS})


def probability_columns(classes: Iterable[str]) -> dict[str, str]:
    """The column of each class's probability: ``probability_<class>``."""
    return _distinct(classes, PROBABILITY, set())


def is_of_answers(name: str) -> bool:
    """Whether this name is reserved for part of a prediction, so that no part of a key may have it."""
    return name.lower() in ANSWERS or name.lower().startswith(PROBABILITY)


def _distinct(names: Iterable[str], prefix: str, used: set[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for name in names:
        reduced = re.sub(r"[^A-Za-z0-9_]+", "_", name)
        plain = prefix + ((reduced if reduced == name else reduced.strip("_"))[:LONGEST] or "column")
        unused, number = plain, 2
        while unused.lower() in used:
            unused, number = f"{plain}_{number}", number + 1
        used.add(unused.lower())
        columns[name] = unused
    return columns
