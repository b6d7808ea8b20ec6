"""Tuned hyperparameters are compared with model.yaml's, on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from include.jobs.evaluation.measuring import NOTHING, Answers, Measures
from include.jobs.evaluation.usual import beside_usual
from include.jobs.features.feature_table import examples
from include.jobs.serving.artifact import LoadedModel
from include.models.config import load_model
from include.models.loader import estimator

CONFIG = load_model("abalone_age")
RNG = np.random.default_rng(3)


def rows(count: int) -> pl.DataFrame:
    """Measurements that determine the rings, apart from a little noise."""
    measured = [name for name in CONFIG.code.features.columns if name != "sex"]
    frame = pl.DataFrame({name: RNG.uniform(0.1, 1, count) for name in measured})
    return frame.with_columns(
        pl.Series("sex", RNG.choice(["M", "F", "I"], count)),
        pl.Series("specimen", [f"{number}" for number in range(count)]),
        rings=(4 + 20 * frame["shell_weight"] + pl.Series(RNG.normal(0, 0.5, count))).round().cast(pl.Int64),
    )


def candidate(features: Path, **chosen: Any) -> LoadedModel:
    own, given = estimator(CONFIG.name), {**CONFIG.training.hyperparameters, **chosen}
    train, validation = (
        examples(CONFIG, pl.read_parquet(features / name / "features.parquet")) for name in ("train", "validation")
    )
    facts: Any = {"classes": [], "hyperparameters": given}
    return LoadedModel(facts, train.features.columns, own.fit(train, validation, given), own)


def test_a_worse_choice_is_worse_on_both_splits(tmp_path: Path) -> None:
    for name, count in (("train", 900), ("validation", 300), ("test", 300)):
        (tmp_path / name).mkdir()
        rows(count).write_parquet(tmp_path / name / "features.parquet")
    test = pl.read_parquet(tmp_path / "test" / "features.parquet")
    measures = Measures(CONFIG, test, examples(CONFIG, test), {})
    usual, worse = candidate(tmp_path), candidate(tmp_path, num_boost_round=10)
    assert beside_usual(measures, usual, NOTHING, tmp_path) is None, "they are model.yaml's"
    found = beside_usual(measures, worse, measures.of_predictions(Answers.of(worse, test)), tmp_path)
    assert found
    assert found["hyperparameters"] == {"num_boost_round": "10 for 1000"}
    for one in (found["validation"], found["test"]):
        assert one
        assert one["candidate"] > one["production"] + 1, "mean squared errors"
        assert one["high"] < 0
