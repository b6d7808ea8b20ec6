"""The simulated table looks like the real one, and is the same every time."""

from __future__ import annotations

import polars as pl

from include.models.config import load_model
from include.models.tabular_classifier.simulate import simulate


def test_it_has_the_real_columns_and_failures_as_rare() -> None:
    table = simulate()
    assert table.columns == list(load_model("tabular_classifier").data.tables["rows"].columns)
    assert 0.02 < table["Machine failure"].mean() < 0.06  # type: ignore[operator] # a number
    assert table["UDI"].n_unique() == len(table) == 10_000
    modes = table.select(pl.max_horizontal("TWF", "HDF", "PWF", "OSF")).to_series()
    assert modes.equals(table["Machine failure"])
    assert all(table[mode].sum() >= 20 for mode in ("TWF", "HDF", "PWF", "OSF"))


def test_it_is_seeded() -> None:
    assert simulate(seed=3, rows=500).equals(simulate(seed=3, rows=500))
    assert not simulate(seed=3, rows=500).equals(simulate(seed=4, rows=500))
