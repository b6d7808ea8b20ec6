"""The search space of tuning jobs."""

import math
from typing import Any

import pytest

from include.local_sagemaker.jobs.tuning_search import BadRangesError, check_ranges, grid, random_points

RANGES: dict[str, Any] = {
    "IntegerParameterRanges": [{"Name": "leaves", "MinValue": "4", "MaxValue": "256", "ScalingType": "Logarithmic"}],
    "ContinuousParameterRanges": [
        {"Name": "rate", "MinValue": "0.0001", "MaxValue": "1", "ScalingType": "Logarithmic"},
        {"Name": "momentum", "MinValue": "0", "MaxValue": "0.999", "ScalingType": "ReverseLogarithmic"},
        {"Name": "share", "MinValue": "-1", "MaxValue": "1", "ScalingType": "Linear"},
    ],
    "CategoricalParameterRanges": [{"Name": "kind", "Values": ["a", "b"]}],
}


def test_random_points_lie_in_their_ranges_and_follow_the_scales() -> None:
    points = random_points(RANGES, seed=1, count=2000)
    assert all(4 <= int(point["leaves"]) <= 256 and point["kind"] in "ab" for point in points)
    assert all(0.0001 <= float(point["rate"]) <= 1 and 0 <= float(point["momentum"]) <= 0.999 for point in points)
    # half of the draws on each side of the scale's midpoint
    for name, middle in (("rate", 0.01), ("momentum", 1 - math.sqrt(0.001)), ("share", 0.0), ("leaves", 32)):
        below = sum(float(point[name]) < middle for point in points)
        assert 0.45 < below / len(points) < 0.55, name


def test_the_seed_decides_and_longer_searches_begin_alike() -> None:
    assert random_points(RANGES, 7, 10) == random_points(RANGES, 7, 20)[:10]
    assert random_points(RANGES, 7, 10) != random_points(RANGES, 8, 10)


def test_no_point_is_tried_twice_while_others_are_left() -> None:
    ranges = {"IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "4"}]}
    assert {point["n"] for point in random_points(ranges, 0, 4)} == {"1", "2", "3", "4"}
    assert len(random_points(ranges, 0, 6)) == 6


def test_grid_has_every_combination_once() -> None:
    categories = [{"Name": "a", "Values": ["1", "2"]}, {"Name": "b", "Values": ["x", "y", "z"]}]
    points = grid({"CategoricalParameterRanges": categories})
    assert len(points) == 6
    assert points[:2] == [{"a": "1", "b": "x"}, {"a": "1", "b": "y"}]


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({}, "at least one"),
        ({"IntegerParameterRanges": [{"Name": "n", "MinValue": "5", "MaxValue": "4"}]}, "greater than its maximum"),
        ({"IntegerParameterRanges": [{"Name": "n", "MinValue": "0.5", "MaxValue": "4"}]}, "must be integers"),
        ({"ContinuousParameterRanges": [{"Name": "x", "MinValue": "a", "MaxValue": "4"}]}, "must be numbers"),
        (
            {
                "ContinuousParameterRanges": [
                    {"Name": "x", "MinValue": "0", "MaxValue": "4", "ScalingType": "Logarithmic"}
                ]
            },
            "must be greater than 0",
        ),
        (
            {
                "ContinuousParameterRanges": [
                    {"Name": "x", "MinValue": "0", "MaxValue": "1", "ScalingType": "ReverseLogarithmic"}
                ]
            },
            "0 <= x < 1",
        ),
        ({"CategoricalParameterRanges": [{"Name": "x", "Values": ["1"]}] * 2}, "x has two ranges"),
    ],
)
def test_ranges_that_cannot_be_searched(ranges: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRangesError, match=message):
        check_ranges(ranges, "Random")


def test_a_grid_is_over_categories_only() -> None:
    with pytest.raises(BadRangesError, match="only categorical"):
        check_ranges({"IntegerParameterRanges": [{"Name": "n", "MinValue": "1", "MaxValue": "4"}]}, "Grid")
