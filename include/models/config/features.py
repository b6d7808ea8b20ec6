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
        """What it is made of, except for numbers."""
        return [one for one in self.of if isinstance(one, str)]


class Features(Section):
    """For models without their own features.py. They learn from every column except for key, time, label and those that
    ``exclude`` names (which are only known afterwards, or give the label away)."""

    exclude: list[str] = []
    derived: list[Derived] = []
