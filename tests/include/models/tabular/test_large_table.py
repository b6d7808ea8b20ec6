"""Learning from a table block by block gives the same model as the whole matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from include.models.config import Features, load_model
from include.models.interface import Examples
from include.models.loader import estimator
from include.models.tabular import large_table
from include.models.tabular.estimator import TabularEstimator


@pytest.mark.parametrize("name", ["predictive_maintenance", "tabular_classifier"])
def test_block_by_block_the_model_is_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, rng = load_model(name).model_copy(update={"features": Features()}), np.random.default_rng(3)
    classes = list(config.data.classes or [])
    values = rng.normal(size=(4000, 5))
    features = pl.DataFrame(values, schema=[f"f{number}" for number in range(5)]).with_columns(
        f0=pl.when(pl.col("f0") > 1).then(None).otherwise(pl.col("f0"))
    )
    target = (np.argsort(np.argsort(values[:, 1] + values[:, 2])) * len(classes)) // 4000
    train = Examples(features[:3000], target[:3000], classes)
    validation = Examples(features[3000:], target[3000:], classes)
    given = {"num_boost_round": 8, "early_stopping_rounds": 8, "class_balance": 0.5, "num_leaves": 7}
    monkeypatch.setattr(large_table, "BLOCK", 700)
    monkeypatch.setattr(large_table.Rows, "batch_size", 700)
    models = []
    for most in (10**9, 0):
        monkeypatch.setattr(large_table, "MOST_AS_MATRIX", most)
        own = TabularEstimator(config) if name == "tabular_classifier" else estimator(name)
        folder = tmp_path / str(most)
        folder.mkdir()
        own.save(own.fit(train, validation, given), folder)
        models.append((folder / "model.txt").read_bytes())
    assert models[0] == models[1]
