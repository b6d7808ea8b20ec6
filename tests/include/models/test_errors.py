"""An error stays visible when the cleanup after it fails too."""

from __future__ import annotations

import pytest

from include.models.errors import JobError, and_then


def fail() -> None:
    raise OSError("the disk is full")


def test_the_first_error_stays_and_the_second_is_its_note() -> None:
    with pytest.raises(JobError, match="no column machineID") as caught, and_then(fail):
        raise JobError("no column machineID")
    assert caught.value.__notes__ == ["Cleaning up after it failed too: OSError: the disk is full"]


def test_cleaning_up_that_fails_alone_is_an_error() -> None:
    with pytest.raises(OSError, match="the disk is full"), and_then(fail):
        pass


def test_it_cleans_up_once() -> None:
    done: list[str] = []
    with and_then(lambda: done.append("cleaned")):
        done.append("worked")
    assert done == ["worked", "cleaned"]
