"""Probabilities of counts, checked against exact values."""

from __future__ import annotations

from math import comb, exp

import pytest

from include.models.config.chance import largest_likely, probability, student, tail


def test_without_more_scatter_it_is_poissons_law() -> None:
    assert tail(0, 10.7, 10.7) == pytest.approx(exp(-10.7))
    assert tail(3, 3.0, 3.0) == pytest.approx(sum(exp(-3.0) * 3.0**k / f for k, f in ((0, 1), (1, 1), (2, 2), (3, 6))))


def test_more_scatter_is_a_negative_binomial() -> None:
    # mean 4 and variance 8: size 4, chance 1/2
    assert tail(0, 4.0, 8.0) == pytest.approx(0.5**4)
    upper = 1 - sum(comb(k + 3, k) * 0.5 ** (4 + k) for k in range(9))
    assert tail(9, 4.0, 8.0) == pytest.approx(upper)


def test_large_counts_are_normal() -> None:
    assert tail(10_196, 10_000.0, 10_000.0) == pytest.approx(0.0255, abs=0.001)


def test_a_count_beside_days() -> None:
    days = [9, 12, 10, 11, 13, 8, 10, 12, 11, 10, 12, 9]
    assert probability(0, days) < 1e-3
    assert probability(0, days, 3) < 1e-9
    assert probability(33, days) < 1e-5
    assert probability(11, days) > 0.3


@pytest.mark.parametrize(("above", "freedom", "value"), [(0.025, 10, 2.228), (0.001, 22, 3.505), (0.05, 5, 2.015)])
def test_students_t_is_that_of_tables(above: float, freedom: int, value: float) -> None:
    assert student(above, freedom) == pytest.approx(value, abs=2e-3)


def test_one_more_window_lies_below_the_limit_nearly_always() -> None:
    values = [0.02, 0.03, 0.025, 0.04, 0.03, 0.02, 0.035, 0.028]
    assert max(values) < largest_likely(values, 0.01) < 0.15
    assert largest_likely([0.0] * 8, 0.01) < 0.01, "a feature that never moved may move only slightly"


def test_few_values_do_not_allow_everything() -> None:
    assert largest_likely([0.001, 0.03, 0.002, 0.001, 0.01], 0.001) == 0.3, "ten times the maximum"
    assert largest_likely([0.2, 0.21, 0.19, 0.2, 0.22], 0.001) < 0.4
