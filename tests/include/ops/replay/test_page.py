"""What is said of each policy: tables that fit a terminal, and a page that stands alone."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from include.models.config import ModelConfig, load_model
from include.ops.replay.page import LOOKS, page, summary_of, tables_of
from include.ops.replay.policy import POLICIES, Day, Replayed
from include.ops.replay.weeks import Week

MODEL = load_model("electricity")


def day(number: int) -> Day:
    date = f"1998-01-{number:02}"
    return {"day": date, "version": 1, "verdict": "fine", "rows": 336, "labelled": 300, "metric": None}


def week(first: int, days: int, metric: float | None) -> Week:
    last = f"1998-01-{first + days - 1:02}"
    return {"first": f"1998-01-{first:02}", "last": last, "days": days, "labelled": 48 * days, "metric": metric}


def replayed(policy: str, weeks: list[Week], **more: Any) -> Replayed:
    days = [day(number) for number in range(1, 1 + sum(one["days"] for one in weeks))]
    found: Any = {"model": MODEL.name, "policy": policy, "metric": "accuracy", "days": days, "weeks": weeks}
    return {**found, "trainings": [], "jobs": [], **more}


def shown(model: ModelConfig, *found: Replayed) -> str:
    screen = Console(file=StringIO(), width=80)
    for table in tables_of(model, [summary_of(model, one) for one in found]):
        screen.print(table)
    return screen.file.getvalue()  # type: ignore[attr-defined] # of StringIO


def html_of(model: ModelConfig, *found: Replayed) -> str:
    return page(model, found, [summary_of(model, one) for one in found])


def test_the_page_and_the_table_say_what_came_of_it() -> None:
    trained: Any = {"day": "1998-01-09", "why": "weekly", "outcome": "passed its gates", "version": 2}
    missed: Any = {"day": "1998-01-11", "why": "weekly", "outcome": "missed its gates: accuracy", "version": None}
    job: Any = {"task": "train_model", "day": "1998-01-09", "seconds": 1800, "usd": 0.25}
    jobs, trainings = [job, {**job, "task": "score_batch_0"}], [trained, missed]
    found = replayed("weekly", [week(1, 7, 0.9), week(8, 7, 0.7)], trainings=trainings, jobs=jobs)
    summary = summary_of(MODEL, found)
    assert (summary.mean, summary.worst) == (pytest.approx(0.8), week(8, 7, 0.7))
    assert (summary.trainings, summary.promotions) == (2, 1)
    assert (summary.training_hours, summary.hours, summary.usd) == (0.5, 1.0, 0.5)
    html = html_of(MODEL, found)
    assert html.count(f'stroke="{LOOKS[POLICIES.index("weekly")][0]}" stroke-width="1.5"') == 1
    assert "missed its gates: accuracy" in html
    assert "<script" not in html


def test_the_unfinished_last_week_counts_by_its_rows() -> None:
    found = replayed("never", [week(1, 7, 0.9), week(8, 1, 0.5)])
    summary = summary_of(MODEL, found)
    assert (summary.mean, summary.worst) == (pytest.approx((7 * 0.9 + 0.5) / 8), week(8, 1, 0.5))
    assert "1998-01-08 (48 rows)" in shown(MODEL, found)
    assert "The last week has only 1 day:" in html_of(MODEL, found)
    assert "The last week" not in html_of(MODEL, replayed("never", [week(1, 7, 0.9)]))


def test_a_range_shorter_than_a_week_has_a_result() -> None:
    assert "0.9 │" in shown(MODEL, replayed("never", [week(1, 5, 0.9)]))


def test_a_week_without_labels_is_left_out() -> None:
    found = replayed("never", [week(1, 7, None), week(8, 7, 0.5)])
    assert (summary_of(MODEL, found).mean, summary_of(MODEL, found).worst) == (0.5, week(8, 7, 0.5))
    nothing = summary_of(MODEL, replayed("never", [week(1, 7, None)]))
    assert (nothing.mean, nothing.worst) == (None, None)


def test_every_policy_is_shown_whole_in_80_columns() -> None:
    text = shown(MODEL, *(replayed(name, [week(1, 7, 0.9), week(8, 1, 0.5)]) for name in POLICIES))
    assert "…" not in text
    assert all(text.count(f"│ {name} ") == 2 for name in POLICIES)


def test_every_policy_has_a_look_of_its_own_and_its_numbers_as_text() -> None:
    assert len({colour for colour, _ in LOOKS}) == len({dash for _, dash in LOOKS}) == len(POLICIES)
    trained: Any = {"day": "1998-01-07", "why": "weekly", "outcome": "passed its gates", "version": 2}
    found = [replayed(name, [week(1, 7, 0.9), week(8, 7, 0.8)], trainings=[trained]) for name in POLICIES]
    html = html_of(MODEL, *found)
    drawing = html[html.index("<svg") : html.index("</svg>")]
    right, low = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)[0])
    marks = [float(y) for y in re.findall(r'y2="([\d.]+)" stroke="#', drawing)]
    dates = [float(y) for y in re.findall(r'y="([\d.]+)"[^>]*>1998-', drawing)]
    assert len(marks) == len(POLICIES)
    assert max(marks) <= min(dates) - 8, "no mark crosses a date"
    assert max(dates) < low
    assert max(float(x) for x in re.findall(r' (?:x|x2|cx)="([\d.]+)"', drawing)) < right
    assert html.count("(336)") == 2 * len(POLICIES), "in numbers"


@pytest.mark.parametrize(("value", "told"), [(4788123456.0, "4.788e9"), (3.21e-7, "3.21e-7")])
def test_values_with_units_have_digits_that_count(value: float, told: str) -> None:
    found = replayed("never", [week(1, 7, value)])
    assert told in shown(MODEL, found)
    assert f"week to 1998-01-07: {told}" in html_of(MODEL, found)
