"""An error during cleanup does not hide the original error."""

from __future__ import annotations

import pytest

from include.local_sagemaker.core.at_the_end import at_the_end


def _fail(word: str) -> None:
    raise RuntimeError(word)


def test_all_steps_are_taken_and_the_first_error_is_raised() -> None:
    taken: list[str] = []
    steps = [lambda: _fail("second"), lambda: _fail("third"), lambda: taken.append("last")]
    with pytest.raises(KeyError, match="first") as failure, at_the_end(steps):
        raise KeyError("first")
    assert taken == ["last"]
    assert [note.partition("(")[2] for note in failure.value.__notes__] == ["'second')", "'third')"]
    with pytest.raises(RuntimeError, match="second"), at_the_end(steps):
        pass
    assert taken == ["last", "last"]


def test_steps_are_looked_up_at_the_end() -> None:
    begun: list[str] = []
    ended: list[str] = []
    with at_the_end(lambda one=one: ended.append(one) for one in begun):  # type: ignore[misc]
        begun.append("late")
    assert ended == ["late"]
