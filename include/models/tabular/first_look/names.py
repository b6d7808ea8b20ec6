"""What the name of a column suggests."""

from __future__ import annotations

import re

ID_NAME = re.compile(r"(^|[^a-z])(id|uid|udi|uuid|guid|key|number|no|nr|num|index|idx|row)$")
TIME_NAME = re.compile(
    r"(^|[^a-z])(time|date|datetime|timestamp|ts|epoch|when|created|updated|day|start|end|month|period)([^a-z]|$)|_at$"
)
NOT_OF_ROWS = re.compile(r"birth|dob|expir|due|valid")  # a personal or a future date is not the row's time
ROW_COUNTER = re.compile(
    r"^(column 1|unnamed.*|(row|line|record) ?(number|num|no|nr|names?|index)?|index|idx|no|nr|#)$"
)


def words(name: str) -> str:
    """A column's name in lower case, split into words: customerID is customer id."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower().replace("_", " ")


def is_of_a_time(name: str) -> bool:
    return bool(TIME_NAME.search(words(name)) or TIME_NAME.search(name.lower()))


def is_of_an_id(name: str) -> bool:
    return bool(ID_NAME.search(words(name)))
