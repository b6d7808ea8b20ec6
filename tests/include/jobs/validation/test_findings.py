"""The summary says what to do within its limited length."""

from __future__ import annotations

import pytest

from include.jobs.validation.findings import SUMMARY_LIMIT, Finding, Severity, by_severity, summarize


def finding(severity: Severity = "critical", words: int = 3, file: str = "a.csv") -> Finding:
    found = " ".join(["rubbish"] * words)
    return Finding(severity, "a", file, "x", "check", found, "numbers", 1, "Fix it.")


def test_one_finding() -> None:
    assert summarize("raw data of m", "1 table", [finding()]) == (
        "The raw data of m cannot be used: 1 critical finding, no warnings.\n"
        "a.csv, column x: found rubbish rubbish rubbish; allowed: numbers. Fix it."
    )


def test_nothing_found() -> None:
    assert (
        summarize("raw data of m", "1 table", [])
        == "The raw data of m can be used (1 table): nothing critical, no warnings."
    )


def test_warnings_are_told_when_nothing_is_critical() -> None:
    text = summarize("raw data of m", "1 table", [finding("warning"), finding("info", file="b.csv")])
    assert "nothing critical, 1 warning.\na.csv, column x" in text
    assert "b.csv" not in text


@pytest.mark.parametrize("number", [1, 2, 7, 500])
@pytest.mark.parametrize("words", [1, 30, 110, 5_000])
def test_it_fits_and_says_what_to_do(number: int, words: int) -> None:
    text = summarize("raw data of m", "1 table", [finding(words=words) for _ in range(number)])
    assert len(text) <= SUMMARY_LIMIT
    assert "a.csv, column x: found rubbish" in text
    assert "Fix it." in text
    told = text.count("a.csv")
    assert told == number or f"And {number - told} more: see validation.html." in text


def test_worst_first() -> None:
    mixed = [finding("info"), finding("warning"), finding("critical", 1), finding("critical", 2)]
    assert [(one.severity, one.found.count("rubbish")) for one in by_severity(mixed)] == [
        ("critical", 1), ("critical", 2), ("warning", 3), ("info", 3),
    ]  # fmt: skip
