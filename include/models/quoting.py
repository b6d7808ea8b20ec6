"""Whether messages may quote values of the data: what a job's failure says is mailed, and kept in logs, as is what a
serving container refuses."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "QUOTE_VALUES"  # "no" where model.yaml says so; in the environment, which a job's own processes have too
SILENT = {VARIABLE: "no"}
NOT_SHOWN = "a value that is not shown (see quote_values in model.yaml)"


def quotes_values() -> bool:
    return os.environ.get(VARIABLE) != "no"


def quoted(values: str) -> str:
    """The values as they are to be shown."""
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
    """The error and where it came from, for a log, without its message: nobody knows what that quotes."""
    steps = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}; its message may quote values, and is not shown\n{steps}"
