"""What the tabular library makes of a table's columns: the section ``features``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .common import Section


class Derived(Section):
    """A feature of two numbers: ``a / b`` (missing where b is 0), ``a - b``, ``a * b``, or a comparison: 1 where a is
    above b, else 0. Each is a numeric column, a derived feature further up, or a number itself; what is made of a
    missing value is missing."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    kind: Literal["ratio", "difference", "product", "comparison"]
    of: Annotated[list[str | float], Field(min_length=2, max_length=2)]

    @property
    def names(self) -> list[str]:
        """What it is made of, but for numbers."""
        return [one for one in self.of if isinstance(one, str)]


class Features(Section):
    """For models without a features.py of their own. Every column that is not named here is learned from, but for key,
    time and label; ``exclude`` says which are not (what is only known afterwards, or says the label itself)."""

    exclude: list[str] = []
    derived: list[Derived] = []
