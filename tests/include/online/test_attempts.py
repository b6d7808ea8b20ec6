"""A repeated failure is reported once, and so is its end."""

from __future__ import annotations

import logging

import pytest
from botocore.exceptions import EndpointConnectionError

from include.models.errors import JobError
from include.models.quoting import SILENT
from include.online import attempts
from include.online.attempts import Attempts

AWAY = EndpointConnectionError(endpoint_url="http://s3")


@pytest.fixture
def tried(caplog: pytest.LogCaptureFixture) -> Attempts:
    caplog.set_level(logging.INFO, "online")
    return Attempts("taking over the champion", 5)


def fail(tried: Attempts, error: Exception) -> None:
    with tried:
        raise error


def test_an_outage_is_a_line_and_its_end_another(tried: Attempts, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(50):
        fail(tried, AWAY)
    for _ in range(2):
        with tried:
            pass
    assert [record.getMessage() for record in caplog.records] == [
        'taking over the champion fails: Could not connect to the endpoint URL: "http://s3". '
        "It is tried every 5 seconds; requests are answered meanwhile.",
        "taking over the champion works again, after 0 seconds",
    ]
    assert not any(record.exc_info for record in caplog.records)


def test_it_is_said_again_after_a_while_and_at_another_error(
    tried: Attempts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(tried, AWAY)
    fail(tried, JobError("the archive is corrupt."))
    monkeypatch.setattr(attempts, "SAID_AGAIN_SECONDS", 0)
    fail(tried, JobError("the archive is corrupt."))
    assert [record.getMessage()[:60] for record in caplog.records[1:]] == 2 * [
        "taking over the champion fails: the archive is corrupt. It i"
    ]


def test_an_unforeseen_error_has_a_traceback_but_quotes_no_values(
    tried: Attempts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(tried, KeyError("Ann Example"))
    assert "Ann Example" in caplog.text
    caplog.clear()
    for name, value in SILENT.items():
        monkeypatch.setenv(name, value)
    fail(tried, ValueError("Ann Example"))
    assert "ValueError" in caplog.text
    assert "Ann Example" not in caplog.text
