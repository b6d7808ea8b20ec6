"""Cleanup steps that always run, and never hide an earlier error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator


@contextlib.contextmanager
def at_the_end(steps: Iterable[Callable[[], object]]) -> Iterator[None]:
    """All steps run, whatever the work or another step raises; they are looked up when the work is over. The first
    error is raised, with the work's before any step's; the others become its notes.
    """
    first: BaseException | None = None
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - raised below
        first = error
    for step in steps:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - raised below, or kept as a note
            if first is None:
                first = error
            else:
                first.add_note(f"A step at the end failed too: {error!r}")
    if first is not None:
        raise first
