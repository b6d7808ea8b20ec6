"""Features that almost determine the target on their own, in the rows of an evaluation."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from include.jobs.evaluation.ground import suspected
from include.models.config import load_model
from include.models.interface import Examples


@pytest.mark.parametrize(("rows", "found"), [(400, ["told"]), (30, [])])
def test_a_leak_is_suspected_where_there_are_enough_rows(rows: int, found: list[str]) -> None:
    random = np.random.default_rng(2)
    target = random.integers(0, 2, rows)
    features = pl.DataFrame({"told": target + random.normal(0, 0.01, rows), "good": target + random.normal(0, 1, rows)})
    assert suspected(load_model("tabular_classifier"), Examples(features, target, ["no", "yes"])) == found
