"""Columns suspected of being known only together with the target, and those that are merely good."""

from __future__ import annotations

import numpy as np
import polars as pl

from include.models.tabular.first_look.leaks import suspects

RNG = np.random.default_rng(1)


def test_a_failed_or_not_beside_the_kind_of_failure_is_suspected() -> None:
    """As in published predictive maintenance data: the flag is missing for a few failures, and set for a few machines
    that did not fail."""
    kind = RNG.choice(["none", "heat", "power", "strain"], 10_000, p=[0.965, 0.015, 0.01, 0.01])
    flag = (kind != "none").astype(int)
    flag[RNG.choice(np.flatnonzero(flag), 15, replace=False)] = 0
    flag[RNG.choice(np.flatnonzero(kind == "none"), 9, replace=False)] = 1
    frame = pl.DataFrame({"failed": flag, "torque": RNG.normal(40, 10, 10_000), "kind": kind})
    assert suspects(frame, ["failed", "torque"], "kind", "multiclass") == ["failed"]


def test_sensors_of_which_some_values_are_met_with_rare_labels_alone_are_not() -> None:
    """As with room occupancy: only people bring bright or warm values, but the sensors are still harmless."""
    people = RNG.choice([0, 1, 2, 3], 5_000, p=[0.8, 0.08, 0.07, 0.05])
    light = np.where(people > 0, RNG.integers(0, 160, 5_000), RNG.integers(0, 40, 5_000))
    warm = np.round(25 + 0.4 * people + RNG.normal(0, 0.3, 5_000), 1)
    frame = pl.DataFrame({"light": light, "warm": warm, "people": people})
    assert suspects(frame, ["light", "warm"], "people", "multiclass") == []


def test_a_good_measure_of_well_separated_classes_is_not() -> None:
    species = np.repeat(["a", "b", "c"], 200)
    width = np.concatenate([RNG.normal(0.25, 0.1, 200), RNG.normal(1.3, 0.2, 200), RNG.normal(2.0, 0.27, 200)])
    frame = pl.DataFrame({"width": width, "species": species})
    assert suspects(frame, ["width"], "species", "multiclass") == []


def test_a_flag_of_one_way_to_the_rare_class_is() -> None:
    failed = RNG.random(4_000) < 0.03
    one_way = failed & (RNG.random(4_000) < 0.4)
    frame = pl.DataFrame({"one_way": one_way.astype(int), "failed": failed.astype(int)})
    assert suspects(frame, ["one_way"], "failed", "binary") == ["one_way"]


def test_how_long_something_was_watched_until_it_happened_is() -> None:
    """As in survival data: those observed to the end were not arrested, except for a few in the last week."""
    arrested = RNG.random(432) < 0.26
    week = np.where(arrested, RNG.integers(1, 52, 432), 52)
    week[np.flatnonzero(arrested)[:3]] = 52
    frame = pl.DataFrame({"week": week, "arrested": arrested.astype(int)})
    assert suspects(frame, ["week"], "arrested", "binary") == ["week"]


def test_another_unit_of_a_regression_s_target_is() -> None:
    value = RNG.lognormal(3, 1, 2_000)
    frame = pl.DataFrame({"in_pounds": value * 2.2, "size": value + RNG.normal(0, 5, 2_000), "value": value})
    assert suspects(frame, ["in_pounds", "size"], "value", "regression") == ["in_pounds"]


def test_a_column_of_huge_values_and_gaps_is_looked_at_too() -> None:
    sizes = [None if row % 7 == 0 else 10.0 ** (row % 300) for row in range(600)]
    frame = pl.DataFrame({"size": sizes, "label": [row % 2 for row in range(600)]})
    assert suspects(frame, ["size"], "label", "binary") == []
