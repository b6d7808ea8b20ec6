"""The border to MLflow: names of metrics and parameters, which become names of its files and columns."""

from __future__ import annotations

import re
from collections.abc import Mapping

LONGEST = 250
LONGEST_VALUE = 6000  # of a parameter


def entries[Value](given: Mapping[str, Value]) -> dict[str, Value]:
    """The same values under names that MLflow accepts: letters, digits, ``_ - . : /`` and blanks. Names that collide
    are numbered."""
    named: dict[str, Value] = {}
    for name, value in given.items():
        allowed = re.sub(r"[^\w\-. :/]+", "_", name, flags=re.ASCII)[:LONGEST].strip("./ ") or "_"
        unused, number = allowed, 2
        while unused in named:
            unused, number = f"{allowed[: LONGEST - 4]}_{number}", number + 1
        named[unused] = value
    return named
