"""Failures caught, hours of warning and false alarms, in cases small enough to count by hand."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import polars as pl
import pytest

from include.models.predictive_maintenance.evaluation import HOURS_PER_MONTH, baselines, evaluate

START = datetime.fromisoformat("2015-01-01T06:00")
MARKS = 40  # five days


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def scored(predictions: dict[int, str], machine: int = 1) -> pl.DataFrame:
    """Predictions every three hours; none unless given."""
    rows = [(machine, hour(3 * mark), "none", predictions.get(3 * mark, "none")) for mark in range(MARKS)]
    schema = {"machineID": pl.Int64, "datetime": pl.Datetime("us"), "failure": pl.String, "predicted": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def failures(*rows: tuple[int, str]) -> dict[str, pl.DataFrame]:
    found = [(1, hour(at), part) for at, part in rows]
    schema = {"machineID": pl.Int64, "datetime": pl.Datetime("us"), "failure": pl.String}
    return {"failures": pl.DataFrame(found, schema=schema, orient="row")}


def test_a_failure_is_caught_by_its_own_part_within_the_24_hours_before() -> None:
    metrics = evaluate(scored({27: "comp1", 30: "comp1"}), failures((48, "comp1"))).metrics
    assert metrics["failure_events_caught"] == 1
    assert metrics["warning_hours_median"] == 21
    assert metrics["warned_early_share"] == 1
    assert metrics["false_alarms_per_machine_month"] == 0


@pytest.mark.parametrize("predictions", [{}, {27: "comp2"}, {21: "comp1"}, {48: "comp1"}, {51: "comp1"}])
def test_too_early_too_late_or_the_wrong_part_catches_nothing(predictions: dict[int, str]) -> None:
    metrics = evaluate(scored(predictions), failures((48, "comp1"))).metrics
    assert metrics["failure_events_caught"] == 0
    assert math.isnan(metrics["warning_hours_median"])
    months = MARKS * 3 / HOURS_PER_MONTH
    assert metrics["false_alarms_per_machine_month"] == pytest.approx(len(predictions) / months)


def test_two_parts_at_once_are_one_event_and_two_parts() -> None:
    metrics = evaluate(scored({30: "comp3"}), failures((48, "comp3"), (48, "comp4"))).metrics
    assert (metrics["failure_events"], metrics["failure_events_caught"], metrics["failed_parts_named"]) == (1, 1, 0.5)
    assert metrics["false_alarms_per_machine_month"] == 0


def test_an_unbroken_series_is_one_false_alarm() -> None:
    series = {0: "comp1", 3: "comp1", 6: "comp1", 12: "comp1", 15: "comp2"}
    metrics = evaluate(scored(series), failures((100, "comp4"))).metrics
    assert metrics["false_alarms_per_machine_month"] * MARKS * 3 / HOURS_PER_MONTH == pytest.approx(3)


def test_failures_of_machines_without_marks_are_not_counted() -> None:
    metrics = evaluate(scored({}, machine=2), failures((48, "comp1"))).metrics
    assert metrics["failure_events"] == 0
    assert math.isnan(metrics["failure_events_caught"])


def test_persistence_repeats_what_failed_within_the_last_24_hours() -> None:
    test = scored({})
    found = baselines(test, failures((48, "comp4"), (48, "comp3"), (60, "comp1")))["persistence"]
    named = dict(zip(test["datetime"], found, strict=True))
    assert [named[hour(h)] for h in (45, 48, 57, 60, 81, 84)] == ["none", "comp3", "comp3", "comp1", "comp1", "none"]
