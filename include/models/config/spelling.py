"""How a file spells its numbers if they are not plain: decimal mark, thousands separator, unit.

The patterns mean the same in Python's ``re`` and in polars, whose half is ``include.models.raw.numbers``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

# accepted thousands separators where model.yaml names the first of them
THOUSANDS = {",": ",", ".": ".", " ": " \xa0\u2007\u2009\u202f", "'": "'\u2019", "_": "_"}
SIGN = "[+\u2212-]?"


@dataclass(frozen=True)
class Spelling:
    """``decimal``: the decimal mark; ``thousands``: the separators of groups of digits (three, in India also two);
    ``unit``: what may precede or follow a number. If any of them is declared, ``(5)`` and ``5-`` are also -5, as in
    accounting. The unit does not change the value: ``54.1 %`` is 54.1."""

    decimal: str = "."
    thousands: str | None = None
    unit: str | None = None

    @property
    def is_plain(self) -> bool:
        return self == PLAIN

    @cached_property
    def steps(self) -> list[tuple[str, str]]:
        """Patterns and replacements, in order: they turn a stripped cell into a number as programs write it, if
        ``number`` matches the result of the first three."""
        steps = []
        if self.unit:
            unit = re.escape(self.unit)
            steps += [(rf"^([(+\u2212-]?)\s*{unit}\s*", "${1}"), (rf"\s*{unit}(\s*[)-]?)$", "${1}")]
        return [*steps, (r"^\((.*)\)$", "-${1}"), (r"^(.*[0-9])-$", "-${1}")]

    @cached_property
    def number(self) -> str:
        whole = "[0-9]+"
        if self.thousands:
            gap = f"[{re.escape(THOUSANDS[self.thousands])}]"
            whole = f"(?:{whole}|[1-9][0-9]{{0,2}}(?:{gap}[0-9]{{2,3}})*{gap}[0-9]{{3}})"
        mark = re.escape(self.decimal)
        return rf"^{SIGN}(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?$"

    @cached_property
    def marks(self) -> list[tuple[str, str]]:
        """Replacements for each character that programs do not write."""
        gaps = [(gap, "") for gap in THOUSANDS.get(self.thousands or "", "")]
        return [*gaps, (self.decimal, "."), ("\u2212", "-")]

    def plain(self, text: str) -> str | None:
        """A stripped cell as programs write the number; None if it is not a number."""
        for pattern, replacement in self.steps:
            text = re.sub(pattern, replacement.replace("${1}", r"\g<1>"), text)
        if not re.search(self.number, text):
            return None
        for mark, written in self.marks:
            text = text.replace(mark, written)
        return text


PLAIN = Spelling()
