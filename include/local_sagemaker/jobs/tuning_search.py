"""The points of the hyperparameter space that a tuning job tries: random and grid search; pure and reproducible.

A point depends only on the seed and its number, so a tuning job that continues after a restart tries the same points.
"""

import itertools
import math
import random
from collections.abc import Mapping
from typing import TypedDict

Point = dict[str, str]


class Range(TypedDict, total=False):
    """A hyperparameter's range, as the API spells it: bounds and their scale, or ``Values``."""

    Name: str
    MinValue: str
    MaxValue: str
    ScalingType: str
    Values: list[str]


Ranges = Mapping[str, list[Range]]  # by kind
KINDS = ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges")


class BadRangesError(ValueError):
    """Ranges that cannot be searched; the message names the hyperparameter."""


def check_ranges(ranges: Ranges, strategy: str) -> None:
    """Check the ranges against rules that the API model does not state.

    Raises:
        BadRangesError: empty, repeated or reversed ranges, bounds that are not numbers, a scale that the bounds do not
            allow, or a grid over anything but categories.
    """
    every = [one for kind in KINDS for one in ranges.get(kind, [])]
    names = [one["Name"] for one in every]
    if not every:
        raise BadRangesError("at least one hyperparameter range is required")
    if len(set(names)) != len(names):
        raise BadRangesError(f"hyperparameter {next(n for n in names if names.count(n) > 1)} has two ranges")
    if strategy == "Grid" and len(ranges.get("CategoricalParameterRanges", [])) != len(every):
        raise BadRangesError("Grid search supports only categorical parameters")
    for kind in KINDS[:2]:
        for one in ranges.get(kind, []):
            _check_bounds(one, whole=kind.startswith("Integer"))


def _check_bounds(one: Range, *, whole: bool) -> None:
    name, scale = one["Name"], one.get("ScalingType", "Auto")
    try:
        low, high = ((int if whole else float)(bound) for bound in (one["MinValue"], one["MaxValue"]))
    except ValueError as error:
        kind = "integers" if whole else "numbers"
        raise BadRangesError(f"the bounds of {name} must be {kind}: {one['MinValue']}, {one['MaxValue']}") from error
    if low > high:
        raise BadRangesError(f"the minimum of {name}, {low}, is greater than its maximum, {high}")
    if scale == "Logarithmic" and low <= 0:
        raise BadRangesError(f"{name} is scaled logarithmically, so its minimum must be greater than 0, not {low}")
    if scale == "ReverseLogarithmic" and (whole or low < 0 or high >= 1):
        raise BadRangesError(f"{name} is scaled reverse-logarithmically: it must be continuous within 0 <= x < 1")


def grid(ranges: Ranges) -> list[Point]:
    """Every combination of the categories, the last named changing fastest."""
    categories = ranges["CategoricalParameterRanges"]
    names = [one["Name"] for one in categories]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*(c["Values"] for c in categories))]


def random_points(ranges: Ranges, seed: int, count: int) -> list[Point]:
    """The first ``count`` points of the random search with this seed; repeats only once the space is exhausted."""
    points: list[Point] = []
    tried: set[tuple[str, ...]] = set()
    for number in range(count):
        generator = random.Random(f"{seed}/{number}")  # noqa: S311  a search, not a secret
        for _ in range(50):
            point = _draw(ranges, generator)
            if tuple(point.values()) not in tried:
                break
        tried.add(tuple(point.values()))
        points.append(point)
    return points


def _draw(ranges: Ranges, generator: random.Random) -> Point:
    point: Point = {}
    for one in ranges.get("IntegerParameterRanges", []):
        first, last = int(one["MinValue"]), int(one["MaxValue"])
        drawn = _scaled(generator.random(), first, last + 1, one.get("ScalingType", "Auto"))
        point[one["Name"]] = str(min(max(math.floor(drawn), first), last))
    for one in ranges.get("ContinuousParameterRanges", []):
        low, high = float(one["MinValue"]), float(one["MaxValue"])
        drawn = _scaled(generator.random(), low, high, one.get("ScalingType", "Auto"))
        point[one["Name"]] = repr(min(max(drawn, low), high))
    for one in ranges.get("CategoricalParameterRanges", []):
        point[one["Name"]] = generator.choice(one["Values"])
    return point


def _scaled(share: float, low: float, high: float, scale: str) -> float:
    if scale == "Logarithmic":
        return math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    if scale == "ReverseLogarithmic":
        return 1 - math.exp(math.log(1 - low) + share * (math.log(1 - high) - math.log(1 - low)))
    return low + share * (high - low)
