"""What the tabular library makes of a table's columns: the section ``features``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .common import Section


class Derived(Section):
    """A feature of two numeric columns: ``a / b`` (missing where b is 0), ``a - b`` or ``a * b``."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    kind: Literal["ratio", "difference", "product"]
    of: Annotated[list[str], Field(min_length=2, max_length=2)]


class Features(Section):
    """For models without a features.py of their own. Every column that is not named here is learned from, but for key,
    time and label; ``exclude`` says which are not (what is only known afterwards, or says the label itself)."""

    exclude: list[str] = []
    derived: list[Derived] = []
