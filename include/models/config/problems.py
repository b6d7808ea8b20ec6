"""What is wrong in a model's files, and where: checks report a ``Problem``, ``explaining`` finds its line."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

MOST_LISTED = 30

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """``path`` leads to a key or an item of ``file``, in the model's folder."""

    path: Path
    message: str
    file: str = "model.yaml"


def refuse(problems: Iterable[Problem]) -> None:
    """For pydantic's validators, whose own errors cannot name the wrong key of a section.

    Raises:
        ValidationError: with all problems, if there are any. Paths are relative to the validated section.
    """
    details = [
        InitErrorDetails(
            type=PydanticCustomError("problem", "{message}", {"message": one.message}), loc=one.path, input=None
        )
        for one in problems
    ]
    if details:
        raise ValidationError.from_exception_data("model.yaml", details)


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """A message for an unknown name, with the nearest and all known ones."""
    return f"there is no {kind} '{name}'. {nearest(name, known)}"


def unknown_names(place: Path, names: Sequence[str], kind: str, known: Collection[str]) -> Iterator[Problem]:
    """A problem for each name that is not known, at its position."""
    for number, name in enumerate(names):
        if name not in known:
            yield Problem((*place, number), unknown(kind, name, known))


def twice(place: Path, names: Sequence[str]) -> Iterator[Problem]:
    """A problem for each name that is repeated, at its position."""
    for number, name in enumerate(names):
        if name in names[:number]:
            yield Problem((*place, number), f"'{name}' is listed twice")


def nearest(name: str, known: Collection[str]) -> str:
    """The nearest known name, ignoring case, and all known ones."""
    if not known:
        return "There is none."
    by_letters = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), by_letters, n=1)
    meant = f"Did you mean '{by_letters[close[0]]}'? " if close else ""
    more = f" and {len(known) - MOST_LISTED} more" if len(known) > MOST_LISTED else ""
    return f"{meant}Known: {', '.join(list(known)[:MOST_LISTED])}{more}."


def number_hint(text: str) -> str:
    """A hint for a text that means a number: YAML reads neither 0,05 nor 1e-3 as one."""
    try:
        return f". Written as a number: {float(text.replace(',', '.')):.15g}"
    except ValueError:
        return ""
