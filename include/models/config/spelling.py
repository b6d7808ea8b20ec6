"""How a file spells its numbers where they are not plain: the decimal mark, what parts thousands, the unit beside them.

The patterns are read alike by Python's ``re`` and by polars, whose half is ``include.models.raw.numbers``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

# what may part thousands where model.yaml names the first of them
THOUSANDS = {",": ",", ".": ".", " ": " \xa0\u2007\u2009\u202f", "'": "'\u2019", "_": "_"}
SIGN = "[+\u2212-]?"


@dataclass(frozen=True)
class Spelling:
    """``decimal``: the decimal mark; ``thousands``: what may part groups of digits (of three, in India also of two);
    ``unit``: what may precede or follow a number. Where any of them is declared, ``(5)`` and ``5-`` are -5 too, as
    accountants write it. The unit changes no value: ``54.1 %`` is 54.1."""

    decimal: str = "."
    thousands: str | None = None
    unit: str | None = None

    @property
    def is_plain(self) -> bool:
        return self == PLAIN

    @cached_property
    def steps(self) -> list[tuple[str, str]]:
        """Pattern and replacement, in order: what they make of a cell without blanks around is the number as programs
        write it, if ``number`` matches what the first three of them make of it."""
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
        """What becomes of each character that programs do not write."""
        gaps = [(gap, "") for gap in THOUSANDS.get(self.thousands or "", "")]
        return [*gaps, (self.decimal, "."), ("\u2212", "-")]

    def plain(self, text: str) -> str | None:
        """A cell, without blanks around, as programs write the number; None if it is none."""
        for pattern, replacement in self.steps:
            text = re.sub(pattern, replacement.replace("${1}", r"\g<1>"), text)
        if not re.search(self.number, text):
            return None
        for mark, written in self.marks:
            text = text.replace(mark, written)
        return text


PLAIN = Spelling()
