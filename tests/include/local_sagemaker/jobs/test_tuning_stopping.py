"""The median rule of early stopping."""

from __future__ import annotations

import pytest

from include.local_sagemaker.jobs.tuning_stopping import is_hopeless

BEFORE = [[0.2, 0.4, 0.9], [0.4, 0.6, 0.8], [0.6, 0.8]]  # means up to the second epoch: .3, .5, .7


@pytest.mark.parametrize(
    ("values", "before", "hopeless"),
    [
        ([0.1, 0.49], BEFORE, True),
        ([0.1, 0.5], BEFORE, False),
        ([0.9, 0.4], BEFORE, True),
        ([0.1], [], False),
        ([0.1], [[]], False),
        ([], BEFORE, False),
    ],
)
def test_the_last_value_is_held_against_the_median_of_means(
    values: list[float], before: list[list[float]], hopeless: bool
) -> None:
    assert is_hopeless(values, before, maximize=True) == hopeless
    turned = [[-one for one in each] for each in before]
    assert is_hopeless([-one for one in values], turned, maximize=False) == hopeless
