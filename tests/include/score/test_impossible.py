"""Many days that cannot be scored are reported in one sentence."""

from __future__ import annotations

from include.score.impossible import in_one_sentence


def test_days_of_one_reason_are_ranges() -> None:
    reason = (
        "{0} cannot be scored: daily/pumps/date={0}/ lacks a.csv, b.csv (plain, .gz, .zst or .parquet). Put the day's "
        "files there."
    )
    days = ["2015-06-01", "2015-06-02", "2015-06-03", "2015-06-07"]
    assert in_one_sentence({day: reason.format(day) for day in days}) == (
        "2015-06-01 to 2015-06-03, 2015-06-07 (4 days) cannot be scored: daily/pumps/date=<day>/ lacks a.csv, b.csv "
        "(plain, .gz, .zst or .parquet)"
    )


def test_reasons_are_told_apart_and_many_ranges_are_cut_short() -> None:
    found = {f"2015-06-{day:02}": "no version was ever in production: promote one." for day in range(1, 30, 2)}
    assert in_one_sentence({"2015-05-31": "5 files are missing", **found}) == (
        "2015-05-31 cannot be scored: 5 files are missing; 2015-06-01, 2015-06-03, 2015-06-05, and others (15 days) "
        "cannot be scored: no version was ever in production: promote one"
    )
