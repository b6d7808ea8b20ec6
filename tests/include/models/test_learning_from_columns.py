"""A validation split read as columns, and rows predicted block by block, give the same bits as matrices."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl
import pytest

from include.models import trees
from include.models.config import Features, load_model
from include.models.interface import Examples
from include.models.loader import estimator
from include.models.tabular.estimator import TabularEstimator

ROWS, HELD_OUT = 4000, 1000
GIVEN = {
    "num_boost_round": 8,
    "early_stopping_rounds": 8,
    "class_balance": 0.5,
    "num_leaves": 7,
    "bin_construct_sample_cnt": 500,
}


def as_matrix(whole: type[lgb.Dataset], table: Any, *given: Any, **more: Any) -> lgb.Dataset:
    return whole(table.to_numpy() if isinstance(table, pl.DataFrame) else table, *given, **more)


@pytest.mark.parametrize("name", ["predictive_maintenance", "tabular_classifier"])
def test_the_model_is_that_of_a_matrix(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, rng = load_model(name).model_copy(update={"features": Features()}), np.random.default_rng(3)
    is_tabular, classes = name == "tabular_classifier", list(config.data.classes or [])
    values = rng.normal(size=(ROWS, 5))
    features = pl.DataFrame(values, schema=["f0", 'f"1", [x]' if is_tabular else "f1", "f2", "f3", "f4"]).with_columns(
        f0=pl.when(pl.col("f0") > 1).then(None).otherwise(pl.col("f0")),
        f3=(pl.col("f3") * 9).cast(pl.Int16),
        f4=pl.col("f4").cast(pl.Float32),
        **({"f2": pl.when(pl.col("f2") < 1).then(pl.lit("low"))} if is_tabular else {}),
    )
    target = (np.argsort(np.argsort(values[:, 1] + values[:, 2])) * len(classes)) // ROWS
    train = Examples(pl.concat([features[:777], features[777:-HELD_OUT]], rechunk=False), target[:-HELD_OUT], classes)
    validation = Examples(features[-HELD_OUT:], target[-HELD_OUT:], classes)
    own = TabularEstimator(config) if is_tabular else estimator(name)
    kept = []
    for learned in (lgb.Dataset, partial(as_matrix, lgb.Dataset)):
        monkeypatch.setattr(lgb, "Dataset", learned)
        folder = tmp_path / str(len(kept))
        folder.mkdir()
        model = own.fit(train, validation, GIVEN)
        own.save(model, folder)
        kept.append((folder / "model.txt").read_bytes())
    assert kept[0] == kept[1]
    whole = own.predict(model, features)
    monkeypatch.setattr(trees, "BLOCK", 700)
    assert np.array_equal(own.predict(model, features), whole)
