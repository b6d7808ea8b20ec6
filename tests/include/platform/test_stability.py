"""The population stability index: zero for chance, positive for shifts; for counted days and for trainings."""

from __future__ import annotations

import math
import random

import pytest

from include.models.config import FeatureProfile
from include.platform.stability import Bin, index_between, stability_index

QUARTERS: FeatureProfile = {"edges": [1.0, 2.0, 3.0], "shares": [0.25] * 4, "min": 0.0, "max": 4.0, "missing": 0.0}
READER: FeatureProfile = {"values": ["child", "adult"], "shares": [0.6, 0.3], "missing": 0.0}  # the rest are rare


def index(before: FeatureProfile, after: FeatureProfile) -> float:
    return index_between({"a": before}, {"a": after})["a"]


def test_the_index_is_the_textbooks_on_many_rows() -> None:
    bins = [Bin("low", 0.5, 0.25), Bin("high", 0.5, 0.75)]
    by_hand = (0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5)
    assert stability_index(bins, 10**9) == pytest.approx(by_hand, abs=1e-6)
    assert stability_index(bins, 20) == pytest.approx(by_hand - 1 / 20)


@pytest.mark.parametrize("rows", [100, 500, 5000])
def test_chance_alone_is_not_drift(rows: int) -> None:
    dice = random.Random(rows)  # noqa: S311 - not for secrets
    found = []
    for _ in range(200):
        drawn = [0] * 10
        for _ in range(rows):
            drawn[dice.randrange(10)] += 1
        found.append(stability_index([Bin("", 0.1, count / rows) for count in drawn], rows))
    assert sum(found) / len(found) < 6 / rows, "its mean without the correction is 9 / rows"
    assert max(found) < 0.25


def test_the_same_training_data_has_not_moved() -> None:
    assert index(QUARTERS, QUARTERS) == pytest.approx(0, abs=1e-9)
    assert index(READER, READER) == pytest.approx(0, abs=1e-9)
    assert index_between({"a": QUARTERS, "gone": QUARTERS}, {"a": QUARTERS, "new": READER}).keys() == {"a"}


def test_training_data_that_moved_is_measured_in_the_bins_of_before() -> None:
    moved: FeatureProfile = {**QUARTERS, "edges": [2.0, 3.0, 4.0], "min": 1.0, "max": 5.0}
    # the first bin is empty, a quarter in each of the next two, half in the last
    assert index(QUARTERS, moved) == pytest.approx(
        (1e-4 - 0.25) * math.log(1e-4 / 0.25) + (0.5 - 0.25) * math.log(0.5 / 0.25)
    )
    away: FeatureProfile = {**QUARTERS, "edges": [11.0, 12.0, 13.0], "min": 10.0, "max": 14.0}
    assert index(QUARTERS, away) > index(QUARTERS, moved)


def test_values_within_a_bin_are_evenly_spread() -> None:
    halves: FeatureProfile = {"edges": [2.0], "shares": [0.5, 0.5], "min": 0.0, "max": 4.0, "missing": 0.0}
    assert index(QUARTERS, halves) == pytest.approx(0, abs=1e-9)


def test_far_ends_alone_are_not_drift() -> None:
    assert index(QUARTERS, {**QUARTERS, "min": -1000.0, "max": 1000.0}) == pytest.approx(0, abs=1e-9)
    without_ends: FeatureProfile = {"edges": [1.0, 2.0, 3.0], "shares": [0.25] * 4, "missing": 0.0}
    assert index(QUARTERS, without_ends) == pytest.approx(0, abs=1e-9), "a version trained before they were recorded"


def test_missing_values_other_texts_and_another_kind_are_drifts() -> None:
    assert index(QUARTERS, {**QUARTERS, "missing": 0.6}) > 0.25
    assert index(READER, {"values": ["child", "club"], "shares": [0.6, 0.3], "missing": 0.0}) > 0.25
    assert index(READER, {"values": ["child", "adult"], "shares": [0.58, 0.31], "missing": 0.0}) < 0.01
    assert index(READER, QUARTERS) > 1, "a number became a text"
    assert index(QUARTERS, {"edges": [], "shares": [0.0], "missing": 1.0}) > 1, "nothing is left"
    assert index({"edges": [], "shares": [0.0], "missing": 1.0}, QUARTERS) > 1, "it never existed"
