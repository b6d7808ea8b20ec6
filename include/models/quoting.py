"""Whether messages may quote values of the data: a job's failure message is mailed and kept in logs, as is a serving
container's."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = (
    "QUOTE_VALUES"  # "no" if model.yaml says so; an environment variable, so that a job's subprocesses inherit it
)
SILENT = {VARIABLE: "no"}
NOT_SHOWN = "a value that is not shown (see quote_values in model.yaml)"


def quotes_values() -> bool:
    return os.environ.get(VARIABLE) != "no"


def quoted(values: str) -> str:
    """The values, or a placeholder if they must not be shown."""
    return values if quotes_values() else NOT_SHOWN


@contextmanager
def quoting(allowed: bool) -> Iterator[None]:
    """Where one process serves several models: whether the block's messages may quote values of the data."""
    before = os.environ.pop(VARIABLE, None)
    os.environ.update({} if allowed else SILENT)
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        os.environ.update({VARIABLE: before} if before else {})


def unforeseen(error: BaseException) -> str:
    """The error and its traceback, for a log, without its message if that might quote values."""
    steps = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}; its message may quote values, and is not shown\n{steps}"
