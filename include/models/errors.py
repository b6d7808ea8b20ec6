"""Errors of jobs, and how they are kept in sight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class JobError(Exception):
    """A failure that is understood: the message becomes the job's failure reason, without a traceback.

    It is all that the person on call gets: what failed, what was found, what is allowed, what to do.
    """


@contextmanager
def and_then(clean_up: Callable[[], object]) -> Iterator[None]:
    """Clean up at the block's end. Where that fails after an error of the block, the error is the block's still, with a
    note; in a ``finally`` the later error would take its place."""
    try:
        yield
    except BaseException as error:
        try:
            clean_up()
        except Exception as another:  # noqa: BLE001 - it is kept, as a note of what it followed
            error.add_note(f"Cleaning up after it failed too: {type(another).__name__}: {another}")
        raise
    clean_up()
