"""How the tabular library uses a table's columns: the section ``features``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .common import Section


class Derived(Section):
    """A feature of two numbers: ``a / b`` (missing if b is 0), ``a - b``, ``a * b``, or a comparison: 1 if a is above
    b, else 0. Each is a numeric column, an earlier derived feature, or a literal number; the result is missing if
    either is."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    kind: Literal["ratio", "difference", "product", "comparison"]
    of: Annotated[list[str | float], Field(min_length=2, max_length=2)]

    @property
    def names(self) -> list[str]:
        """The names that it is derived from, without literal numbers."""
        return [one for one in self.of if isinstance(one, str)]


class Features(Section):
    """For models without their own features.py. They learn from every column except key, time, label and those in
    ``exclude`` (which are known only afterwards, or leak the label)."""

    exclude: list[str] = []
    derived: list[Derived] = []
