"""Whether a job's messages may quote values of the data: what a failure says is mailed, and kept in logs."""

from __future__ import annotations

import os

VARIABLE = "QUOTE_VALUES"  # "no" where model.yaml says so; in the environment, which a job's own processes have too
NOT_SHOWN = "values that are not shown (see quote_values in model.yaml)"


def quotes_values() -> bool:
    return os.environ.get(VARIABLE) != "no"


def quoted(values: str) -> str:
    """The values as they are to be shown."""
    return values if quotes_values() else NOT_SHOWN
