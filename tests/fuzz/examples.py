"""Examples for readers of external input, generated until the time is up: seconds in ``make test``, minutes in ``make
faults GROUPS=fuzz``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SECONDS, REPORT = "FUZZ_SECONDS", "FUZZ_REPORT"  # environment variables: seconds per target; the folder for its count
A_FEW = 2.2  # twenty seconds for all readers together
AT_ONCE = 40

Damage = Callable[[bytes], bytes]


def fuzz[Example](target: str, examples: st.SearchStrategy[Example], check: Callable[[Example], None]) -> None:
    """Run the check on examples, different ones in each round; hypothesis shrinks and shows a failing one.

    Args:
        target: the name of the count of examples in the report.
    """
    count = 0

    def counted(example: Example) -> None:
        nonlocal count
        count += 1
        check(example)

    until = time.monotonic() + float(os.environ.get(SECONDS, A_FEW))
    every_check = settings(
        max_examples=AT_ONCE, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck)
    )
    while not count or time.monotonic() < until:
        every_check(given(examples)(counted))()
    if folder := os.environ.get(REPORT):
        (Path(folder) / f"{target}.json").write_text(json.dumps(count))


def attempt[Result, Refusal: Exception](
    work: Callable[[], Result], refusal: type[Refusal]
) -> tuple[Result | None, Refusal | None]:
    """The result, or the reason for refusal; any other exception is a bug."""
    try:
        return work(), None
    except refusal as error:
        return None, error


def damages(fragments: list[bytes]) -> st.SearchStrategy[Damage]:
    """Damage a valid text: pieces are cut out, repeated or overwritten, and fragments inserted."""
    positions = st.floats(0, 1)
    pieces = st.sampled_from(fragments) | st.binary(max_size=8)

    def insert(at: float, what: bytes) -> Damage:
        return lambda text: text[: int(at * len(text))] + what + text[int(at * len(text)) :]

    def overwrite(at: float, what: bytes) -> Damage:
        return lambda text: text[: int(at * len(text))] + what + text[int(at * len(text)) + len(what) :]

    def cut(at: float, length: int) -> Damage:
        return lambda text: text[: int(at * len(text))] + text[int(at * len(text)) + length :]

    def again(at: float, length: int) -> Damage:
        return lambda text: text[: int(at * len(text)) + length] + text[int(at * len(text)) :]

    def swap(one: bytes, other: bytes) -> Damage:
        return lambda text: text.replace(one, other, 3)

    return st.one_of(
        st.builds(insert, positions, pieces),
        st.builds(overwrite, positions, pieces),
        st.builds(cut, positions, st.integers(1, 60)),
        st.builds(again, positions, st.integers(1, 60)),
        st.builds(swap, st.sampled_from(fragments), pieces),
    )


def damaged(good: st.SearchStrategy[bytes], fragments: list[bytes]) -> st.SearchStrategy[bytes]:
    """Valid texts with one to three damages."""

    def apply(text: bytes, all_of: list[Damage]) -> bytes:
        for damage in all_of:
            text = damage(text)
        return text

    return st.builds(apply, good, st.lists(damages(fragments), min_size=1, max_size=3))


# JSON values, and near misses
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
