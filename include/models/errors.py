"""Errors of jobs, and how they stay visible."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class JobError(Exception):
    """An understood failure: its message becomes the job's failure reason, without a traceback.

    The message is all that the person on call sees: what failed, what was found, what is allowed, what to do.
    """


@contextmanager
def and_then(clean_up: Callable[[], object]) -> Iterator[None]:
    """Cleans up at the end of the block. If that also fails after an error of the block, the block's error is raised,
    with a note; in a ``finally`` the later error would replace it."""
    try:
        yield
    except BaseException as error:
        try:
            clean_up()
        except Exception as another:  # noqa: BLE001 - it is kept, as a note of what it followed
            error.add_note(f"Cleaning up after it failed too: {type(another).__name__}: {another}")
        raise
    clean_up()
