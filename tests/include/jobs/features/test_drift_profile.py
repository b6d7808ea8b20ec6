"""Feature distributions: a profile from training, and counts of scored rows in the same bins."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from include.jobs.features.drift_profile import add_counts, count_rows, drift_profile

RNG = np.random.default_rng(3)
TRAIN = pl.DataFrame(
    {
        "volt": RNG.normal(170, 15, 5000),
        "errors": RNG.choice([0.0, 1.0, 2.0], 5000, p=[0.95, 0.04, 0.01]),
        "always": [3.5] * 5000,
        "kind": RNG.choice(["L", "M", "H"], 5000, p=[0.6, 0.3, 0.1]),
        "age": [None if row % 4 == 0 else float(row) for row in range(5000)],
        "never": pl.Series([None] * 5000, dtype=pl.Float64),
    }
)
PROFILE = drift_profile(TRAIN)


def shares(name: str) -> list[float]:
    """count_rows's result for rows with the profile's shares."""
    known = PROFILE[name]
    there = 1 - known["missing"]
    inner = [share * there for share in known["shares"]]
    return [*inner, 0, known["missing"]] if "values" in known else [0, *inner, 0, known["missing"]]


@pytest.mark.parametrize("name", TRAIN.columns)
def test_the_rows_of_training_lie_as_the_profile_says(name: str) -> None:
    rows = count_rows(TRAIN, PROFILE)[name]
    assert sum(rows) == len(TRAIN)
    assert [count / len(TRAIN) for count in rows] == pytest.approx(shares(name))


def test_a_number_has_ten_bins_of_as_many_rows() -> None:
    assert PROFILE["volt"]["shares"] == pytest.approx([0.1] * 10, abs=0.001)
    assert (PROFILE["volt"]["min"], PROFILE["volt"]["max"]) == (TRAIN["volt"].min(), TRAIN["volt"].max())


def test_a_value_that_most_rows_have_has_its_own_bin() -> None:
    assert PROFILE["errors"]["edges"] == [0.0, 1.0]
    none = (TRAIN["errors"] == 0).mean()
    assert PROFILE["errors"]["shares"] == pytest.approx([0, none, 1 - none])


def test_what_training_has_not_seen_is_counted_apart() -> None:
    rows = pl.DataFrame(
        {
            "volt": [0.0, 170.0, 900.0, None],
            "errors": [0.0, 9.0, 1.0, float("nan")],
            "always": [3.5, 3.4, 3.6, 3.5],
            "kind": ["L", "X", None, "M"],
            "age": [1.0, 2.0, 3.0, None],
            "never": [1.0, None, None, None],
        }
    )
    counts = count_rows(rows, PROFILE)
    assert (counts["volt"][0], counts["volt"][-2], counts["volt"][-1]) == (1, 1, 1)
    assert counts["errors"] == [0, 0, 1, 1, 1, 1]
    assert counts["always"] == [1, 0, 2, 1, 0]
    assert counts["kind"] == [1, 1, 0, 1, 1]
    assert counts["never"] == [0, 1, 0, 3]
    assert all(sum(each) == 4 for each in counts.values())


def test_a_profile_from_before_its_ends_were_kept_has_open_bins() -> None:
    old = {"volt": {key: PROFILE["volt"][key] for key in ("edges", "shares", "missing")}}
    counts = count_rows(pl.DataFrame({"volt": [0.0, 900.0]}), old)["volt"]
    assert counts == [0, 1, *[0] * 8, 1, 0, 0]


def test_counts_of_shards_add_up() -> None:
    parts = [count_rows(part, PROFILE) for part in (TRAIN[:1200], TRAIN[1200:])]
    assert add_counts(add_counts({}, parts[0]), parts[1]) == count_rows(TRAIN, PROFILE)
