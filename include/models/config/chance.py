"""How likely a count is, given those of other days. Pure; only the standard library, as Airflow's side has no numpy or
scipy."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, exp, lgamma, log, sqrt
from statistics import fmean, variance

LARGE = 2000  # from this count on, the normal distribution is used
FARTHEST = 10


def probability(count: int, days: Sequence[int], number: int = 1, design: float = 1.0) -> float:
    """The one-sided probability of a sum over ``number`` days at least as extreme as ``count``.

    Counts vary at least like Poisson's, more if the days do: a negative binomial with the mean of the days, and the
    variance of sums over as many consecutive days. The uncertainty of the estimated mean is added.

    Args:
        design: how many times as far counts scatter as independent rows, because some rows come together.
    """
    if len(days) < 2:
        return 1.0
    sums = [sum(days[start : start + number]) for start in range(0, len(days) - number + 1, number)]
    mean = max(number * fmean(days), 0.5 / len(days))
    spread = max(design * mean, variance(sums) if len(sums) > 2 else number * variance(days))
    return tail(count, mean, spread * (1 + number / len(days)))


def tail(count: int, mean: float, spread: float) -> float:
    """The one-sided probability of a count at least as far from the mean; the variance is at least the mean."""
    if mean > LARGE:
        return erfc((abs(count - mean) - 0.5) / sqrt(2 * spread)) / 2 if abs(count - mean) > 0.5 else 0.5
    lower = sum(_each(number, mean, spread) for number in range(count + (count <= mean)))
    return min(1.0, lower if count <= mean else max(1 - lower, _each(count, mean, spread)))


def _each(count: int, mean: float, spread: float) -> float:
    if spread <= mean * 1.0001:
        return exp(count * log(mean) - mean - lgamma(count + 1))
    size = mean**2 / (spread - mean)
    chance = size / (size + mean)
    ways = lgamma(count + size) - lgamma(size) - lgamma(count + 1)
    return exp(ways + size * log(chance) + count * log(1 - chance))


def largest_likely(values: Sequence[float], exceeded_in: float) -> float:
    """The upper prediction limit for one more such value, exceeded in a share ``exceeded_in``: by Student's t on
    logarithms, and never below the largest value. Few values give a poor limit: it is at most ``FARTHEST`` times the
    largest.

    Args:
        values: at least 0, of independent windows.
    """
    logs = [log(max(value, 1e-3)) for value in values]
    if len(logs) < 2:
        return max(values, default=0.0)
    error = sqrt(max(variance(logs), 1e-6) * (1 + 1 / len(logs)))
    limit = fmean(logs) + student(exceeded_in, len(logs) - 1) * error
    return max(min(exp(limit), FARTHEST * max(values)), *values)


def student(above: float, freedom: int) -> float:
    """The quantile of Student's t with this upper tail; by bisection of the numerically integrated tail."""
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_tail(middle, freedom) > above else (low, middle)
    return (low + high) / 2


def _student_tail(value: float, freedom: int) -> float:
    """By the substitution t = sqrt(freedom) tan(a), under which the density is a power of the cosine."""
    from math import atan, cos, pi

    start, steps = atan(value / sqrt(freedom)), 200
    width = (pi / 2 - start) / steps
    heights = [cos(start + (step + 0.5) * width) ** (freedom - 1) for step in range(steps)]
    constant = exp(lgamma((freedom + 1) / 2) - lgamma(freedom / 2)) / sqrt(pi)
    return constant * width * sum(heights)
